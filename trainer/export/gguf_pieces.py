"""Tokenizers that came from SentencePiece: their merges as the scores that llama.cpp wants.

llama.cpp's tokenizer 'llama' joins whichever two neighbours make the piece with the highest
score, the leftmost first. A tokenizer.json made from a SentencePiece model has a merge for every
way to split a piece, in the order of the pieces' scores; so scores in that order, equal where
merges of several pieces stand mixed, say the same. A tokenizer that was trained in another way has
one way to build a piece only, and would be cut otherwise: it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.export.errors import ExportError

SPACE = "\u2581"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_UNREACHED = -1e6
_MOST_MISSING = 0.01


def scores(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]],
           added: set[str]) -> dict[str, float]:
    """Return a score for each piece; pieces that no merge makes have a very low one.

    Args:
        vocabulary: Pieces and their ids.
        merges: In the order of their ranks.
        added: Tokens that are found in the text before it is cut into pieces.

    Raises:
        ExportError: The merges are not those of a SentencePiece model ('pieces_unknown').
    """
    _require_every_split(vocabulary, set(merges), added)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        piece = left + right
        first.setdefault(piece, rank)
        last[piece] = rank
    found = dict.fromkeys(vocabulary, _UNREACHED)
    group, end = 0, -1
    for piece, rank in first.items():
        if rank > end:
            group -= 1
        end = max(end, last[piece])
        found[piece] = float(group)
    return found


def _require_every_split(vocabulary: Mapping[str, int], merges: set[tuple[str, str]],
                         added: set[str]) -> None:
    made = {left + right for left, right in merges}
    ways = missing = 0
    for piece in made - added:
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                ways += 1
                missing += (left, right) not in merges
    if missing > ways * _MOST_MISSING:
        raise ExportError("pieces_unknown", f"Of {ways} ways to build pieces this tokenizer knows "
                          f"{ways - missing} only: it is none of SentencePiece's, and llama.cpp "
                          "would cut text otherwise.",
                          "Serve the merged safetensors with vLLM or Transformers.")


def prefix(tokenizer: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a space goes before a text, and what a person should know of that.

    Raises:
        ExportError: The tokenizer changes or cuts text in a way that llama.cpp does not
            ('normalizer_unknown').
    """
    steps = [*_flat(tokenizer.get("normalizer"), "normalizers"),
             *_flat(tokenizer.get("pre_tokenizer"), "pretokenizers")]
    before, note, replaced = False, "", False
    for step in steps:
        kind = step.get("type")
        if kind == "Prepend" and step.get("prepend") == SPACE:
            before = True
        elif kind == "Replace" and _is_space(step) and step.get("content") == SPACE:
            replaced = True
        elif kind == "Metaspace" and not step.get("split", True):
            replaced = True
            scheme = step.get("prepend_scheme", "always")
            before = scheme == "always"
            if scheme == "always":
                note = ("This tokenizer puts a space before a text unless it begins with one; "
                        "llama.cpp always does.")
            if scheme == "first":
                note = ("This tokenizer puts a space before a text that begins with no special "
                        "token; llama.cpp does so after special tokens too or not at all. Not at "
                        "all is written, which is right for chats.")
        elif not (kind == "Split" and replaced and _is_space(step)):
            raise ExportError("normalizer_unknown", f"The tokenizer changes text by '{kind}', "
                              "which llama.cpp does not.",
                              "Serve the merged safetensors with vLLM or Transformers.")
    if not replaced:
        raise ExportError("normalizer_unknown", "The tokenizer keeps spaces as they are, and "
                          f"llama.cpp writes them as '{SPACE}'.",
                          "Serve the merged safetensors with vLLM or Transformers.")
    return before, note


def _flat(part: Any, inside: str) -> list[dict[str, Any]]:
    if not isinstance(part, dict):
        return []
    if part.get("type") == "Sequence":
        return [step for inner in part.get(inside) or [] for step in _flat(inner, inside)]
    return [part]


def _is_space(step: Mapping[str, Any]) -> bool:
    pattern = step.get("pattern") or {}
    return pattern.get("String") == " " or pattern.get("Regex") == " "
