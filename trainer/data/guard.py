"""Keeping what a message says text: sentinels around look-alikes of special tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trainer.data.marks import LITERAL, replace_noncharacters

_FEW = 12


class Guard:
    """Knows a tokenizer's special tokens and wraps them where they stand in messages."""

    def __init__(self, special_tokens: Iterable[str]) -> None:
        """Keep the tokens; longer ones are looked for first."""
        longest_first = sorted({*special_tokens} - {""}, key=len, reverse=True)
        self.special = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        begins = {token[:2] for token in longest_first}
        self._begins = tuple(begins) if len(begins) <= _FEW else ("",)

    def clean(self, value: Any) -> Any:
        """Return a value without noncharacters: itself when it has none."""
        return _mapped(value, replace_noncharacters)

    def wrap(self, value: Any) -> Any:
        """Return a clean value with special tokens wrapped: itself when it has none."""
        return _mapped(value, self._wrap)

    def _wrap(self, text: str) -> str:
        for begin in self._begins:
            if begin in text:
                return self.special.sub(f"{LITERAL[0]}\\g<0>{LITERAL[1]}", text)
        return text


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Change every text in a value, keys left out; what does not change is not copied."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if (changed := _mapped(item, change)) is not item and changed != item:
                return {**value, key: changed, **{k: _mapped(v, change) for k, v in value.items()
                                                  if k != key}}
        return value
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if (changed := _mapped(item, change)) is not item and changed != item:
                return [*value[:index], changed,
                        *(_mapped(rest, change) for rest in value[index + 1:])]
    return value
