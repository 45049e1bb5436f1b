"""Looking at every row of a dataset, fast: what is certainly fine is only counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from xxhash import xxh3_64_intdigest

from trainer.data.checking.duplicates import SEPARATOR, RowHashes, hash_example, hash_text
from trainer.data.checking.forms import MAX_COLUMNS, Forms
from trainer.data.checking.near import NearFinder
from trainer.data.checking.oddities import VERY_LONG, Oddities
from trainer.data.checking.report import ColumnFacts, DataReport, ProblemKeeper
from trainer.data.checking.special import SpecialTokens
from trainer.data.reading.rows import Row, RowError, RowProblem
from trainer.data.shapes.convert import convert
from trainer.data.shapes.fast import fast_row, texts_of
from trainer.data.shapes.late import advice, unused_options
from trainer.data.shapes.messages import Example, Remark
from trainer.data.shapes.order import has_noncharacters
from trainer.data.shapes.sample import plain

Item = Row | RowProblem
Where = Callable[[int], str]
IDS = ("id", "_id", "uuid", "uid", "guid", "row_id", "sample_id", "example_id")
_USUAL_ROWS, _USUAL_SHARE = 20, 0.9


class Scan:
    """Looks at rows, counts, and puts what is wrong into a report.

    The memory is that of the report and of one hash a row, two where there is a column of ids.
    """

    def __init__(self, report: DataReport, keeper: ProblemKeeper, where: Where, *,
                 special: SpecialTokens, near: NearFinder | None = None) -> None:
        """Begin.

        Args:
            report: Filled as rows are looked at.
            keeper: Where its problems go.
            where: Names a row for a person: ``Row 7 of a.jsonl``.
            special: Which special tokens are looked for.
            near: Finds near duplicates; None does not look for them.
        """
        self._report, self._keeper, self._where, self._near = report, keeper, where, near
        mapping = report.shape.mapping
        self._look = fast_row(report.shape)
        self._odd = Oddities(special, mapping)
        self._forms, self._hashes, self._ids = Forms(), RowHashes(), RowHashes()
        self._lengths: Counter[int] = Counter()
        self._roles: dict[int, tuple[str, ...]] = {}
        self._turns: Counter[int] = Counter()
        self._role_counts: Counter[str] = Counter()
        self._id_column = ""
        columns = mapping.columns
        self._prompt = columns.prompt or "" if columns.response and not columns.query else ""
        self._usual: str | None = None
        self._usual_rows = 0

    def look_at(self, items: list[Item]) -> None:
        """Look at the next rows; one flat loop, since it runs for each of millions of rows."""
        if not self._report.rows:
            self._begin(items)
        report, look, forms, lengths = self._report, self._look, self._forms.counts, self._lengths
        remember, roles, signs = self._hashes.add, self._roles, self._odd.signs
        id_column, prompt, usual, near = self._id_column, self._prompt, self._usual, self._near
        maybe = self._odd.maybe.search
        characters = longest = 0
        report.rows += len(items)
        for item in items:
            if not isinstance(item, Row):
                self._keeper.keep(item)
                continue
            number, values = item
            form = (tuple(values), tuple(map(type, values.values())))
            if form in forms:
                forms[form] += 1
            else:
                self._forms.begin(form, number)
            if id_column and (value := values.get(id_column)) is not None:
                self._ids.add(number, hash_text(str(value)))
            if prompt and values.get(prompt) == usual:
                self._usual_rows += 1
            texts = look(values)
            if texts is None or near or len(texts) not in roles:
                self._closely(item)
                continue
            text = SEPARATOR.join(texts)
            size = len(text) - len(texts) + 1
            lengths[len(texts)] += 1
            characters += size
            if size > longest:
                longest = size
            remember(number, xxh3_64_intdigest(text.encode()))
            if size > VERY_LONG or not text.isascii():
                if size > VERY_LONG or maybe(text):
                    self._remark(item, text)
                continue
            for sign in signs:
                if sign in text:
                    self._remark(item, text)
                    break
        report.characters += characters
        report.longest = max(report.longest, longest)

    def _begin(self, items: Iterable[Item]) -> None:
        """Find the column of ids, and the most frequent prompt, among the first rows."""
        rows = [item.values for item in items if isinstance(item, Row)]
        names = {plain(name): name for row in reversed(rows) for name in row}
        self._id_column = next((names[name] for name in IDS if name in names), "")
        prompts = Counter(value for row in rows if isinstance(value := row.get(self._prompt), str))
        if prompts:
            self._usual = prompts.most_common(1)[0][0]
        else:
            self._prompt = ""

    def _closely(self, row: Row) -> None:
        """Look at a row that may be wrong, or is the first of its kind."""
        report = self._report
        try:
            example = convert(row, report.shape)
        except RowError as error:
            self._keep(row.number, Remark(error.code, error.column, error.message), error=True)
            return
        report.usable += 1
        texts = texts_of(example)
        text = SEPARATOR.join(texts)
        size = sum(map(len, texts))
        report.characters += size
        report.longest = max(report.longest, size)
        roles = _roles_of(example)
        if len(texts) not in self._roles and self._look(row.values) is not None:
            self._roles[len(texts)] = roles
        self._count_turns(roles, 1)
        if example.label is not None:
            name = "true" if example.label else "false"
            report.labels[name] = report.labels.get(name, 0) + 1
        self._hashes.add(row.number, hash_example(example))
        for remark in example.remarks:
            self._keep(row.number, remark)
        if has_noncharacters(example):
            self._keep(row.number, Remark("noncharacter", "", "has U+FDD0..U+FDEF, which are no "
                                          "characters; they become U+FFFD"))
        if size > VERY_LONG or self._odd.maybe.search(text):
            self._remark(row, text)
        if self._near is not None:
            self._look_for_like(self._near, row.number, text)

    def _look_for_like(self, near: NearFinder, row: int, text: str) -> None:
        first = near.first_like(row, text)
        if first is not None:
            self._report.near_duplicates = (self._report.near_duplicates or 0) + 1
            self._keep(row, Remark("near_duplicate", "", f"says nearly the same as row {first}"))

    def _remark(self, row: Row, text: str) -> None:
        for remark in self._odd.remarks(row.values, text):
            self._keep(row.number, remark)

    def _keep(self, row: int, remark: Remark, *, error: bool = False) -> None:
        self._keeper.keep(RowProblem(row, remark.column, remark.code,
                                     f"{self._where(row)} {remark.message}.",
                                     "error" if error else "warning"))

    def _count_turns(self, roles: tuple[str, ...], rows: int) -> None:
        self._turns[len(roles) - roles.count("system")] += rows
        for role in roles:
            self._role_counts[role] += rows

    def summarise(self) -> None:
        """Bring the report's counts up to date; columns are only counted at the end."""
        report = self._report
        for length, rows in self._lengths.items():
            report.usable += rows
            self._count_turns(self._roles[length], rows)
        self._lengths.clear()
        report.turns = {turns: rows for turns, rows in sorted(self._turns.items()) if turns}
        report.roles = dict(self._role_counts)

    def finish(self, *, lines: bool = False) -> None:
        """Look at the dataset as a whole: what repeats, what is mixed.

        Args:
            lines: The rows are lines of a text, of which some are naturally the same: they are
                counted, not named.
        """
        self.summarise()
        report, mapping = self._report, self._report.shape.mapping
        columns = self._forms.columns()
        report.columns = dict(islice(columns.items(), MAX_COLUMNS))
        report.more_columns = len(columns) - len(report.columns)
        for row, first in self._hashes.repeats():
            report.duplicates += 1
            if not lines:
                self._keep(row, Remark("duplicate", "", f"says the same as row {first}"))
        for row, first in self._ids.repeats():
            self._keep(row, Remark("duplicate_id", self._id_column, "has the same "
                                   f"'{self._id_column}' as row {first}"))
        known: dict[str, str] = mapping.columns.model_dump(exclude_none=True)
        for row, column, words in self._forms.mixed(known.values()):
            self._keeper.keep(RowProblem(row, column, "mixed_types", f"The column '{column}' "
                                         f"{words}; the first of those is row {row}.", "warning"))
        if mapping.aliases:
            self._say_unused(columns)
        rows = report.rows
        if self._usual_rows >= max(_USUAL_ROWS, rows * _USUAL_SHARE):
            report.notes.append(f"{self._usual_rows:,} of {rows:,} rows have the same text in "
                                f"'{self._prompt}'.")
        if len(report.labels) == 1 and report.usable > 1:
            report.notes.append(f"Every row is labelled {next(iter(report.labels))}: there is "
                                "nothing to tell apart.")


    def _say_unused(self, columns: Mapping[str, ColumnFacts]) -> None:
        """Say which columns could be read and are not: they came after the rows looked at."""
        shape = self._report.shape
        types = {name: facts.types for name, facts in columns.items()}
        for role, name in unused_options(shape, types):
            self._report.notes.append(
                f"The column '{name}' first comes in row {self._forms.first_row(name):,} and is "
                f"not used; to use it, say so with {advice(shape, role, name)}.")


def _roles_of(example: Example) -> tuple[str, ...]:
    """Return who speaks, turn by turn; of a pair with the chosen answer."""
    return tuple(turn.role for turn in (*example.messages, *example.chosen))


def scan_of(report: DataReport, keeper: ProblemKeeper, where: Where, *,
            special_tokens: Iterable[str], near_threshold: float | None) -> Scan:
    """Return a scan with what it needs; near duplicates are looked for when there is a threshold.

    Raises:
        DatasetError: ``near_missing``.
    """
    near: Any = None
    if near_threshold is not None:
        near, report.near_duplicates = NearFinder(near_threshold), 0
    return Scan(report, keeper, where, special=SpecialTokens(special_tokens), near=near)
