"""Tokens as text that grows: whole characters only, and nothing of a stop string is ever shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.generate import cut_at

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNFINISHED = "\ufffd"
_PRIMING = 6


class Speech:
    """The text of one answer.

    Only the last few tokens are decoded anew with each token: the cost of a long answer grows as
    its length does.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, hidden: frozenset[int] = frozenset(),
                 stops: Sequence[str] = (), before: Sequence[int] = ()) -> None:
        """Begin an answer.

        Args:
            tokenizer: Of the model.
            hidden: Tokens that have no text: the special ones.
            stops: Texts that end the answer and are no part of it.
            before: The prompt, where the answer goes on with its text: then a blank between the
                two is the answer's.
        """
        self._tokenizer, self._hidden, self._stops = tokenizer, hidden, tuple(stops)
        self._ids = [token for token in before if token not in hidden][-_PRIMING:]
        self._start, self._read = 0, len(self._ids)
        self._held = ""
        self.stopped = False

    def hear(self, token: int) -> str:
        """Take a token; returns the text that is sure by now.

        ``stopped`` tells whether a stop string was found: the text ended before it.
        """
        if token not in self._hidden:
            self._ids.append(token)
        return self._release(self._decode())

    def finish(self) -> str:
        """Return what was still held back."""
        if self.stopped:
            return ""
        whole, self._held = self._held + self._decode(last=True), ""
        rest = cut_at(whole, self._stops)
        self.stopped = rest != whole
        return rest

    def _decode(self, last: bool = False) -> str:
        """Return the text that the newest tokens add, '' while a character is not whole."""
        if self._read == len(self._ids):
            return ""
        known = self._text(self._ids[self._start:self._read])
        whole = self._text(self._ids[self._start:])
        if not last and (len(whole) <= len(known) or whole.endswith(UNFINISHED)):
            return ""
        self._start, self._read = self._read, len(self._ids)
        return whole[len(known):]

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False,
                                          clean_up_tokenization_spaces=False))

    def _release(self, more: str) -> str:
        text = self._held + more
        cut = cut_at(text, self._stops)
        if cut != text:
            self.stopped, self._held = True, ""
            return cut
        sure = len(text) - beginning(text, self._stops)
        self._held = text[sure:]
        return text[:sure]


def beginning(text: str, wanted: Sequence[str]) -> int:
    """Return how many characters at a text's end may be the beginning of one of the texts."""
    return max((length for one in wanted for length in range(1, len(one))
                if text.endswith(one[:length])), default=0)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the tokens that ``decode`` leaves out with ``skip_special_tokens``, and their text."""
    return {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()
            if token.special}
