"""What is asked while a model trains, for each kind of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.test_splits import choices, data_of, home, load

__all__ = ["home"]
pytestmark = pytest.mark.training
TEACHER = {"teacher": {"name_or_path": "starter"}}


def test_prompts_have_their_references(runs: Any, cf: Any, tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {n}.", "reference": str(n)} for n in range(20)]
    path = cf.write_rows(tmp_path / "rows.jsonl", rows)
    splits, events = load(runs, cf, "asked", objective="rloo", evaluation={"exact_match": True},
                          rollout={"rewards": [{"name": "exact_answer"}], "num_generations": 4},
                          data={"train": [str(path)], "val_size": 5})
    assert len(splits.questions) == 5 == len(splits.eval)
    known = {tuple(row["prompt_ids"]): row for row in splits.eval.dataset}
    for question in splits.questions:
        assert question.prompt == f"Say {question.reference}."
        row = known[tuple(question.input_ids)]
        assert row["reference"] == question.reference
        assert row["prompt"] == (f"<|im_start|>user\n{question.prompt}<|im_end|>\n"
                                 "<|im_start|>assistant\n")
    data = data_of(events)["train"]
    assert (data.used, data.trained_tokens) == (15, 0) and data.tokens > 0


def test_the_last_answer_of_a_conversation_is_what_is_right(runs: Any, cf: Any,
                                                            tmp_path: Path) -> None:
    rows = [{"messages": [{"role": ("user", "assistant")[turn % 2], "content": f"{n} {turn}"}
                          for turn in range(4)]} for n in range(8)]
    path = cf.write_rows(tmp_path / "rows.jsonl", rows)
    splits, _ = load(runs, cf, "turns", objective="distillation", evaluation={"samples": 2},
                     data={"train": [str(path)], "val_size": 3}, **TEACHER)
    for question in splits.questions:
        assert question.prompt == f"{question.row - 1} 2"
        assert question.reference == f"{question.row - 1} 3"
    (row,) = [row for row in splits.eval.dataset
              if row["prompt_ids"] == splits.questions[0].input_ids]
    assert row["reference"] == splits.questions[0].reference


def test_nothing_can_be_matched_where_nothing_is_known_to_be_right(runs: Any, cf: Any,
                                                                   tmp_path: Path) -> None:
    from trainer.failures import Failure

    path = cf.write_rows(tmp_path / "rows.jsonl", [{"prompt": f"Say {n}."} for n in range(20)])
    with pytest.raises(Failure, match="none of the 5 held-out rows has one") as caught:
        load(runs, cf, "unknown", objective="distillation", evaluation={"exact_match": True},
             data={"train": [str(path)], "val_size": 5}, **TEACHER)
    assert caught.value.code == "no_reference"


def test_both_answers_of_a_judged_pair_stay_together_and_are_asked_once(
        runs: Any, cf: Any, tmp_path: Path) -> None:
    path = cf.write_rows(tmp_path / "pairs.jsonl", [
        {"prompt": f"Say {n}.", "chosen": f"Gladly: {n}!", "rejected": f"No {n}."}
        for n in range(20)])
    splits, events = load(runs, cf, "judged", objective="kto", evaluation={"samples": 4},
                          data={"train": [str(path)], "val_size": 6})
    assert (len(splits.train), len(splits.eval)) == (28, 12)
    for part in (splits.train, splits.eval):
        labels: dict[tuple[int, ...], list[bool]] = {}
        for row in part.dataset:
            labels.setdefault(tuple(row["prompt_ids"]), []).append(row["label"])
        assert all(sorted(found) == [False, True] for found in labels.values())
    assert len({question.row for question in splits.questions}) == 4
    assert all("Gladly" in question.reference for question in splits.questions)
    assert choices(events, "data.train") == [
        "each pair is read as a desired and an undesired answer"]
    assert data_of(events)["train"].rows == 28
