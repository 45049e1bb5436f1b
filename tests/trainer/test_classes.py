"""Classes of labelled texts in a real run's data stages: which there are, and as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.test_splits import choices, data_of, home, load
from trainer.contract.events import WarningEvent

__all__ = ["home"]
pytestmark = pytest.mark.training


def texts(labels: list[Any], text: str = "Row {n}") -> list[dict[str, Any]]:
    return [{"text": text.format(n=n), "label": label} for n, label in enumerate(labels)]


@pytest.fixture
def classified(runs: Any, cf: Any, tmp_path: Path) -> Any:
    """Load the splits of a classification of rows with these labels."""
    def made(name: str, labels: list[Any], held: list[Any] | None = None, *,
             named: list[str] | None = None, **data: Any) -> Any:
        train = cf.write_rows(tmp_path / f"{name}.jsonl", texts(labels))
        if held is not None:
            path = cf.write_rows(tmp_path / f"{name}-held.jsonl", texts(held, "Other {n}"))
            data["eval"] = [str(path)]
        return load(runs, cf, name, objective="classification", tuner={"type": "full"},
                    classification={"labels": named or []},
                    data={"train": [str(train)], **data})
    return made


def test_classes_are_those_of_all_training_data_sorted(classified: Any, cf: Any, runs: Any,
                                                       tmp_path: Path) -> None:
    labels = ["grey", "red", "blue"] * 8
    splits, events = classified("three", labels, ["blue", "grey"] * 3)
    assert splits.classes == ["blue", "grey", "red"] and splits.questions == []
    rows = splits.train.dataset
    assert rows.column_names == ["input_ids", "label"]
    assert [splits.classes[row["label"]] for row in rows] == labels
    assert sorted(row["label"] for row in splits.eval.dataset) == [0, 0, 0, 1, 1, 1]
    assert choices(events, "classification.labels") == [
        "the classes of the training data: 'blue', 'grey', 'red'"]
    assert data_of(events)["train"].trained_tokens == 0
    assert data_of(events)["train"].tokens == sum(splits.train.lengths) > 0
    more = cf.write_rows(tmp_path / "more.jsonl", texts(["amber", "red"] * 12, "More {n}"))
    both, _ = load(runs, cf, "both", objective="classification", tuner={"type": "full"},
                   data={"train": [str(tmp_path / "three.jsonl"), str(more)]})
    assert both.classes == ["amber", "blue", "grey", "red"]
    assert [both.classes[row["label"]] for row in both.train.dataset] == labels + ["amber",
                                                                                    "red"] * 12


def test_numbers_are_sorted_by_value_and_truths_are_names(classified: Any) -> None:
    numbers, _ = classified("numbers", [10, 2, 1] * 8)
    assert numbers.classes == ["1", "2", "10"]
    truths, _ = classified("truths", [True, False] * 12)
    assert truths.classes == ["false", "true"]
    assert [row["label"] for row in truths.train.dataset][:2] == [1, 0]


def test_named_classes_are_the_only_ones_in_their_order(classified: Any) -> None:
    from trainer.data import DatasetError

    splits, events = classified("named", [1, 0] * 12, named=["no", "yes", "perhaps"])
    assert splits.classes == ["no", "yes", "perhaps"]
    assert [row["label"] for row in splits.train.dataset][:2] == [1, 0]
    assert choices(events, "classification.labels") == []
    (warning,) = [e for e in events if isinstance(e, WarningEvent)
                  and e.code == "class_without_rows"]
    assert "'perhaps'" in warning.message
    with pytest.raises(DatasetError, match="the classes are 'no', 'yes'"):
        classified("refused", [1, 0, 2] * 12, named=["no", "yes"])
    skipped, events = classified("skipped", [1, 0, 2] * 12, named=["no", "yes"],
                                 bad_rows="skip")
    assert len(skipped.train) == 24 and data_of(events)["train"].bad_rows == 12
    (warning,) = [e for e in events if isinstance(e, WarningEvent) and e.code == "bad_rows"]
    assert "12 of 36 rows" in warning.message and "classification.labels" in warning.message


def test_what_cannot_be_told_apart_or_was_never_seen_ends_the_run(classified: Any) -> None:
    from trainer.failures import Failure

    with pytest.raises(Failure, match="there is nothing to tell apart") as caught:
        classified("one", ["red"] * 12)
    assert caught.value.code == "one_class"
    with pytest.raises(Failure, match=r"2 of 4 evaluation rows .*: 'blue'\.") as caught:
        classified("unseen", ["red", "grey"] * 12, ["red", "blue"] * 2)
    assert caught.value.code == "unseen_class"


def test_a_split_and_a_mixture_keep_each_text_with_its_class(classified: Any) -> None:
    labels = ["red", "blue", "grey", "pink"] * 10
    splits, _ = classified("split", labels, val_size=0.25)
    assert (len(splits.train), len(splits.eval)) == (30, 10)
    found = {tuple(row["input_ids"]): splits.classes[row["label"]]
             for part in (splits.train, splits.eval) for row in part.dataset}
    whole, _ = classified("whole", labels)
    assert {tuple(row["input_ids"]): whole.classes[row["label"]]
            for row in whole.train.dataset} == found
    assert len(found) == 40
