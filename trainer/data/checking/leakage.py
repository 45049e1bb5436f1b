"""Rows of an evaluation set that stand in the training data: then it measures memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from trainer.data.checking.check import shape_of
from trainer.data.checking.duplicates import SEPARATOR, hash_text
from trainer.data.checking.near import NearFinder
from trainer.data.reading.readers import read_batches
from trainer.data.reading.rows import Row, RowError
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.convert import convert
from trainer.data.shapes.fast import fast_row
from trainer.data.shapes.messages import Example
from trainer.data.shapes.objectives import PAIR_KINDS
from trainer.data.shapes.recognise import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

LeakKind = Literal["row", "prompt", "near"]
KINDS: tuple[LeakKind, ...] = get_args(LeakKind)
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


@dataclass
class _Keys:
    """Rows of a dataset by the hashes of what they say: 24 bytes a row."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    wholes: array[int] = field(default_factory=lambda: array("Q"))
    prompts: array[int] = field(default_factory=lambda: array("Q"))
    texts: list[str] = field(default_factory=list)

    def add(self, row: int, prompt: str, answer: str, *, no_prompt: int) -> None:
        """Add a row; ``no_prompt`` stands for a prompt that equals no other."""
        self.rows.append(row)
        self.wholes.append(hash_text(prompt + SEPARATOR + answer))
        self.prompts.append(hash_text(prompt) if prompt else no_prompt)


def _keys(spec: DatasetSpec, shape: Shape, *, no_prompt: int, with_texts: bool
          ) -> Iterator[_Keys]:
    """Yield the usable rows of a dataset, batch by batch."""
    look = fast_row(shape) if shape.kind not in PAIR_KINDS else lambda values: None
    for items in read_batches(spec):
        keys = _Keys()
        for item in items:
            if not isinstance(item, Row):
                continue
            texts = look(item.values)
            try:
                prompt, answer = (prompt_and_answer(convert(item, shape)) if texts is None
                                  else _of_texts(texts))
            except RowError:
                continue
            keys.add(item.number, prompt, answer, no_prompt=no_prompt)
            if with_texts:
                keys.texts.append(f"{prompt} {answer}")
        yield keys


def _of_texts(texts: tuple[str, ...]) -> tuple[str, str]:
    """Return what ``prompt_and_answer`` does for the texts of a quick look.

    An odd number of turns begins with a system message; a single text has no prompt.
    """
    *prompt, answer = texts[len(texts) % 2:] or texts
    return _plain(prompt), _plain([answer])


class _Table:
    """Finds the places of hashes among sorted ones, each value once."""

    def __init__(self, hashes: array[int]) -> None:
        import numpy as np

        values = np.frombuffer(hashes, dtype=np.uint64)
        self._order = np.argsort(values, kind="stable")
        self._values = values[self._order]
        self._met = np.zeros(len(values), dtype=bool)

    def meet(self, hashes: array[int]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return pairs (place in hashes, place of one that equals it), of values not met before."""
        import numpy as np

        wanted = np.frombuffer(hashes, dtype=np.uint64)
        starts = np.minimum(np.searchsorted(self._values, wanted), len(self._values) - 1)
        hits = np.flatnonzero((self._values[starts] == wanted) & ~self._met[starts])
        starts, firsts = np.unique(starts[hits], return_index=True)
        self._met[starts] = True
        ends = np.searchsorted(self._values, self._values[starts], side="right")
        counts = ends - starts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return (np.repeat(hits[firsts], counts),
                self._order[np.repeat(starts, counts) + within])


class _Evaluation:
    """The rows that are looked for, and which of them were found, where and how."""

    def __init__(self, keys: _Keys, near_threshold: float | None) -> None:
        import numpy as np

        self._rows = keys.rows
        self._wholes, self._prompts = _Table(keys.wholes), _Table(keys.prompts)
        self._near = None if near_threshold is None else NearFinder(near_threshold)
        for place, text in enumerate(keys.texts):
            if self._near is not None:
                self._near.remember(place, text)
        count = len(keys.rows)
        self._kinds = np.full(count, len(KINDS), dtype=np.uint8)
        self._datasets = np.zeros(count, dtype=np.uint32)
        self._train_rows = np.zeros(count, dtype=np.int64)

    def meet(self, keys: _Keys, dataset: int) -> None:
        """Hold training rows against all of them."""
        import numpy as np

        if not keys.rows:
            return
        train_rows = np.frombuffer(keys.rows, dtype=np.int64)
        for kind, table, hashes in ((0, self._wholes, keys.wholes),
                                    (1, self._prompts, keys.prompts)):
            found, places = table.meet(hashes)
            self._note(places, kind, dataset, train_rows[found])
        for at, text in enumerate(keys.texts):
            if self._near is not None and (near := self._near.find(text)) is not None:
                self._note(np.array([near]), KINDS.index("near"), dataset,
                           train_rows[at:at + 1])

    def _note(self, places: NDArray[Any], kind: int, dataset: int,
              train_rows: NDArray[Any]) -> None:
        """Note what tells more than what was known of these rows."""
        more = self._kinds[places] > kind
        places = places[more]
        self._kinds[places] = kind
        self._datasets[places] = dataset
        self._train_rows[places] = train_rows[more]

    def conclude(self, report: LeakReport) -> None:
        """Fill the report."""
        import numpy as np

        counts = np.bincount(self._kinds, minlength=len(KINDS) + 1).tolist()
        report.rows, report.same_row, report.same_prompt = len(self._rows), counts[0], counts[1]
        report.near = None if self._near is None else counts[2]
        for place in np.flatnonzero(self._kinds < len(KINDS))[:MAX_PAIRS].tolist():
            report.pairs.append(Leak(
                self._rows[place], report.against[self._datasets[place]],
                int(self._train_rows[place]), KINDS[self._kinds[place]]))


def find(train: Sequence[DatasetSpec], evaluation: DatasetSpec, *, shape: Shape | None = None,
         near_threshold: float | None = None) -> LeakReport:
    """Look for the rows of an evaluation set in training sets.

    Rows that cannot be used are left out. The memory is about 60 bytes for each row of the
    evaluation set; with ``near_threshold`` some kilobytes.

    Args:
        train: The training sets, each read once.
        evaluation: The evaluation set.
        shape: What its columns mean; None finds out.
        near_threshold: Look for near duplicates too, from this likeness on (slow).

    Raises:
        DatasetError: A file cannot be read, or ``near_missing``.
    """
    report = LeakReport(evaluation.name, [spec.name for spec in train])
    with_texts = near_threshold is not None
    wanted = _Keys()
    for keys in _keys(evaluation, shape or shape_of(evaluation), no_prompt=0,
                      with_texts=with_texts):
        wanted.rows.extend(keys.rows)
        wanted.wholes.extend(keys.wholes)
        wanted.prompts.extend(keys.prompts)
        wanted.texts += keys.texts
    if not wanted.rows:
        return report
    rows = _Evaluation(wanted, near_threshold)
    for number, spec in enumerate(train):
        for keys in _keys(spec, shape_of(spec), no_prompt=1, with_texts=with_texts):
            report.train_rows += len(keys.rows)
            rows.meet(keys, number)
    rows.conclude(report)
    return report
