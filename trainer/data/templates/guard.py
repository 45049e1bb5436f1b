"""Keeping what a message says text: sentinels around look-alikes of special tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_not
from typing import Any

from trainer.data.shapes.messages import Message
from trainer.data.templates.marks import LITERAL, replace_noncharacters

_FEW = 12
_WRAPPED = f"{LITERAL[0]}\\g<0>{LITERAL[1]}"


class Guard:
    """Knows a tokenizer's special tokens and wraps them where they stand in messages."""

    def __init__(self, special_tokens: Iterable[str]) -> None:
        """Keep the tokens; longer ones are looked for first."""
        longest_first = sorted({*special_tokens} - {""}, key=len, reverse=True)
        self.special = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        begins = {token[:2] for token in longest_first}
        self._few = len(begins) <= _FEW
        self._begins = tuple(begins) if self._few else ("",)

    def is_harmless(self, turns: Sequence[Message], tools: object) -> bool:
        """Tell quickly whether there is certainly nothing to clean or to wrap."""
        if tools or not self._few:
            return False
        for turn in turns:
            text = turn.content
            if turn.tool_calls or turn.name or turn.tool_call_id or not text.isascii():
                return False
            for begin in self._begins:
                if begin in text:
                    return False
        return True

    def clean(self, value: Any) -> Any:
        """Return a value without noncharacters: itself when it has none."""
        return _mapped(value, replace_noncharacters)

    def wrap(self, value: Any) -> Any:
        """Return a clean value with special tokens wrapped: itself when it has none."""
        return _mapped(value, self._wrap)

    def _wrap(self, text: str) -> str:
        for begin in self._begins:
            if begin in text and self.special.search(text):
                return self.special.sub(_WRAPPED, text)
        return text


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Change every text in a value, keys left out; what does not change is not copied."""
    kind = type(value)
    if kind is str:
        return change(value)
    if kind is list or kind is tuple:
        items = [_mapped(item, change) for item in value]
        return items if any(map(is_not, items, value)) else value
    if isinstance(value, Mapping):
        inner = {key: _mapped(item, change) for key, item in value.items()}
        return inner if any(map(is_not, inner.values(), value.values())) else value
    return change(str(value)) if isinstance(value, str) else value
