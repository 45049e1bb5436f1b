"""Rows of an evaluation set that stand in the training data: then it measures memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trainer.data.check import convert_rows, shape_of
from trainer.data.duplicates import SEPARATOR, hash_text
from trainer.data.messages import Example
from trainer.data.near import NearFinder
from trainer.data.shapes import Shape
from trainer.data.sources import DatasetSpec

LeakKind = Literal["row", "prompt", "near"]
MAX_PAIRS = 1_000


@dataclass(frozen=True)
class Leak:
    """A row of the evaluation set and the first training row found that holds it."""

    row: int
    dataset: str
    train_row: int
    kind: LeakKind


@dataclass
class LeakReport:
    """How many rows of an evaluation set stand in the training data.

    ``same_row``: prompt and answer, ``same_prompt``: the prompt with another answer; both without
    regard to capitals and blanks. ``near`` is None unless asked. Every row counts once, as what
    tells most. ``pairs`` are the first MAX_PAIRS.
    """

    name: str
    against: list[str]
    rows: int = 0
    train_rows: int = 0
    same_row: int = 0
    same_prompt: int = 0
    near: int | None = None
    pairs: list[Leak] = field(default_factory=list)

    @property
    def leaked(self) -> int:
        """Rows that stand in the training data in any way."""
        return self.same_row + self.same_prompt + (self.near or 0)

    def document(self) -> dict[str, Any]:
        """Return it as scripts see it."""
        return {"name": self.name, "against": list(self.against), "rows": self.rows,
                "train_rows": self.train_rows, "leaked": self.leaked, "same_row": self.same_row,
                "same_prompt": self.same_prompt, "near": self.near,
                "pairs": [{"row": pair.row, "dataset": pair.dataset, "train_row": pair.train_row,
                           "kind": pair.kind} for pair in self.pairs]}


def prompt_and_answer(example: Example) -> tuple[str, str]:
    """Return what is asked and what is answered, comparable: no capitals, single blanks.

    The prompt is all that comes before the last answer, without system messages; of plain text
    there is no prompt.
    """
    turns = [turn for turn in example.messages if turn.role != "system"]
    answers = example.chosen
    if not answers and turns and turns[-1].role == "assistant":
        turns, answers = turns[:-1], turns[-1:]
    answer = [turn.content for turn in answers] or [example.text or example.reference]
    return (_plain(turn.content for turn in turns),
            _plain(answer + [str(turn.tool_calls) for turn in answers if turn.tool_calls]))


def _plain(texts: Iterable[str]) -> str:
    return SEPARATOR.join(" ".join(text.casefold().split()) for text in texts)


class _Evaluation:
    """The rows that are looked for, by the hashes of what they say."""

    def __init__(self, report: LeakReport, near_threshold: float | None) -> None:
        self._report = report
        self._rows = array("q")
        self._by_row: dict[int, list[int]] = {}
        self._by_prompt: dict[int, list[int]] = {}
        self._near = None if near_threshold is None else NearFinder(near_threshold)
        self._leaks: dict[int, Leak] = {}

    def add(self, example: Example) -> None:
        """Remember a row."""
        place = len(self._rows)
        self._rows.append(example.row)
        prompt, answer = prompt_and_answer(example)
        self._by_row.setdefault(hash_text(prompt + SEPARATOR + answer), []).append(place)
        if prompt:
            self._by_prompt.setdefault(hash_text(prompt), []).append(place)
        if self._near is not None:
            self._near.remember(place, prompt + " " + answer)

    def meet(self, example: Example, dataset: str) -> None:
        """Hold a training row against all of them."""
        prompt, answer = prompt_and_answer(example)
        for place in self._by_row.get(hash_text(prompt + SEPARATOR + answer), ()):
            self._note(place, dataset, example.row, "row")
        for place in self._by_prompt.get(hash_text(prompt), ()) if prompt else ():
            self._note(place, dataset, example.row, "prompt")
        if self._near is not None:
            near = self._near.find(prompt + " " + answer)
            if near is not None:
                self._note(near, dataset, example.row, "near")

    def _note(self, place: int, dataset: str, train_row: int, kind: LeakKind) -> None:
        known = self._leaks.get(place)
        if known is None or _RANK[kind] < _RANK[known.kind]:
            self._leaks[place] = Leak(self._rows[place], dataset, train_row, kind)

    def conclude(self) -> None:
        """Fill the report."""
        report, kinds = self._report, [leak.kind for leak in self._leaks.values()]
        report.rows = len(self._rows)
        report.same_row, report.same_prompt = kinds.count("row"), kinds.count("prompt")
        report.near = None if self._near is None else kinds.count("near")
        report.pairs = [self._leaks[place] for place in sorted(self._leaks)[:MAX_PAIRS]]


_RANK: dict[LeakKind, int] = {"row": 0, "prompt": 1, "near": 2}


def find(train: Sequence[DatasetSpec], evaluation: DatasetSpec, *, shape: Shape | None = None,
         near_threshold: float | None = None) -> LeakReport:
    """Look for the rows of an evaluation set in training sets.

    Rows that cannot be used are left out. The memory is that of the evaluation set's hashes.

    Args:
        train: The training sets, each read once.
        evaluation: The evaluation set.
        shape: What its columns mean; None finds out.
        near_threshold: Look for near duplicates too, from this likeness on (slow).

    Raises:
        DatasetError: A file cannot be read, or ``near_missing``.
    """
    report = LeakReport(evaluation.name, [spec.name for spec in train])
    wanted = _Evaluation(report, near_threshold)
    for example in _examples(evaluation, shape or shape_of(evaluation)):
        wanted.add(example)
    for spec in train:
        for example in _examples(spec, shape_of(spec)):
            report.train_rows += 1
            wanted.meet(example, spec.name)
    wanted.conclude()
    return report


def _examples(spec: DatasetSpec, shape: Shape) -> Iterator[Example]:
    return (item for item in convert_rows(spec, shape) if isinstance(item, Example))
