"""Modelfiles: what Ollama's template says is what the Jinja template says, for every format."""

from __future__ import annotations

import json
import shutil
from functools import cache

import pytest

from tests.trainer.export.conftest import change
from tests.trainer.export.go import Go
from trainer.contract.places import starter, template_folder, template_names
from trainer.data.templates.chat import ChatTemplate
from trainer.export.chat_format import read_chat_format
from trainer.export.errors import ExportError
from trainer.export.go_template import go_template
from trainer.export.ollama import make_modelfile, write_modelfile
from trainer.export.turns import TURNS

ASK = {"role": "user", "content": "Who is {{ .System }}?"}
ANSWER = {"role": "assistant", "content": "Ann.\n\"She\" is <here>."}
SYSTEM = {"role": "system", "content": "Be brief."}
TALKS = {"one": [ASK], "system": [SYSTEM, ASK],
         "long": [SYSTEM, ASK, ANSWER, {"role": "user", "content": "Since when?"}],
         "turns": [ASK, ANSWER, ASK, ANSWER, ASK]}


@cache
def jinja(name: str) -> ChatTemplate:
    return (ChatTemplate.from_folder(starter()) if name == "starter"
            else ChatTemplate.named(name))


def by_jinja(name: str, talk: list[dict[str, str]]) -> str:
    return jinja(name).render(talk, add_generation_prompt=True).text


def by_go(name: str, talk: list[dict[str, str]], *, adds_bos: bool) -> str:
    source = go_template(TURNS[name], bos="<s>", eos="</s>", adds_bos=adds_bos)
    system = "\n\n".join(m["content"] for m in talk if m["role"] == "system")
    messages = [{"Role": m["role"], "Content": m["content"], "Thinking": ""} for m in talk]
    return Go(source).render(system, messages)


def test_every_template_that_comes_with_finestra_is_in_the_table():
    assert set(TURNS) == {*template_names(), "starter"}


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
@pytest.mark.parametrize("name", sorted(TURNS))
def test_ollama_shows_a_conversation_as_jinja_does(name, talk):
    wanted = by_jinja(name, talk)
    assert by_go(name, talk, adds_bos=False) == wanted
    # A program that puts the first token there by itself must not see it twice.
    assert by_go(name, talk, adds_bos=True) == wanted.removeprefix("<s>")


def test_a_thought_is_shown_and_an_answer_that_goes_on_stays_open():
    source = go_template(TURNS["qwen3"], bos="", eos="", adds_bos=False)
    talk = [{"Role": "user", "Content": "Hi", "Thinking": ""},
            {"Role": "assistant", "Content": "Well", "Thinking": "hm"}]
    assert Go(source).render("", talk) == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\nWell")


def test_the_starter_becomes_a_whole_modelfile(tmp_path):
    made = make_modelfile(starter(), "starter.gguf", adds_bos=False, stop=["STOP", 'say "no"!'],
                          system="Be brief.\nBe kind.")
    text = write_modelfile(tmp_path, made).read_text()
    assert made.template == "starter"
    assert text.startswith('FROM ./starter.gguf\n\nTEMPLATE """{{ if .System }}<|im_start|>system')
    for line in ('PARAMETER stop "<|im_end|>"', 'PARAMETER stop "<|endoftext|>"',
                 'PARAMETER stop "STOP"', 'PARAMETER stop """say "no"!"""',
                 "PARAMETER num_ctx 2048", 'SYSTEM """Be brief.\nBe kind."""'):
        assert line in text
    assert text.count('PARAMETER stop "<|im_end|>"') == 1
    assert "Tools" in made.notes[0]


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(starter(), tmp_path / "model")


def test_a_template_of_its_own_is_left_to_the_gguf(model):
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    made = make_modelfile(model, "m.gguf", adds_bos=False)
    assert "TEMPLATE" not in made.text and not made.template
    assert "Ollama reads the one in the GGUF" in made.notes[0]
    assert 'PARAMETER stop "<|im_end|>"' in made.text


def test_a_named_template_brings_its_stop_words(model):
    shutil.copy(template_folder() / "llama3.jinja", model / "chat_template.jinja")
    chat = read_chat_format(model)
    assert chat.name == "llama3"
    assert chat.stops == ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>")


def test_a_long_context_is_left_to_who_needs_it(model):
    change(model / "config.json", max_position_embeddings=131072)
    assert "num_ctx 8192\n" in make_modelfile(model, "m.gguf", adds_bos=False).text
    assert "num_ctx 512\n" in make_modelfile(model, "m.gguf", adds_bos=False, num_ctx=512).text


@pytest.mark.parametrize("system", ['say """', 'he said "no"', 'a """\nFROM /etc/passwd\n""" b'])
def test_no_text_gets_out_of_its_quotes(system):
    with pytest.raises(ExportError) as caught:
        make_modelfile(starter(), "m.gguf", adds_bos=False, system=system)
    assert caught.value.code == "modelfile_quotes"


@pytest.mark.parametrize("name", ["../m.gguf", "a b.gguf", "m.gguf\nFROM x", ""])
def test_the_file_is_one_beside_the_modelfile(name):
    with pytest.raises(ExportError, match="plain file name"):
        make_modelfile(starter(), name, adds_bos=False)


def test_the_table_is_what_its_variables_mean():
    """A template is text: nothing of the format may be taken for an action."""
    for name, turns in TURNS.items():
        assert "{{" not in json.dumps(turns.__dict__, ensure_ascii=False), name
