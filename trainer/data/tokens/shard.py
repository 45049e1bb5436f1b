"""One process's part of tokenising a dataset: rows in, an Arrow file out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.config.facts import OBJECTIVES
from trainer.data.reading.readers import read
from trainer.data.reading.rowindex import RowIndex, Watch
from trainer.data.reading.rows import DatasetError, RowError, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.messages import Example
from trainer.data.shapes.uses import Use
from trainer.data.templates.limits import few_collections
from trainer.data.tokens.arrows import Layout, TokenWriter, join
from trainer.data.tokens.loaded import encoder_of, load
from trainer.data.tokens.plan import require_same
from trainer.data.tokens.pretrain import cut_blocks
from trainer.data.tokens.request import PrepareRequest, Say, every, sound_shape
from trainer.data.tokens.survey import INDEX, REPEATS, read_repeats
from trainer.data.tokens.tokenize import Counts, Preparer


@dataclass(frozen=True)
class Range:
    """The rows of one shard, ``start`` to ``last``; None: to the end.

    ``index`` says where rows are, ``repeats`` which are left out as duplicates.
    """

    start: int = 1
    last: int | None = None
    index: RowIndex | None = None
    repeats: frozenset[int] = frozenset()

    @classmethod
    def of(cls, params: Mapping[str, Any], spec: DatasetSpec) -> Range:
        """Read it from the params of ``shard``: after a survey its findings are used."""
        folder = Path(params["work_folder"])
        if params.get("last") is None:
            return cls()
        return cls(params["start"], params["last"], RowIndex.load(folder / INDEX, spec),
                   read_repeats(folder / REPEATS))


def shard(params: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Tokenise a range of rows into ``work_folder / out``.

    Args:
        params: A PrepareRequest's document; ``work_folder``, ``out``, ``stamp``, and after a survey
            ``start`` and ``last``.
        say: Told of ``rows`` done, ``bytes_done`` and ``bytes_total``.

    Returns:
        The counts.

    Raises:
        DatasetError: A row is bad and not to be skipped, or the data changed meanwhile.
        TemplateError: The template refuses a row (named), and bad rows are not skipped.
    """
    request = PrepareRequest.from_document(params)
    spec = request.data.spec()
    require_same(spec, params["stamp"])
    model = load(request.model_folder, request.template)
    preparer = Preparer(encoder_of(model, request.rows, params), request.bad_rows)
    rows = _Rows(request, spec, Range.of(params, spec), preparer.counts, every(say))
    layout: Layout = "documents" if request.rows == "text" else request.rows
    target = Path(params["work_folder"]) / params["out"]
    with few_collections(), TokenWriter(target, layout) as writer:
        for fitted in preparer.prepare(rows.examples()):
            writer.add(fitted)
    require_same(spec, params["stamp"])
    return preparer.counts.document()


@dataclass
class _Rows:
    """The examples of a range of rows, with everything that is left out counted."""

    request: PrepareRequest
    spec: DatasetSpec
    range: Range
    counts: Counts
    tick: Callable[..., None]
    watch: Watch = field(default_factory=Watch)

    def examples(self) -> Iterator[Example]:
        """Yield the examples that are to be rendered."""
        shape = sound_shape(self.request.data, self.spec, self.request.objective)
        use = Use(shape, self.request.rows, self.request.labels)
        reason = self._filter()
        watch, counts, parts = self.watch, self.counts, 2 if use.splits_pairs else 1
        for done, item in enumerate(self._read(), 1):
            counts.rows += parts
            self.tick(rows=done, bytes_done=watch.bytes_done, bytes_total=watch.bytes_total)
            example = self._convert(item, use)
            if example is None:
                counts.bad_rows += parts
            elif example.row in self.range.repeats:
                counts.duplicates += parts
            elif reason(example):
                counts.filtered += parts
            else:
                yield from use.parts(example)

    def _read(self) -> Iterator[Any]:
        last = self.range.last
        limit = self.request.max_samples if last is None else None
        for item in read(self.spec, max_samples=limit, start=self.range.start,
                         index=self.range.index, watch=self.watch):
            number = item.row if isinstance(item, RowProblem) else item.number
            if last is not None and number > last:
                return
            yield item

    def _convert(self, item: Any, use: Use) -> Example | None:
        """Return the row in the normal form; None for a bad one that is skipped."""
        problem = item
        if not isinstance(item, RowProblem):
            try:
                return use.whole(item)
            except RowError as error:
                where = self.watch.where(self.spec, item.number)
                problem = RowProblem(item.number, error.column, error.code,
                                     f"{where} {error.message}.")
        if self.request.bad_rows == "refuse":
            raise DatasetError("bad_rows", problem.message,
                               "Fix it, or choose to skip bad rows.")
        return None

    def _filter(self) -> Callable[[Example], str]:
        if not self.request.filters.active:
            return lambda example: ""
        from trainer.data.checking.filters import Filter

        return Filter(self.request.filters).reason


def finish(params: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Join the files of all shards into ``work_folder / out``; plain text becomes blocks.

    Args:
        params: ``work_folder``, ``parts`` (file names in order), ``out``, ``objective``,
            ``max_length`` and ``counts``, the sum of the shards'.
        say: Not told anything.

    Returns:
        The counts.
    """
    folder = Path(params["work_folder"])
    parts = [folder / name for name in params["parts"]]
    counts = Counts(**params["counts"])
    if OBJECTIVES[params["objective"]].rows == "text":
        with TokenWriter(folder / params["out"], "text") as writer:
            cut_blocks(parts, writer, params["max_length"], counts)
    else:
        join(parts, folder / params["out"])
    for name in (INDEX, REPEATS):
        (folder / name).unlink(missing_ok=True)
    return counts.document()
