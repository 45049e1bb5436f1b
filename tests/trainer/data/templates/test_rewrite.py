"""Templates of well-known models, which mark nothing: both ways of reading them agree."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.shapes.messages import Message
from trainer.data.templates.chat import ChatTemplate
from trainer.data.templates.probes import probes
from trainer.data.templates.rewrite import Rewrite
from trainer.data.templates.sandbox import TemplateError

FOLDER = Path(__file__).with_name("model_templates")
CHATML = ("<|im_start|>", "<|im_end|>")
LLAMA = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
MARKS = ("▁calls▁begin", "▁call▁begin", "▁sep", "▁call▁end", "▁calls▁end", "▁outputs▁begin",
         "▁outputs▁end", "▁output▁begin", "▁output▁end")
TOKENS: dict[str, tuple[str, ...]] = {
    "qwen25": CHATML, "qwen3": CHATML, "qwq": CHATML, "smollm2": CHATML, "macro_chatml": CHATML,
    "llama31": LLAMA, "llama3": LLAMA, "llama2": ("<s>", "</s>"), "zephyr": ("<s>", "</s>"),
    "tulu": ("<s>", "</s>"), "mistral_v3": ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"),
    "gemma2": ("<bos>", "<end_of_turn>", "<start_of_turn>", "<eos>"),
    "phi3": ("<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>", "<|system|>"),
    "deepseek_r1": ("<｜begin｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>",
                    *(f"<｜tool{mark}｜>" for mark in MARKS)),
    "command_r": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|>",
                  "<|CHATBOT_TOKEN|>"),
    "granite31": ("", "<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>")}
DERIVED = {"macro_chatml"}
TALK = [Message("user", "A?"), Message("assistant", "B."), Message("user", "C?"),
        Message("assistant", "D.")]
CALL = Message("assistant", "", (
    {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}},))
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "add", "parameters": {}}}]


@cache
def load(name: str, *, slowly: bool = False) -> ChatTemplate:
    """Return a model's template; ``slowly`` never reads it in one pass."""
    bos, eos, *_ = TOKENS[name]
    template = ChatTemplate((FOLDER / f"{name}.jinja").read_text(encoding="utf-8"),
                            variables={"bos_token": bos, "eos_token": eos},
                            special_tokens=TOKENS[name])
    if slowly:
        template.__dict__["_rewrite"] = Rewrite("derived", "")
    return template


def said(template: ChatTemplate, talk: list[Message], tools: Any = None, **how: bool) -> list[str]:
    rendered = template.render(talk, tools, **how)
    return [rendered.text[start:end] for start, end in rendered.trained]


@pytest.mark.parametrize("name", TOKENS)
def test_each_says_how_it_is_read_and_why(name: str) -> None:
    template = load(name)
    assert template.how == ("derived" if name in DERIVED else "rewritten")
    assert "marks nothing" in template.reason


@pytest.mark.parametrize(("name", "answers"), [
    ("qwen25", ["B.<|im_end|>", "D.<|im_end|>"]),
    ("qwen3", ["B.<|im_end|>", "<think>\n\n</think>\n\nD.<|im_end|>"]),
    ("llama31", ["B.<|eot_id|>", "D.<|eot_id|>"]), ("llama3", ["B.<|eot_id|>", "D.<|eot_id|>"]),
    ("mistral_v3", [" B.</s>", " D.</s>"]), ("llama2", [" B. </s>", " D. </s>"]),
    ("gemma2", ["B.<end_of_turn>", "D.<end_of_turn>"]),
    ("phi3", ["B.<|end|>", "D.<|end|>\n<|endoftext|>"]), ("zephyr", ["B.</s>", "D.</s>"]),
    ("deepseek_r1", ["B.<｜end▁of▁sentence｜>", "D.<｜end▁of▁sentence｜>"]),
    ("command_r", ["B.<|END_OF_TURN_TOKEN|>", "D.<|END_OF_TURN_TOKEN|>"]),
    ("granite31", ["B.<|end_of_text|>", "D.<|end_of_text|>"]), ("tulu", ["B.</s>", "D.</s>"]),
    ("smollm2", ["B.<|im_end|>", "D.<|im_end|>"]),
    ("macro_chatml", ["B.<|im_end|>", "D.<|im_end|>"])])
def test_what_is_said_is_found(name: str, answers: list[str]) -> None:
    assert said(load(name), TALK) == answers
    assert said(load(name), TALK, mask_history=True) == answers[-1:]


@pytest.mark.parametrize("name", TOKENS)
def test_one_pass_reads_like_the_slow_way(name: str) -> None:
    fast, slow = load(name), load(name, slowly=True)
    for talk, tools in probes():
        try:
            expected = slow.render(talk, tools)
        except TemplateError:
            continue
        assert fast.render(talk, tools) == expected


@st.composite
def talks(draw: st.DrawFn) -> list[Message]:
    texts = st.text(st.sampled_from("ab<|im_end>/think\n é"), max_size=30)
    odd = st.sampled_from(["<think>\nx\n</think>\n\ny", "</s>", "<|im_end|>", "", " \n", "user"])
    text = st.one_of(texts, odd)
    start = [Message("system", draw(text))] if draw(st.booleans()) else []
    return start + [Message("assistant" if index % 2 else "user", draw(text))
                    for index in range(draw(st.integers(1, 5)))]


@pytest.mark.parametrize("name", ["qwen25", "qwen3", "llama3", "mistral_v3", "zephyr", "phi3"])
@settings(max_examples=40, deadline=None)
@given(talk=talks())
def test_any_conversation_is_read_alike(name: str, talk: list[Message]) -> None:
    fast, slow = load(name), load(name, slowly=True)
    try:
        expected = slow.render(talk)
    except TemplateError:
        return
    assert fast.render(talk) == expected


def test_tool_calls_are_what_the_assistant_says() -> None:
    talk = [TALK[0], CALL, Message("tool", "2"), Message("assistant", "Two")]
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>'
    assert said(load("qwen25"), talk, TOOLS) == [call, "Two<|im_end|>"]
    assert said(load("llama31"), talk, TOOLS) == [
        '{"name": "add", "parameters": {"a": 1}}<|eot_id|>', "Two<|eot_id|>"]
    assert said(load("mistral_v3"), talk, TOOLS) == [
        '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]</s>', " Two</s>"]
    assert said(load("deepseek_r1"), talk, TOOLS)[1] == "Two<｜end▁of▁sentence｜>"


def test_thoughts_are_learned_where_they_are_shown() -> None:
    talk = [TALK[0], Message("assistant", "<think>\nt1\n</think>\n\nB."), TALK[2],
            Message("assistant", "<think>\nt2\n</think>\n\nD.")]
    assert said(load("qwen3"), talk) == ["B.<|im_end|>", "<think>\nt2\n</think>\n\nD.<|im_end|>"]
    assert said(load("qwq"), talk) == ["B.<|im_end|>", "t2\n</think>\n\nD.<|im_end|>"]


def test_a_model_that_is_made_to_think_learns_answers_without_a_thought_too() -> None:
    assert said(load("qwq"), TALK) == ["B.<|im_end|>", "D.<|im_end|>"]
    assert said(load("qwq"), TALK, mask_history=True) == ["D.<|im_end|>"]
    assert "it writes '<think>\\n', which is not in conversations" in load("qwq").reason


def test_a_system_prompt_that_the_template_drops_is_refused() -> None:
    with pytest.raises(TemplateError, match="turn 3"):
        load("mistral_v3").render([Message("system", "S"), *TALK[:2]])
    with pytest.raises(TemplateError, match="System role not supported"):
        load("gemma2").render([Message("system", "S"), *TALK[:2]])


def test_a_template_that_never_shows_an_answer_is_refused_with_the_reason() -> None:
    template = ChatTemplate("{{ messages | length }}{% for m in messages %}{{ m.content }}"
                            "{% endfor %}")
    assert template.how == "refused"
    assert "does not show" in template.reason


def test_marking_the_turns_changes_no_text() -> None:
    for name in set(TOKENS) - DERIVED:
        template = load(name)
        rewritten = template._rewrite.template
        assert rewritten is not None
        talk = [message.document() for message in TALK]
        variables = {**template.variables, "messages": talk, "add_generation_prompt": False,
                     "tools": None}
        marked = rewritten.render(variables)
        assert marked != template._template.render(variables)
        assert "".join(c for c in marked if not "\ufdd0" <= c <= "\ufdef"
                       ) == template._template.render(variables)


def test_a_template_that_hides_tools_says_so() -> None:
    assert load("qwen25").shows_tools
    assert load("deepseek_r1").shows_tools is False
    assert not load("smollm2").shows_tools
    assert not load("gemma2").shows_tools
    assert "no tools" in load("smollm2").reason
    assert "no tools" not in load("qwen25").reason
