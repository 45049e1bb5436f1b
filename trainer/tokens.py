"""Datasets as tokens: prepared once, kept in Arrow files, and chosen from by row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from trainer.context import Context
from trainer.contract.config import OBJECTIVES, DatasetUse, RowKind
from trainer.contract.events import ProgressEvent, Stage
from trainer.data import DataReport, check
from trainer.data.catalog import registry
from trainer.data.catalog.registry import Fetching
from trainer.data.children.prepare import Prepared, PrepareRequest, prepare
from trainer.data.children.workers import DataWorker
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.objectives import PAIR_KINDS
from trainer.data.tokens.tokenize import Counts

SplitName = Literal["train", "eval"]
COLUMNS: dict[RowKind, tuple[str, ...]] = {
    "turns": ("input_ids", "labels"), "text": ("input_ids", "labels"),
    "pairs": ("prompt_ids", "chosen_ids", "rejected_ids"),
    "judged": ("prompt_ids", "completion_ids", "label"),
    "prompts": ("prompt_ids", "prompt", "question", "reference"),
    "labelled": ("input_ids", "label")}


@dataclass(frozen=True)
class TokenSet:
    """One dataset of a split as tokens; ``request`` says how its rows are found again."""

    split: SplitName
    use: DatasetUse
    request: PrepareRequest
    prepared: Prepared

    @property
    def name(self) -> str:
        """The dataset's name, with what tells it from others of that name."""
        parts = [part for part in (self.use.subset, self.use.split) if part]
        return f"{self.prepared.name} ({', '.join(parts)})" if parts else self.prepared.name

    @property
    def splits_pairs(self) -> bool:
        """Whether each pair was read as a desired and an undesired answer."""
        return self.request.rows == "judged" and self.prepared.kind in PAIR_KINDS

    @property
    def source(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"name": self.name, "split": self.split, "sha256": self.prepared.sha256,
                "rows": self.prepared.counts.rows}

    @cached_property
    def table(self) -> Any:
        """The token rows as a datasets.Dataset; they stay in the file."""
        from datasets import Dataset

        return Dataset.from_file(str(self.prepared.file))

    def numbers(self, name: str) -> list[int]:
        """Return a column of one value a row: row, length, trained, cut or label."""
        values: list[int] = self.table.data.column(name).to_pylist()
        return values


@dataclass(frozen=True)
class Rows:
    """Some rows of several sets, in an order.

    ``order`` holds places in the sets one after the other. ``classes`` number the labels of texts
    with a class: in the files these are names.
    """

    sets: tuple[TokenSet, ...]
    objective: str
    order: list[int]
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, sets: Sequence[TokenSet], objective: str) -> Rows:
        """Take all rows of all sets that have any."""
        kept = tuple(one for one in sets if one.prepared.rows)
        return cls(kept, objective, list(range(sum(one.prepared.rows for one in kept))))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.order)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that TRL's collators read."""
        return COLUMNS[OBJECTIVES[self.objective].rows]

    def pick(self, indices: Sequence[int]) -> Rows:
        """Return some of the rows, in the order given."""
        return replace(self, order=[self.order[i] for i in indices])

    def numbers(self, name: str) -> list[int]:
        """Return a column of one value a row, in this order; see ``TokenSet.numbers``."""
        whole = [value for one in self.sets for value in one.numbers(name)]
        return [whole[i] for i in self.order]

    def lengths(self) -> list[int]:
        """Return how many tokens each row has."""
        return self.numbers("length")

    def sum(self, name: str) -> int:
        """Return the sum of a column of numbers."""
        return sum(self.numbers(name))

    def owners(self) -> list[int]:
        """Return which of the sets each row belongs to."""
        whole = [index for index, one in enumerate(self.sets) for _ in range(one.prepared.rows)]
        return [whole[i] for i in self.order]

    def groups(self) -> list[list[int]]:
        """Return the rows that belong together: both answers of a judged pair, else each alone."""
        if OBJECTIVES[self.objective].rows != "judged":
            return [[index] for index in range(len(self))]
        found: dict[tuple[int, int], list[int]] = {}
        for index, key in enumerate(zip(self.owners(), self.numbers("row"), strict=True)):
            found.setdefault(key, []).append(index)
        return list(found.values())

    def counts(self) -> list[int]:
        """Return how many rows each set has."""
        owners = self.owners()
        return [owners.count(index) for index in range(len(self.sets))]

    def dataset(self) -> Any:
        """Return the rows as TRL's collators read them."""
        from datasets import concatenate_datasets

        whole = concatenate_datasets([one.table for one in self.sets])
        if self.classes:
            from trainer.classes import numbered

            whole = numbered(whole, self.classes)
        kept = whole.select_columns(list(self.columns))
        return kept if self.order == list(range(len(whole))) else kept.select(self.order)


def prepare_all(context: Context, model_folder: Path, worker: DataWorker,
                split: SplitName) -> tuple[TokenSet, ...]:
    """Tokenise the datasets of a split, one after the other.

    Raises:
        DatasetError: One is missing, does not fit the objective, or has bad rows.
        TemplateError: The chat template refuses a row.
    """
    return tuple(_prepare(context, model_folder, worker, use, split)
                 for use in context.config.data.uses(split))


def _prepare(context: Context, model_folder: Path, worker: DataWorker, use: DatasetUse,
             split: SplitName) -> TokenSet:
    context.emit.stage("reading", use.name)
    _fetch(context, use)
    context.emit.stage("tokenizing", use.name)
    request = PrepareRequest.of(context.config, use, model_folder=model_folder, home=context.home,
                                folder=None if context.home else context.run.path / "tokens")
    if split == "eval":
        request = request.for_eval(use.max_samples)
    try:
        prepared = prepare(request, progress=_Pace(context, "tokenizing", "rows"),
                           cancel=context.stop.cancel, worker=worker)
    except DatasetError as error:
        if error.code == "bad_rows":
            _report(request).require()
        raise
    found = TokenSet(split, use, request, prepared)
    if found.splits_pairs:
        context.emit.choose("data.train" if split == "train" else "data.eval", found.name,
                            "each pair is read as a desired and an undesired answer")
    if prepared.reused:
        context.emit.choose("tokens", "reused", f"'{found.name}' was tokenised before: same "
                            "data, tokenizer, template and settings")
    _warn_of_bad_rows(context, found)
    return found


def _warn_of_bad_rows(context: Context, found: TokenSet) -> None:
    counts = found.prepared.counts
    first = _report(found.request).first_error() if counts.bad_rows else None
    if bad := counts.bad_rows + counts.refused:
        why = "their class is none of classification.labels." if found.request.labels \
            else "the template refuses them."
        context.emit.warn("bad_rows", f"{bad:,} of {counts.rows:,} rows of '{found.name}' are "
                          f"skipped: {first.message if first else why}")


def _report(request: PrepareRequest) -> DataReport:
    """Read a dataset with bad rows once more, to say how many and which."""
    spec = request.data.spec()
    return check(spec, objective=request.objective, shape=request.data.shape(spec),
                 max_samples=request.max_samples)


def _fetch(context: Context, use: DatasetUse) -> None:
    """Fetch a hub dataset that is not here yet; the workers only read."""
    if context.home is None:
        return
    registry.load(context.home / "data").resolve_use(use, fetch=Fetching(
        True, _Pace(context, "reading", "bytes"), context.stop.cancel))


class _Pace:
    """Says how far a stage is, and how long it will take, at most a few times a second."""

    def __init__(self, context: Context, stage: Stage, unit: str) -> None:
        self._context, self._stage, self._unit = context, stage, unit
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Take note of what is done."""
        now = time.monotonic()
        if now - self._said < 0.2 and done < total:
            return
        self._said = now
        left = (now - self._began) / done * (total - done) if 0 < done <= total else None
        self._context.emit(ProgressEvent(stage=self._stage, done=done, total=total,
                                         unit=self._unit, eta_s=left))


def total(sets: Sequence[TokenSet]) -> Counts:
    """Add up what became of the rows of several sets."""
    whole = Counts()
    for one in sets:
        whole.merge(one.prepared.counts)
    return whole
