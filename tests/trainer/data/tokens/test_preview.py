"""A row as the model will see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainer.data.conftest import Make
from trainer.contract.places import starter
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.prefixes import common
from trainer.data.tokens import loaded
from trainer.data.tokens.preview import preview, side
from trainer.data.tokens.tokenizer import IGNORED, Tokenizer

LONG = "Once upon a time there was a small house. " * 4


@pytest.fixture
def look(make: Make, model_folder: Path) -> Any:
    """Return a function that writes rows and previews one of them."""
    def show(rows: list[dict[str, Any]], row: int = 1, **params: Any) -> dict[str, Any]:
        spec = make(rows)
        return preview({"source": str(spec.path), "model_folder": str(model_folder), "row": row,
                        "max_length": 400, **params})
    return show


def pieces(found: dict[str, Any]) -> list[tuple[bool, str]]:
    assert "".join(s["text"] for s in found["segments"]) == found["text"]
    assert len(found["input_ids"]) == len(found["labels"])
    assert all(label in (IGNORED, token) for token, label
               in zip(found["input_ids"], found["labels"], strict=True))
    return [(s["trained"], s["text"]) for s in found["segments"]]


def test_a_conversation(look: Any) -> None:
    found = look([{"question": "Hi", "answer": "你好 😀"}])
    assert pieces(found) == [(False, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
                             (True, "你好 😀<|im_end|>"), (False, "\n")]
    assert found["tokens"] == len(found["input_ids"])
    assert found["trained_tokens"] == sum(label != IGNORED for label in found["labels"])
    assert found["cut"] == {"turns": 0, "tokens": 0, "dropped": False}
    assert found["template"]["how"] == "marked"


def test_what_is_learned_follows_the_settings(look: Any) -> None:
    rows = [{"messages": [{"role": role, "content": text} for role, text in (
        ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))]}]
    assert [p for p in pieces(look(rows, mask_history=True)) if p[0]] == [(True, "d<|im_end|>")]
    assert len([p for p in pieces(look(rows)) if p[0]]) == 2
    whole = look(rows, train_on_prompt=True)
    assert pieces(whole) == [(True, whole["text"])]
    assert whole["input_ids"] == look(rows)["input_ids"]


@pytest.mark.parametrize("system", ["", "Be short."])
def test_what_is_cut_is_shown(look: Any, system: str) -> None:
    turns = [*([("system", system)] if system else []), ("user", "What is 12?"),
             ("assistant", "It is 42."), ("user", "Hi"), ("assistant", LONG)]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]}]
    whole = look(rows)
    found = look(rows, max_length=45)
    assert found["cut"]["turns"] == 2
    assert found["cut"]["tokens"] == whole["tokens"] - 45
    assert found["tokens"] == 45
    assert found["cut_text"] == ("<|im_start|>user\nWhat is 12?<|im_end|>\n<|im_start|>assistant\n"
                                 "It is 42.<|im_end|>\n")
    place = found["cut_at"]
    assert bool(place) == bool(system)
    assert (found["text"][:place] + found["cut_text"] + found["text"][place:]
            + found["cut_tail"]) == whole["text"]
    pieces(found)


def test_a_dropped_row_is_shown_whole(look: Any) -> None:
    rows = [{"question": LONG, "answer": "yes"}]
    found = look(rows, max_length=20)
    assert found["cut"]["dropped"]
    assert found["text"] == look(rows)["text"]
    assert look(rows, max_length=20, overlong="drop")["cut"]["dropped"]


def test_both_sides_of_a_pair(look: Any) -> None:
    found = look([{"prompt": "Hi", "chosen": "yes", "rejected": "no"}])
    assert found["objective"] == "dpo"
    for name, answer in (("chosen", "yes"), ("rejected", "no")):
        assert pieces(found[name])[-1] == (True, f"{answer}<|im_end|>")
    assert found["text"] == found["chosen"]["text"]


def test_a_judged_answer(look: Any) -> None:
    found = look([{"prompt": "Hi", "completion": "no", "label": False}])
    assert (found["objective"], found["label"]) == ("kto", False)
    assert pieces(found)[-1] == (True, "no<|im_end|>")


def test_plain_text_is_learned_in_blocks(look: Any) -> None:
    found = look([{"text": "Once <|im_end|>"}], max_length=8)
    assert pieces(found) == [(True, "Once <|im_end|><|im_end|>")]
    assert found["input_ids"][-1] == 2 and found["input_ids"].count(2) == 1
    assert found["blocks"] == -(-found["tokens"] // 8)


def test_a_prompt_without_an_answer_is_shown_with_its_reference(look: Any) -> None:
    found = look([{"prompt": "What is 6 x 7?", "reference": "42"},
                  {"prompt": "Hi", "reference": "Hello"}])
    assert (found["objective"], found["rows"], found["reference"]) == ("grpo", "prompts", "42")
    assert (found["trained_tokens"], found["tokens"]) == (0, len(found["input_ids"]))
    assert found["text"].endswith("<|im_start|>assistant\n")
    assert [segment["trained"] for segment in found["segments"]] == [False]


def test_a_conversation_for_sampling_is_its_prompt(look: Any) -> None:
    row = {"messages": [{"role": role, "content": text} for role, text in (
        ("user", "a <|im_end|>"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))]}
    found = look([row], objective="rloo")
    assert found["text"] == (
        "<|im_start|>user\na <|im_end|><|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n")
    assert found["input_ids"].count(2) == 3, "what the user typed stays text"
    assert (found["objective"], found["reference"], found["trained_tokens"]) == ("rloo", "d", 0)
    cut = look([row], objective="rloo", max_length=found["tokens"] - 1)
    assert cut["cut"]["turns"] == 2 and cut["text"].startswith("<|im_start|>user\nc")
    assert cut["cut_text"].startswith("<|im_start|>user\na") and not cut["cut"]["dropped"]
    assert look([row], objective="rloo", max_length=8)["cut"]["dropped"]


def test_a_text_with_a_class_is_shown_as_the_model_reads_it(look: Any) -> None:
    rows = [{"text": f"Once <|im_end|> {n}", "label": "tale" if n % 2 else "note"}
            for n in range(20)]
    found = look(rows, 2, objective="classification")
    assert (found["text"], found["reference"]) == ("Once <|im_end|> 1<|im_end|>", "tale")
    assert (found["rows"], found["trained_tokens"]) == ("labelled", 0)
    assert found["input_ids"].count(2) == 1 and found["template"]["name"] == ""
    assert [segment["trained"] for segment in found["segments"]] == [False]
    cut = look(rows, 2, objective="classification", max_length=6)
    assert cut["tokens"] == 6 and cut["input_ids"][-1] == 2
    assert cut["cut"]["tokens"] == found["tokens"] - 6 and not cut["cut"]["dropped"]
    usual = look(rows, 2)
    assert (usual["objective"], usual["rows"]) == ("sft", "turns")
    assert pieces(usual)[1] == (True, "tale<|im_end|>")


def test_a_pair_that_is_judged_is_shown_as_the_pair(look: Any) -> None:
    row = {"prompt": "Hi", "chosen": "yes", "rejected": "no"}
    found, pair = look([row], objective="kto"), look([row], objective="orpo")
    assert found["objective"] == "kto" and "label" not in found
    assert {**found, "objective": ""} == {**pair, "objective": ""}


def test_a_bad_row_is_told_of_and_a_missing_one_refused(look: Any) -> None:
    rows = [{"question": "a", "answer": "b"}] * 3 + [{"question": "a", "answer": ""}]
    problem = look(rows, 4)["problem"]
    assert (problem["row"], problem["column"], problem["code"]) == (4, "answer", "empty_text")
    with pytest.raises(DatasetError) as caught:
        look(rows, 5)
    assert caught.value.code == "no_such_row"


def test_a_mapping_of_ones_own(look: Any) -> None:
    found = look([{"x": "Hi", "y": "yes", "z": "other"}], mapping={"prompt": "x", "response": "y"})
    assert pieces(found)[1] == (True, "yes<|im_end|>")


def test_tools_are_shown(look: Any) -> None:
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
           "tools": [{"name": "add", "description": "Adds.", "parameters": {}}]}
    found = look([row])
    assert found["tools"][0]["function"]["name"] == "add"
    assert [warning["code"] for warning in found["warnings"]] == ["tools_not_shown"]
    assert look([row], template="chatml")["warnings"] == []
    assert look([{"question": "a", "answer": "b"}])["warnings"] == []


@settings(max_examples=150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("😀é你\ufffd\n "),
                    max_size=20), data=st.data())
def test_segments_are_the_text_wherever_learning_begins(tokenizer: Tokenizer, text: str,
                                                        data: st.DataObject) -> None:
    """Also in the middle of a character of several tokens."""
    ids = tokenizer.encode(tokenizer.plain(text)).input_ids
    learned = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    labels = [token if on else IGNORED for token, on in zip(ids, learned, strict=True)]
    found = side(tokenizer, ids, labels)
    assert "".join(s["text"] for s in found["segments"]) == found["text"]
    assert found["text"].count("\ufffd") == tokenizer.decode(ids).count("\ufffd")


@given(a=st.text(max_size=9), b=st.text(max_size=9))
def test_what_two_texts_share(a: str, b: str) -> None:
    length = common(a, b)
    assert a[:length] == b[:length]
    assert a[length:length + 1] != b[length:length + 1] or length == min(len(a), len(b))


def test_what_was_loaded_is_kept(model_folder: Path) -> None:
    assert loaded.load(model_folder) is loaded.load(model_folder)
    assert loaded.load(model_folder) is not loaded.load(model_folder, "chatml")
    assert loaded.load(starter()).edges[0] == ()
