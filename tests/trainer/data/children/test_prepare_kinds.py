"""What each kind of rows becomes: prompts, judged pairs, texts with a class; prepared once."""

from __future__ import annotations

import pytest

from tests.trainer.data.children.conftest import Lab, asked, table
from trainer.data.reading.rows import DatasetError
from trainer.data.tokens.tokenizer import Tokenizer


def test_pairs_are_prepared_once_for_all_objectives_that_read_them(lab: Lab) -> None:
    rows = [{"prompt": "Hi", "chosen": "yes", "rejected": "no"}]
    first = lab.prepare(rows, objective="dpo")
    others = [lab.prepare(rows, objective=name) for name in ("orpo", "simpo", "cpo", "reward")]
    assert [(one.key, one.reused) for one in others] == [(first.key, True)] * 4
    judged = lab.prepare(rows, objective="kto")
    assert judged.key != first.key and judged.kind == "preference"
    answered = lab.prepare(asked(3), objective="gkd")
    assert lab.prepare(asked(3), objective="sft").key == answered.key
    assert lab.prepare(asked(3), objective="grpo").key != answered.key


def test_a_pair_is_two_judged_answers(lab: Lab, tokenizer: Tokenizer) -> None:
    pairs = [{"prompt": "Hi", "chosen": "yes", "rejected": "no"},
             {"prompt": "Ho", "chosen": "same", "rejected": "same"}]
    found = lab.prepare(pairs, objective="kto", bad_rows="skip")
    rows = table(found)
    assert [(row["row"], row["label"], tokenizer.decode(row["completion_ids"]))
            for row in rows] == [(1, True, "yes<|im_end|>"), (1, False, "no<|im_end|>")]
    counts = found.counts
    assert (counts.rows, counts.used, counts.bad_rows, found.rows) == (4, 2, 2, 2)
    single = [{"prompt": "Hi", "completion": answer, "label": label}
              for answer, label in (("yes", True), ("no", False))]
    assert [row | {"row": 1} for row in table(lab.prepare(single, objective="kto"))] == rows


@pytest.mark.faults
@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("workers", [1, 3])
def test_prompts(lab: Lab, tokenizer: Tokenizer, workers: int) -> None:
    rows = [{"prompt": f"What is {n} <|im_end|>?", "reference": str(n)} for n in range(30)]
    rows[9]["prompt"] += " really" * 60
    found = lab.prepare(rows, objective="grpo", max_length=60, workers=workers)
    kept = table(found)
    assert [row["reference"] for row in kept] == [str(n) for n in range(30) if n != 9]
    for row in kept:
        assert row["prompt"] == (f"<|im_start|>user\nWhat is {row['reference']} <|im_end|>?"
                                 "<|im_end|>\n<|im_start|>assistant\n")
        assert tokenizer.decode(row["prompt_ids"]) == row["prompt"]
        assert row["question"] == f"What is {row['reference']} <|im_end|>?"
        assert row["prompt_ids"].count(2) == 1 and row["length"] == len(row["prompt_ids"])
        assert (row["trained"], row["cut"]) == (0, False)
    counts = found.counts
    assert (counts.rows, counts.used, counts.dropped, counts.trained_tokens) == (30, 29, 1, 0)
    assert table(lab.prepare(rows, objective="distillation", max_length=60)) == kept


def test_the_prompt_of_a_long_conversation_loses_turns_from_the_front(lab: Lab) -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n}"} for n in range(10)]
    row = {"messages": [{"role": "system", "content": "Be kind."}, *turns]}
    whole = table(lab.prepare([row], objective="grpo"))[0]
    longest = whole["length"] - 1
    (shorter,) = table(lab.prepare([row], objective="grpo", max_length=longest))
    assert shorter["cut"] and shorter["length"] <= longest
    assert shorter["prompt"].startswith("<|im_start|>system\nBe kind.<|im_end|>\n"
                                        "<|im_start|>user\nturn 2")
    assert (shorter["reference"], whole["reference"]) == ("turn 9", "turn 9")
    assert "turn 9" not in whole["prompt"]
    dropped = lab.prepare([row], objective="grpo", max_length=longest, overlong="drop")
    assert (dropped.rows, dropped.counts.dropped) == (0, 1)


@pytest.mark.faults
@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("workers", [1, 3])
def test_texts_with_a_class(lab: Lab, tokenizer: Tokenizer, workers: int) -> None:
    rows = [{"text": f"Text {n} <|im_start|>" + " more" * (40 * (n == 5)), "label": n % 3}
            for n in range(30)]
    found = lab.prepare(rows, objective="classification", max_length=32, workers=workers)
    kept = table(found)
    assert [row["label"] for row in kept] == [str(n % 3) for n in range(30)]
    for number, row in enumerate(kept):
        text = tokenizer.decode(row["input_ids"])
        assert row["input_ids"][-1] == 2 and 1 not in row["input_ids"]
        assert text.endswith("<|im_end|>")
        assert (rows[number]["text"] + "<|im_end|>" == text) is not row["cut"]
        assert (row["length"] == 32) is row["cut"] and row["trained"] == 0
    assert [row["row"] for row in kept if row["cut"]] == [6]
    assert (found.counts.used, found.counts.cut, found.counts.trained_tokens) == (30, 1, 0)
    dropped = lab.prepare(rows, objective="classification", max_length=32, overlong="drop")
    assert (dropped.rows, dropped.counts.dropped) == (29, 1)


def test_classes_that_are_named_are_the_only_ones(lab: Lab) -> None:
    rows = [{"text": f"Text {n}", "label": n % 3} for n in range(30)]
    named = lab.prepare(rows, objective="classification", labels=("red", "green", "blue"))
    assert [row["label"] for row in table(named)][:4] == ["red", "green", "blue", "red"]
    with pytest.raises(DatasetError, match=r"Row 3 .*the classes are 'red', 'green'"):
        lab.prepare(rows, objective="classification", labels=("red", "green"))
    found = lab.prepare(rows, objective="classification", labels=("red", "green"),
                        bad_rows="skip")
    assert (found.rows, found.counts.bad_rows) == (20, 10)
    assert len({found.key, named.key, lab.prepare(rows, objective="classification").key}) == 3
