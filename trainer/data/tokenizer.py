"""From rendered text to token ids and labels, with the ``tokenizers`` library alone.

The template writes all special tokens, so none are added. What a message says never becomes a
special token: where a text has such look-alikes, it is cut at the real special tokens (hard
boundaries, so that cutting there changes nothing) and the rest is encoded as plain text.

A token belongs to the place where it begins. Where one would reach over the edge of a trained
span, the text is cut there before encoding: that is what the model meets when it answers, and it
makes the trained tokens decode to exactly what the assistant says.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from tokenizers import AddedToken, Encoding
from tokenizers import Tokenizer as Engine

from trainer.contract.files import read_json
from trainer.data.chat import Rendered, Span
from trainer.data.rows import DatasetError

IGNORED = -100


@dataclass(frozen=True, slots=True)
class TokenizedRow:
    """One example: ``input_ids: (T,)`` and ``labels: (T,)``, IGNORED where nothing is learned."""

    input_ids: list[int]
    labels: list[int]

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that are learned."""
        return len(self.labels) - self.labels.count(IGNORED)

    @property
    def first_trained(self) -> int:
        """Index of the first learned token; the length when there is none."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORED), len(self))

    @property
    def last_answer(self) -> int:
        """Index at which the last run of learned tokens begins; the length when there is none."""
        for index in range(len(self) - 1, -1, -1):
            if self.labels[index] != IGNORED and (not index or self.labels[index - 1] == IGNORED):
                return index
        return len(self)

    def head(self, length: int) -> TokenizedRow:
        """Return the first ``length`` tokens."""
        return TokenizedRow(self.input_ids[:length], self.labels[:length])


class Tokenizer:
    """A ``tokenizer.json`` that encodes rendered conversations. Safe to use from threads."""

    def __init__(self, engine: Engine) -> None:
        """Take over an engine: padding, truncation and post-processing are switched off."""
        self._engine = _bare(engine)
        added = engine.get_added_tokens_decoder()
        self._special: dict[str, tuple[int, AddedToken]] = {
            token.content: (token_id, token) for token_id, token in added.items()
            if token.special}
        longest_first = sorted(self._special, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._break_ids: list[int] = self._ids("\n")
        one_letter = self._ids("a")
        self._blank_first = self._ids("\na")[len(self._break_ids):] != one_letter
        self._blank_after_special = self._blank_first and any(
            self._ids(token + "a")[1:] == one_letter for token in longest_first[:1])

    @cached_property
    def _plain(self) -> Engine:
        """The engine that reads special tokens as plain text."""
        engine = _bare(Engine.from_str(self._engine.to_str()))
        engine.encode_special_tokens = True
        return engine

    def _ids(self, text: str) -> list[int]:
        return list(self._engine.encode(text, add_special_tokens=False).ids)

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Load ``tokenizer.json`` from a model's folder.

        Raises:
            DatasetError: It is missing or is no tokenizer (``tokenizer_missing``).
        """
        path = folder / "tokenizer.json"
        values = read_json(path)
        if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
            raise DatasetError("tokenizer_missing", f"There is no readable tokenizer.json in "
                               f"'{folder}'.", "Save the model's fast tokenizer there.")
        return cls(Engine.from_file(str(path)))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return str(self._engine.decode(list(ids), skip_special_tokens=False))

    def encode(self, rendered: Rendered) -> TokenizedRow:
        """Encode one rendered conversation; labels are IGNORED outside its trained spans."""
        return self.encode_many([rendered])[0]

    def encode_many(self, rendered: Sequence[Rendered]) -> list[TokenizedRow]:
        """Encode many, on as many threads as ``tokenizers`` uses (RAYON_NUM_THREADS)."""
        encodings = self._engine.encode_batch([item.text for item in rendered],
                                              add_special_tokens=False)
        return [self._label(item, encoding)
                for item, encoding in zip(rendered, encodings, strict=True)]

    def _label(self, item: Rendered, encoding: Encoding) -> TokenizedRow:
        if item.literal:
            return self._encode_in_pieces(item)
        ids, offsets = encoding.ids, encoding.offsets
        labels = _labels(ids, offsets, item.trained)
        return TokenizedRow(ids, labels) if labels is not None else self._encode_in_pieces(item)

    def _encode_in_pieces(self, item: Rendered) -> TokenizedRow:
        """Encode with cuts at the edges of trained spans and at real special tokens."""
        row = TokenizedRow([], [])
        for start, end, trained in _segments(len(item.text), item.trained):
            ids = self._encode_segment(item, start, end)
            row.input_ids.extend(ids)
            row.labels.extend(ids if trained else [IGNORED] * len(ids))
        return row

    def _encode_segment(self, item: Rendered, start: int, end: int) -> list[int]:
        """Encode ``text[start:end]``, keeping look-alikes of special tokens as text."""
        if not any(start <= span[0] < end for span in item.literal):
            return self._encode_text(self._engine, item.text[start:end], blank=not start)
        ids: list[int] = []
        position, blank = start, not start
        for found in self._real_specials(item, start, end):
            token_id, token = self._special[found[0]]
            text = item.text[position:found.start()]
            ids += self._encode_text(self._plain, text.rstrip() if token.lstrip else text,
                                     blank=blank)
            ids.append(token_id)
            position, blank = found.end(), self._blank_after_special
            while token.rstrip and position < end and item.text[position].isspace():
                position += 1
        return ids + self._encode_text(self._plain, item.text[position:end], blank=blank)

    def _real_specials(self, item: Rendered, start: int, end: int) -> Iterator[re.Match[str]]:
        """Yield the special tokens in a segment that the template wrote."""
        literal = set(item.literal)
        position = start
        while found := self._pattern.search(item.text, position, end):
            position = found.end()
            inside = any(a <= found.start() < b for a, b in literal)
            if not inside:
                yield found

    def _encode_text(self, engine: Engine, text: str, *, blank: bool) -> list[int]:
        """Encode a piece without special tokens.

        Some tokenizers put a blank before a text. ``blank`` says whether this piece gets it;
        else it is encoded behind a line break, which is taken away again.
        """
        if not text:
            return []
        if self._blank_first and not blank:
            ids: list[int] = engine.encode("\n" + text, add_special_tokens=False).ids
            if ids[:len(self._break_ids)] == self._break_ids:
                return ids[len(self._break_ids):]
        return list(engine.encode(text, add_special_tokens=False).ids)


def _bare(engine: Engine) -> Engine:
    """Switch off what would change ids or offsets: padding, truncation, post-processing."""
    engine.no_padding()
    engine.no_truncation()
    engine.post_processor = None
    return engine


def _labels(ids: list[int], offsets: list[Span], spans: Sequence[Span]) -> list[int] | None:
    """Return labels, or None when a token reaches over the edge of a span.

    Tokens of one character (parts of an emoji, say) share its offsets, so they stay together.
    """
    labels = [IGNORED] * len(ids)
    last = 0
    for start, end in spans:
        first = bisect_left(offsets, start, lo=last, key=itemgetter(0))
        last = bisect_left(offsets, end, lo=first, key=itemgetter(0))
        over_start = first > 0 and offsets[first - 1][1] > start
        over_end = last > first and offsets[last - 1][1] > end
        if over_start or over_end:
            return None
        labels[first:last] = ids[first:last]
    return labels


def _segments(length: int, spans: Sequence[Span]) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, trained) that together are the whole text."""
    position = 0
    for start, end in spans:
        if start > position:
            yield position, start, False
        yield start, end, True
        position = end
    if position < length:
        yield position, length, False

