"""JSON: a list of rows, bare or inside an object, or JSON Lines, whichever a file holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from trainer.data.reading.batches import Batch, Item, Source
from trainer.data.reading.bytesource import lines, opened
from trainer.data.reading.jsonstream import BrokenJson, JsonText, first_character
from trainer.data.reading.lines import json_row, read_lines, row_of
from trainer.data.reading.rows import DatasetError, Row, RowProblem, shown
from trainer.data.reading.wrapped import enter, leave, list_inside, no_list

_BATCH = 1000
# Lines that are tried when the first one is broken.
_LOOKED_AT = 10
_OPENING = re.compile(r'\{(\s*)("(?:[^"\\]|\\.)*")?')


def read_json(source: Source) -> Iterator[Batch]:
    """Read a list of rows, or JSON Lines.

    Raises:
        DatasetError: It is neither.
    """
    with opened(source.part) as stream:
        start = first_character(stream)
    if start == "{":
        return _read_objects(source)
    if start == "[":
        return read_array(source)
    if not start:
        return iter(())
    raise DatasetError("not_json", f"'{source.part.name}' is not JSON: it begins with '{start}'.",
                       "Save it as a JSON list of objects, or as JSON Lines.")


def _first_lines(source: Source) -> list[bytes]:
    """Return the first lines that are not blank."""
    found: list[bytes] = []
    with opened(source.part) as stream:
        for _, block in lines(stream):
            found += [line.strip() for line in (block or b"").split(b"\n") if line.strip()]
            if len(found) > 1 or block is None:
                break
    return found


def _read_objects(source: Source, found: list[bytes] | None = None) -> Iterator[Batch]:
    """Read a file that begins with an object: JSON Lines, or one object with a list of rows in it.

    Raises:
        DatasetError: It holds a single object rather than rows.
    """
    found = _first_lines(source) if found is None else found
    whole = bool(found) and isinstance(json_row(1, found[0]), Row)
    if (not whole or len(found) == 1) and (key := list_inside(source.part, one_line=whole)):
        source.watch.note(f"The rows of '{source.part.name}' are the list '{key}' inside one "
                          "object.")
        return read_array(source, key)
    if whole or any(isinstance(json_row(1, line), Row) for line in found[1:_LOOKED_AT]):
        return read_lines(source)
    raise no_list(source.part)


def read_jsonl(source: Source) -> Iterator[Batch]:
    """Read JSON Lines; also a list of rows under this name, which is said."""
    found = _first_lines(source)
    if found and found[0].startswith(b"[") and (
            len(found) == 1 or found[0] == b"[" or found[0].endswith((b",", b"{"))):
        source.watch.note(f"'{source.part.name}' holds a JSON list, not JSON Lines, and is read "
                          "as a list.")
        return read_array(source)
    if len(found) > 1 and found[0] == b"{" and found[1].startswith(b'"'):
        return _read_objects(source, found)
    return read_lines(source)


def read_array(source: Source, key: str = "") -> Iterator[Batch]:
    """Read the elements of a JSON list as rows, numbered from 1.

    Args:
        source: The file.
        key: Where the list stands in the object that the file is; '' for a bare list.
    """
    with opened(source.part, source.watch) as stream:
        stream.seek(source.offset)
        text = JsonText(stream)
        if not source.offset:
            text.peek()
            if key:
                enter(text)
            else:
                text.position += 1
            if text.peek() == "]":
                return
        behind = partial(leave, text, key, source.part.name) if key else text.peek
        elements, number, more = _Elements(text, behind).rows(source.row), source.row, True
        while more:
            text.peek()
            offset, piece, items = text.offset(), text.pieces, list[Item]()
            for item in elements:
                items.append(item)
                if text.pieces != piece or len(items) == _BATCH:
                    break
            else:
                more = False
            yield Batch(number, offset if stream.can_seek else 0, items, number + len(items))
            number += len(items)
        stream.finish()


class _Elements:
    """The elements of a list, one after the other, also behind broken ones.

    Where an element is broken the next one is looked for: what begins as the others do. Inside
    a text no such thing can stand, because line ends and quotes are escaped there.
    """

    def __init__(self, text: JsonText, behind: Callable[[], str]) -> None:
        """Begin at an element; ``behind`` tells what is left over after the end of the list."""
        self._text, self._behind = text, behind
        self._space, self._last, self._taken = "", "", ""

    def rows(self, number: int) -> Iterator[Item]:
        """Yield elements; meanwhile the position is that of the next one, behind the comma."""
        text, more = self._text, True
        while more:
            if text.peek() == "]":
                yield from self._comma_too_many(number)
                return
            space = text.space
            try:
                item = self._element(number)
            except BrokenJson as error:
                self._space = self._space or space
                more = self._next(text.buffer[text.position:text.position + 200])
                yield _broken(number, str(error), more)
                number += 1
                continue
            after = text.peek()
            if after == "," or isinstance(item, Row):
                self._space = space or self._space
            if after == ",":
                text.position += 1
                self._last = self._taken
                yield item
                number += 1
                continue
            items, more = self._end(number, item, after)
            yield from items
            number += len(items)

    def _comma_too_many(self, number: int) -> Iterator[Item]:
        """End a list whose last element has a comma behind it, as people write it by hand."""
        text = self._text
        text.position += 1
        if after := self._behind():
            yield _broken(number, f"{shown(after)} stands behind the end of the list at "
                          f"{text.where(text.position)}", False)

    def _element(self, number: int) -> Item:
        value, wrong = self._text.value()
        self._taken = self._text.taken
        if wrong:
            return RowProblem(number, "", "not_utf8", f"is not UTF-8 ({wrong})")
        return row_of(number, value)

    def _end(self, number: int, item: Item, after: str) -> tuple[list[Item], bool]:
        """Return the last element and the problem behind it; True when there are more elements."""
        text = self._text
        what = f"expected ',' or ']' but found {shown(after)}" if after else "the list is open"
        ended = after == "]"
        if ended:
            text.position += 1
            after = self._behind()
            what = f"{shown(after)} stands behind the end of the list"
            if not after:
                return [item], False
        why = f"{what} at {text.where(text.position)}"
        more = self._next("", inclusive=ended)
        if after not in {"", "{"} and (more or not ended):
            return [_broken(number, why, more)], more
        return [item, _broken(number + 1, why, more)], more

    def _next(self, opening: str, *, inclusive: bool = False) -> bool:
        """Go to the element after a broken one; False when it cannot be told where it begins."""
        for pattern in self._beginnings(opening):
            if not pattern.search(self._last):
                return self._text.skip_to(pattern, inclusive)
        return False

    def _beginnings(self, opening: str) -> Iterator[re.Pattern[str]]:
        """Yield how an element may begin; what also occurs inside of one is of no use.

        On lines of their own by the white space before it, or also by what follows; else by a
        comma and the first key.
        """
        found = _OPENING.match(self._last or opening)
        if "\n" in self._space:
            margin = re.escape("\n" + self._space.rpartition("\n")[2])
            yield re.compile(margin + r"(?=[^\s\]},])")
            if found:
                yield re.compile(margin + r"(?=\{" + re.escape(found[1]) + '")')
        elif found and found[2]:
            yield re.compile(r",\s*(?=\{" + re.escape(found[1] + found[2]) + ")")


def _broken(number: int, why: str, more: bool) -> RowProblem:
    rest = "" if more else "; nothing after it can be read"
    return RowProblem(number, "", "not_json", f"is not JSON: {why}{rest}")
