"""What is odd in a row that can be used: special tokens, lost characters, text without end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.data.checking.special import SpecialTokens
from trainer.data.reading.rows import shown
from trainer.data.shapes.mapping import ColumnMap
from trainer.data.shapes.messages import Remark
from trainer.data.shapes.paths import lift

VERY_LONG = 200_000
# UTF-8 that was read as Latin-1 or Windows-1252, and what stands for a lost character.
_GARBLED = re.compile("\ufffd|\u00c3[\u0080-\u00bf]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac"
                      "[\u0098-\u009d\u00a6\u02dc\u2122\u0153\u201c\u201d]")
# Those that break tools and terminals; others are rare and do no harm.
_CONTROLS = "\x00\x08\x1b\x7f"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_RARE = f"{_CONTROLS}\ufffd\u00c2\u00c3\u00e2"


class Oddities:
    """Finds what is odd in texts.

    ``signs`` are what an odd text of ASCII has one of, ``maybe`` finds what any odd text has;
    both only say that it is worth looking.
    """

    def __init__(self, special: SpecialTokens, mapping: ColumnMap) -> None:
        """Look for these special tokens, in these columns."""
        self._special, self._mapping = special, mapping
        self.signs = (*special.signs, *_CONTROLS)
        self.maybe = re.compile(f"[{re.escape(''.join(special.signs))}{_RARE}]")

    def remarks(self, values: Mapping[str, Any], text: str) -> Iterator[Remark]:
        """Yield what is odd in a row.

        Args:
            values: The row.
            text: All its texts, with control characters (U+001F) between them.
        """
        if len(text) > VERY_LONG:
            yield Remark("very_long", "", f"has {len(text):,} characters")
        if token := self._special.find(text):
            column = self._column(values, token)
            yield Remark("special_token", column, f"has the special token '{token}'{_in(column)}; "
                         "it is learned as plain text")
        if found := _CONTROL.search(text):
            column = self._column(values, found.group())
            yield Remark("control_character", column, "has the control character "
                         f"U+{ord(found.group()):04X}{_in(column)}")
        if not text.isascii() and (found := _GARBLED.search(text)):
            column = self._column(values, found.group())
            around = text[max(0, found.start() - 10):found.end() + 10]
            yield Remark("garbled", column, f"has garbled characters{_in(column)}: "
                         f"{shown(around)}; it was written or read in another encoding")

    def _column(self, values: Mapping[str, Any], part: str) -> str:
        """Return the first named column that holds a part of a text."""
        if self._mapping.paths:
            values = lift(dict(values), self._mapping.paths)
        names: dict[str, str] = self._mapping.columns.model_dump(exclude_none=True)
        for name in names.values():
            value = values.get(name)
            if isinstance(value, str):
                if part in value:
                    return name
            elif value and json.dumps(part)[1:-1] in json.dumps(value, default=str):
                return name
        return ""


def _in(column: str) -> str:
    return f" in '{column}'" if column else ""
