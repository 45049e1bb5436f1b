"""Templates that models were published with, as a library of the training extra ships them."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from trainer.data.shapes.messages import Message
from trainer.data.templates.chat import ChatTemplate
from trainer.data.templates.sandbox import TemplateError

SPEC = find_spec("trl")
FOLDER = Path(SPEC.origin).with_name("chat_templates") if SPEC and SPEC.origin else Path("none")
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja") if not path.stem.endswith("_training"))
# What opens and closes turns in these templates, and what their tokenizers call special.
SPECIAL = re.compile(r"<[|｜][^<>|｜\s]{1,40}[|｜]>|<\|[a-z_]+>|<[a-z_]+\|>|</?s>|\[/?INST\]"
                     r"|<(?:bos|eos|start_of_turn|end_of_turn|end_of_utterance|BOS_TOKEN)>")
HEADER = re.compile(r"assistant|model|CHATBOT|INST\]|user|system")
# Without a token that ends answers, and with the recipient in what a model writes.
ENDLESS, ADDRESSED = {"glm4moe"}, {"muse_glimmer"}
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer", "description": "x"}},
    "required": ["a"]}}}]
CALL = Message("assistant", "", (
    {"type": "function", "function": {"name": "add", "arguments": {"a": 51}}},))
ASKED = [Message("user", "Question-1"), Message("assistant", "Answer-1"),
         Message("user", "Question-2"), Message("assistant", "Answer-2")]
THOUGHT = Message("assistant", "<think>\nThought-3\n</think>\n\nAnswer-3")
TALKS: dict[str, list[Message]] = {
    "plain": ASKED, "system": [Message("system", "Rule-1"), *ASKED], "ends asking": ASKED[:3],
    "thinking": [ASKED[0], THOUGHT, *ASKED[2:]], "thinks last": [*ASKED[:3], THOUGHT],
    "tools": [ASKED[0], CALL, Message("tool", "Result-1", name="add"), *ASKED[1:]]}


@cache
def load(name: str) -> tuple[ChatTemplate, jinja2.Template]:
    """Return a template as ours and as jinja2 renders it with Transformers' settings."""
    source = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent)
    environment.globals["strftime_now"] = lambda form: "today"
    environment.globals["raise_exception"] = refuse
    plain = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", mark, source)
    found = {*SPECIAL.findall(source), "<bos>"}
    template = ChatTemplate(source, variables={"bos_token": "<bos>"}, special_tokens=found)
    return template, environment.from_string(plain)


def mark(found: re.Match[str]) -> str:
    return found[0].replace("endgeneration", "endif").replace("generation", "if true")


def refuse(why: str) -> None:
    raise jinja2.TemplateError(why)


def undated(text: str) -> str:
    return re.sub(r"(?im)^(.*date: ).*$", r"\1", text)


@pytest.mark.skipif(not NAMES, reason="needs the library's templates")
@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_jinjas_and_only_answers_are_learned(name: str, talk: str) -> None:
    template, plain = load(name)
    turns, tools = TALKS[talk], TOOLS if talk == "tools" else None
    variables: dict[str, Any] = {"messages": [turn.document() for turn in turns], "tools": tools}
    try:
        text = plain.render(bos_token="<bos>", add_generation_prompt=False, **variables)
    except (jinja2.TemplateError, TypeError):
        text = ""
    try:
        rendered = template.render(turns, tools)
    except TemplateError:
        assert not text, "what jinja renders is not refused"
        return
    if "Answer-" in text:
        assert undated(rendered.text) == undated(text)
    said = [rendered.text[start:end] for start, end in rendered.trained]
    answers = [turn for turn in turns if turn.role == "assistant"]
    assert len(said) == len(answers)
    for words, answer in zip(said, answers, strict=True):
        assert answer.content[-8:] in words
        assert not re.search("Question|Rule|Result", words)
        assert words.count("Answer") <= 1
        assert name in ENDLESS or re.search(f"(?:{SPECIAL.pattern})\\s*$", words)
        assert name in ADDRESSED or not HEADER.search(SPECIAL.sub("", words))
    only = template.render(turns, tools, mask_history=True)
    assert only.trained == rendered.trained[-1:]
