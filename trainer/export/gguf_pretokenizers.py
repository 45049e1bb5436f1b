"""By which name llama.cpp knows the way in which a tokenizer cuts text before it merges.

llama.cpp has these ways in code, each by a name (``tokenizer.ggml.pre``, in llama-vocab.cpp). Its
own converter finds the name by a hash of the ids of a test text, which a vocabulary of one's own
never has; here it is found by what tokenizer.json says, which is the same for every vocabulary
that cuts alike. The patterns are those of the tokenizers of Qwen2, Llama 3, Mistral Nemo (Tekken),
SmolLM and GPT-2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trainer.export.errors import ExportError

Step = tuple[Any, ...]
_LETTERS_AND_REST = (r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                     r"|\s+(?!\S)|\s+")
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
_QWEN2 = _CONTRACTIONS + _LETTERS_AND_REST % ""
_LLAMA3 = _CONTRACTIONS + _LETTERS_AND_REST % "{1,3}"
_CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}]%s|"
_TEKKEN = (_CASED % ("*", "+") + _CASED % ("+", "*")
           + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_BYTES: Step = ("ByteLevel", False)
_GPT2: Step = ("ByteLevel", True)
# (what tokenizer.json does, whether whole words are looked up before merging) -> name
_KNOWN: dict[tuple[tuple[Step, ...], bool], str] = {
    ((("Split", _QWEN2), _BYTES), False): "qwen2",
    ((("Split", _LLAMA3), _BYTES), True): "llama-bpe",
    ((("Split", _LLAMA3), _BYTES), False): "dbrx",
    ((("Split", _TEKKEN), _BYTES), True): "tekken",
    ((("Digits",), _GPT2), False): "smollm",
    ((_GPT2,), False): "gpt-2",
}


def find_name(tokenizer: Mapping[str, Any]) -> str:
    """Return llama.cpp's name for how a byte-level BPE tokenizer cuts text.

    Args:
        tokenizer: tokenizer.json.

    Raises:
        ExportError: None of the names that llama.cpp has is known to cut so
            ('pretokenizer_unknown').
    """
    before = tokenizer.get("pre_tokenizer")
    whole_words = bool(tokenizer["model"].get("ignore_merges"))
    steps = tuple(_steps(before))
    if (name := _KNOWN.get((steps, whole_words))) is not None:
        return name
    shown = json.dumps(before, ensure_ascii=False)[:300]
    raise ExportError("pretokenizer_unknown", "No pre-tokenizer of llama.cpp is known to cut text "
                      f"as this tokenizer does: {shown}; whole words first: {whole_words}.",
                      "A file with another one would answer differently. Use llama.cpp's own "
                      "converter if it knows the model.")


def _steps(part: Any) -> list[Step]:
    """Return what a pre-tokenizer does, without settings that change no token."""
    if not isinstance(part, dict):
        return []
    kind = part.get("type")
    if kind == "Sequence":
        return [step for inner in part.get("pretokenizers") or [] for step in _steps(inner)]
    if kind == "ByteLevel" and not part.get("add_prefix_space", True):
        return [("ByteLevel", bool(part.get("use_regex", True)))]
    if kind == "Digits" and part.get("individual_digits"):
        return [("Digits",)]
    pattern = (part.get("pattern") or {}).get("Regex")
    cuts = part.get("behavior") == "Isolated" and not part.get("invert")
    if kind == "Split" and pattern and cuts:
        return [("Split", pattern)]
    return [("other", json.dumps(part, sort_keys=True))]
