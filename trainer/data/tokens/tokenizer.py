"""From rendered text to token ids and labels, with the ``tokenizers`` library alone.

The template writes all special tokens, so none are added. What a message says never becomes a
special token: where a text has such look-alikes, it is cut at the real special tokens (hard
boundaries, so that cutting there changes nothing) and the rest is encoded as plain text.

A token belongs to the place where it begins. Where one would reach over the edge of a trained
span, the text is cut there before encoding: that is what the model meets when it answers, and it
makes the trained tokens decode to exactly what the assistant says.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from tokenizers import AddedToken, Encoding
from tokenizers import Tokenizer as Engine

from trainer.contract.files import read_json
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.chat import Rendered, Span

IGNORED = -100


@dataclass(frozen=True, slots=True)
class TokenizedRow:
    """One example: ``input_ids: (T,)`` and which of them are learned.

    ``trained`` are spans [first, last) of tokens, in order. ``last_answer`` is where the
    assistant's last answer begins; -1 when it says nothing.
    """

    input_ids: list[int]
    trained: tuple[Span, ...] = ()
    last_answer: int = -1

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.input_ids)

    @property
    def labels(self) -> list[int]:
        """``(T,)``: the ids, IGNORED where nothing is learned."""
        labels: list[int] = []
        for first, last in self.trained:
            labels += [IGNORED] * (first - len(labels))
            labels += self.input_ids[first:last]
        return labels + [IGNORED] * (len(self.input_ids) - len(labels))

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that are learned."""
        return sum(last - first for first, last in self.trained)

    @property
    def first_trained(self) -> int:
        """Index of the first token that is learned; the length when there is none."""
        return self.trained[0][0] if self.trained else len(self)

    def head(self, length: int) -> TokenizedRow:
        """Return the first ``length`` tokens."""
        trained = tuple((first, min(last, length)) for first, last in self.trained
                        if first < length)
        return TokenizedRow(self.input_ids[:length], trained, self.last_answer)


def all_trained(ids: list[int]) -> TokenizedRow:
    """Return a row of which every token is learned."""
    return TokenizedRow(ids, ((0, len(ids)),) if ids else (), 0)


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
        self._may_cut = not self._blank_first and _is_byte_level(engine) and not any(
            token.lstrip or token.rstrip or token.single_word for token in added.values())

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

    @property
    def special_tokens(self) -> dict[str, int]:
        """Every special token's text and id."""
        return {text: token_id for text, (token_id, _) in self._special.items()}

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids of the special tokens."""
        return frozenset(self.special_tokens.values())

    def token_id(self, text: str) -> int | None:
        """Return the id of one token by its text; None when there is no such token."""
        found: int | None = self._engine.token_to_id(text)
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return str(self._engine.decode(list(ids), skip_special_tokens=False))

    def begins_special(self, text: str, place: int) -> bool:
        """Tell whether a special token's text begins at a place."""
        return self._pattern.match(text, place) is not None

    def plain(self, text: str) -> Rendered:
        """Return a text in which nothing is a special token, whatever it looks like."""
        return Rendered(text, literal=tuple(m.span() for m in self._pattern.finditer(text)))

    def encode(self, rendered: Rendered) -> TokenizedRow:
        """Encode one rendered conversation; labels are IGNORED outside its trained spans."""
        return self.encode_many([rendered])[0]

    def encode_many(self, rendered: Sequence[Rendered]) -> list[TokenizedRow]:
        """Encode many, on as many threads as ``tokenizers`` uses (RAYON_NUM_THREADS)."""
        encodings = iter(self.encode_batch(rendered))
        return [self.row(item, encodings) for item in rendered]

    def encode_batch(self, rendered: Sequence[Rendered]) -> list[Encoding]:
        """Encode texts or their pieces, for ``row``; other threads of Python run meanwhile."""
        if self._may_cut:
            return self._engine.encode_batch_fast(
                [piece for item in rendered for piece in _pieces(item)], add_special_tokens=False)
        return self._engine.encode_batch([item.text for item in rendered if not item.literal],
                                         add_special_tokens=False)

    def row(self, item: Rendered, encodings: Iterator[Encoding]) -> TokenizedRow:
        """Make a row of a rendered conversation and its part of what ``encode_batch`` returned.

        A byte-level tokenizer reads a text that is cut at the edges as it reads it whole, unless
        a token would reach over one; so it is cut always, and needs no offsets, which are dear.
        """
        if item.literal:
            return self._encode_in_pieces(item)
        if self._may_cut:
            return _joined(item, encodings)
        encoding = next(encodings)
        places = _token_places(encoding, _edges(item), len(item.text))
        return self._encode_in_pieces(item) if places is None else _row(item, encoding.ids, places)

    def _encode_in_pieces(self, item: Rendered) -> TokenizedRow:
        """Encode with cuts at the edges of spans and at real special tokens."""
        ids: list[int] = []
        places: dict[int, int] = {}
        position = 0
        for edge in [*_edges(item), len(item.text)]:
            if edge > position:
                ids += self._encode_segment(item, position, edge)
                position = edge
            places[edge] = len(ids)
        return _row(item, ids, places)

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


def _is_byte_level(engine: Engine) -> bool:
    """Tell whether bytes are merged, so that each character is read, wherever it stands."""
    values = json.loads(engine.to_str())
    steps = values.get("pre_tokenizer") or {}
    names = [step.get("type") for step in steps.get("pretokenizers", [steps])]
    normal = values.get("normalizer") or {}
    kinds = {step.get("type") for step in normal.get("normalizers", [normal])}
    return (values["model"].get("type") == "BPE" and names[-1:] == ["ByteLevel"]
            and kinds <= {None, "NFC", "Sequence"})


def _pieces(item: Rendered) -> list[str]:
    """Cut a text at its edges; one with look-alikes of special tokens is left for later."""
    if item.literal:
        return []
    text, position = item.text, 0
    pieces: list[str] = []
    for edge in [*_edges(item), len(text)]:
        if edge > position:
            pieces.append(text[position:edge])
            position = edge
    return pieces


def _joined(item: Rendered, encodings: Iterator[Encoding]) -> TokenizedRow:
    """Make a row of the pieces of a text."""
    ids: list[int] = []
    places: dict[int, int] = {0: 0}
    position = 0
    for edge in [*_edges(item), len(item.text)]:
        if edge > position:
            ids += next(encodings).ids
            places[edge] = len(ids)
            position = edge
    return _row(item, ids, places)


def _edges(item: Rendered) -> list[int]:
    """Return the places at which no token may reach over: where answers begin and end.

    They are the same whatever is learned, so that the tokens are.
    """
    spans = item.answers or item.trained
    if item.answers and item.trained != item.answers:
        spans = (*item.answers, *item.trained)
    edges = [edge for span in spans for edge in span]
    return edges if spans is item.trained or spans is item.answers else sorted(set(edges))


def _row(item: Rendered, ids: list[int], places: Mapping[int, int]) -> TokenizedRow:
    """Make a row of token ids and of the tokens at which the edges are."""
    trained = tuple((places[start], places[end]) for start, end in item.trained
                    if places[start] < places[end])
    said = item.answers or item.trained
    return TokenizedRow(ids, trained, places[said[-1][0]] if said else -1)


def _token_places(encoding: Encoding, edges: Sequence[int], length: int) -> dict[int, int] | None:
    """Return the token at which each edge is, or None when a token reaches over one.

    Only the tokens at the edges are asked for: a list of all offsets costs more than encoding.
    Tokens of one character (parts of an emoji, say) share its offsets, so they stay together.
    """
    found: dict[int, int] = {}
    for edge in edges:
        place = _token_from(encoding, edge, length)
        if place is None:
            return None
        found[edge] = place
    return found


def _token_from(encoding: Encoding, place: int, length: int) -> int | None:
    """Return the first token that begins at or after a place; None when one reaches over it."""
    if place >= length:
        return len(encoding)
    index: int | None = encoding.char_to_token(place)
    if index is None:
        return _search(encoding.offsets, place)
    if _begin(encoding, index) < place:
        return None
    while index and _begin(encoding, index - 1) == place:
        index -= 1
    return index


def _begin(encoding: Encoding, index: int) -> int:
    """Return the character that a token begins at."""
    found = encoding.token_to_chars(index)
    return found[0] if found else -1


def _search(offsets: list[Span], place: int) -> int | None:
    """Find the same where no token holds the character (a tokenizer that drops blanks)."""
    index = bisect_left(offsets, place, key=itemgetter(0))
    return None if index and offsets[index - 1][1] > place else index
