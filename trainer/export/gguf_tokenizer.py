"""tokenizer.json as the tables of a GGUF file.

Keys and token types: the GGUF specification, section "Tokenizer"; the special treatment of added
tokens is llama.cpp's: it looks for those that are control or user-defined before it cuts text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.data.templates.special_tokens import read_source, read_variables
from trainer.export import gguf_pieces, gguf_pretokenizers
from trainer.export.errors import ExportError
from trainer.export.gguf_template import without_marks


class TokenType(IntEnum):
    """``tokenizer.ggml.token_type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Tokenizer:
    """What the keys 'tokenizer.ggml.*' say, and what a person should know.

    Attributes:
        model: 'gpt2' (bytes, merges) or 'llama' (pieces, scores).
        pre: How text is cut before merging.
        tokens: One text for each row of the embedding.
        types: As ``TokenType``.
        merges: Empty for 'llama'.
        scores: Empty for 'gpt2'.
        ids: Special tokens: 'bos', 'eos', 'eot', 'unknown', 'padding'.
        flags: 'add_bos_token', 'add_eos_token', 'add_space_prefix'.
        template: The chat template, '' when there is none.
        notes: Where a text may become other tokens than in training.
    """

    model: str
    pre: str
    tokens: list[str] = field(repr=False)
    types: list[int] = field(repr=False)
    merges: list[str] = field(repr=False)
    scores: list[float] = field(repr=False)
    ids: dict[str, int]
    flags: dict[str, bool]
    template: str = field(repr=False)
    notes: list[str]


def read_tokenizer(folder: Path, rows: int) -> Tokenizer:
    """Translate a model folder's tokenizer.

    Args:
        folder: With tokenizer.json.
        rows: Of the embedding; it may have more than there are tokens.

    Raises:
        ExportError: llama.cpp has no such tokenizer, or there are more tokens than rows.
        TemplateError: The chat template cannot be read.
    """
    data = read_json(folder / "tokenizer.json")
    kind = (data or {}).get("model", {}).get("type")
    if kind != "BPE":
        raise ExportError("tokenizer_unknown", f"The tokenizer is of the type '{kind}'; only BPE "
                          "can be written as GGUF here.",
                          "Serve the merged safetensors with vLLM or Transformers.")
    assert isinstance(data, dict)
    in_bytes = not data["model"].get("byte_fallback")
    table = _Table(data, rows, in_bytes)
    template = without_marks(read_source(folder))
    notes: list[str] = []
    ids = _special_ids(folder, table)
    flags = _flags(folder, ids, template, read_variables(folder).get("bos_token", ""), notes)
    merges = [_pair(merge) for merge in data["model"]["merges"]]
    if in_bytes:
        _check_normalizer(data, notes)
        return Tokenizer("gpt2", gguf_pretokenizers.find_name(data), table.tokens, table.types,
                         [" ".join(pair) for pair in merges], [], ids, flags, template, notes)
    flags["add_space_prefix"], note = gguf_pieces.prefix(data)
    found = gguf_pieces.scores(data["model"]["vocab"], merges, set(table.added))
    scores = [found.get(token, -1000.0) for token in table.tokens]
    return Tokenizer("llama", "default", table.tokens, table.types, [], scores, ids, flags,
                     template, [*notes, *([note] if note else [])])


class _Table:
    """Tokens by id with their types; rows without a token are unused."""

    def __init__(self, data: Mapping[str, Any], rows: int, in_bytes: bool) -> None:
        self.added = {str(token["content"]): token for token in data.get("added_tokens") or []}
        self.known: dict[str, int] = {
            **data["model"]["vocab"], **{text: token["id"] for text, token in self.added.items()}}
        self.unknown = data["model"].get("unk_token")
        self.made = {"".join(_pair(merge)) for merge in data["model"]["merges"]}
        largest = max(self.known.values())
        if largest >= rows:
            raise ExportError("tokenizer_large", f"The tokenizer has a token {largest}, and the "
                              f"embedding {rows} rows only.",
                              "Check that tokenizer and weights are of the same model.")
        self.tokens = [f"[PAD{number}]" for number in range(rows)]
        self.types = [int(TokenType.UNUSED)] * rows
        for text, number in self.known.items():
            kind = self._type(text, in_bytes)
            plain = kind == TokenType.USER_DEFINED and not in_bytes
            self.tokens[number] = text.replace(gguf_pieces.SPACE, " ") if plain else text
            self.types[number] = int(kind)
        if len(set(self.tokens)) < rows:
            raise ExportError("tokenizer_twice", "Two tokens of the tokenizer have the same text, "
                              "which llama.cpp refuses to load.",
                              "Remove the added token that repeats another.")

    def _type(self, text: str, in_bytes: bool) -> TokenType:
        if text == self.unknown and not in_bytes:
            return TokenType.UNKNOWN
        if (token := self.added.get(text)) is not None and not self._is_piece(token, in_bytes):
            return TokenType.CONTROL if token.get("special") else TokenType.USER_DEFINED
        if not in_bytes and gguf_pieces.BYTE.fullmatch(text):
            return TokenType.BYTE
        return TokenType.NORMAL


    def _is_piece(self, token: Mapping[str, Any], in_bytes: bool) -> bool:
        """Tell whether merges alone make an added token: Gemma's runs of spaces.

        They are looked for in the text as typed, which has spaces and not what stands for them.
        """
        text = str(token["content"])
        typed = not token.get("normalized", True) and not token.get("special")
        return not in_bytes and typed and gguf_pieces.SPACE in text and text in self.made


def _pair(merge: Any) -> tuple[str, str]:
    """Return the halves of a merge; older files have them as one text."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _check_normalizer(data: Mapping[str, Any], notes: list[str]) -> None:
    kind = (data.get("normalizer") or {}).get("type")
    if kind == "NFC":
        notes.append("llama.cpp does not bring text into Unicode's composed form (NFC): text in "
                     "decomposed letters becomes other tokens than in training.")
    elif kind is not None:
        raise ExportError("normalizer_unknown", f"The tokenizer changes text by '{kind}', which "
                          "llama.cpp does not.",
                          "Serve the merged safetensors with vLLM or Transformers.")


def _special_ids(folder: Path, table: _Table) -> dict[str, int]:
    """Return the ids of special tokens; 'eot' is a second token that ends an answer.

    The first is the tokenizer's, further ones are those of generation_config.json.
    """
    named = read_variables(folder)
    ids = {key: table.known[named[name]] for key, name in (
        ("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"),
        ("padding", "pad_token")) if named.get(name) in table.known}
    ends = [number for number in end_ids(folder) if number < len(table.tokens)]
    if "eos" not in ids and ends:
        ids["eos"] = ends[0]
    further = [number for number in ends if number != ids.get("eos")]
    if further:
        ids["eot"] = further[0]
    return ids


def end_ids(folder: Path) -> list[int]:
    """Return the ids that end an answer, as generation_config.json and config.json say."""
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        value = (read_json(folder / name) or {}).get("eos_token_id")
        values = value if isinstance(value, list) else [value]
        found += [number for number in values if isinstance(number, int)]
    return list(dict.fromkeys(found))


def _flags(folder: Path, ids: Mapping[str, int], template: str, bos: str,
           notes: list[str]) -> dict[str, bool]:
    """Return whether tokens are put around a text.

    A chat's text comes from the chat template, and llama.cpp puts the first token before it
    where the file says so; a template without it was trained without it.
    """
    from tokenizers import Tokenizer as Encoder

    whole = Encoder.from_file(str(folder / "tokenizer.json")).encode("a").ids
    first, last = whole[:1] == [ids.get("bos")], whole[-1:] == [ids.get("eos")]
    if first and template and "bos_token" not in template and bos not in template:
        first = False
        notes.append(f"The chat template does not begin with {bos}, so llama.cpp is told not to "
                     "add it; completions of plain text were made with it.")
    return {"add_bos_token": first, "add_eos_token": last}
