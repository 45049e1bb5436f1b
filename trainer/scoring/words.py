"""Texts as words: English as ROUGE reads it, Chinese by jieba, any other script by its letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from trainer.scoring.scores import known, needs_package

Words = Callable[[str], list[str]]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_LETTERS = re.compile(r"[^\W_]+")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]")
TOKENIZERS = ("auto", "rouge", "words", "jieba")


def has_han(text: str) -> bool:
    """Tell whether there is a Chinese character in a text."""
    return not text.isascii() and _HAN.search(text) is not None


def kind_for(text: str) -> str:
    """Return which tokenizer suits a text: jieba, words or rouge."""
    if text.isascii():
        return "rouge"
    if has_han(text):
        return "jieba"
    return "words" if _FOREIGN.search(text) else "rouge"


def letters(text: str) -> list[str]:
    """Return runs of letters and digits of any script, in lower case."""
    return _LETTERS.findall(text.lower())


def rouge_words(stem: bool) -> Words:
    """Return the tokenizer of rouge-score: runs of a-z and 0-9, with or without Porter's stems.

    Raises:
        Failure: The package rouge-score is missing.
    """
    try:
        from rouge_score.tokenizers import DefaultTokenizer
    except ImportError:
        raise needs_package("rouge-score") from None
    split: Words = DefaultTokenizer(use_stemmer=stem).tokenize
    return split


@lru_cache(maxsize=1)
def _jieba() -> Any:
    try:
        import jieba
    except ImportError:
        raise needs_package("jieba") from None
    cutter = jieba.Tokenizer()
    # Left alone, jieba loads a cache from the temporary folder, where anyone could have put it.
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True
    return cutter


def jieba_words(text: str) -> list[str]:
    """Return Chinese words in lower case; punctuation and spaces are left out.

    Raises:
        Failure: The package jieba is missing.
    """
    return [word for word in _jieba().cut(text.lower()) if _LETTERS.search(word)]


class Splitter:
    """Splits texts as their reference asks for: an answer is read as its reference is."""

    def __init__(self, tokenizer: str = "auto", *, stem: bool = False) -> None:
        """Choose a tokenizer; ``auto`` decides by each reference.

        Raises:
            Failure: There is no such tokenizer, or its package is missing.
        """
        known("tokenizer", tokenizer, TOKENIZERS)
        self._fixed = None if tokenizer == "auto" else tokenizer
        self._by_name: dict[str, Words] = {"words": letters, "jieba": jieba_words,
                                           "rouge": rouge_words(stem)}

    def for_reference(self, reference: str) -> Words:
        """Return what splits this reference and the answers to it."""
        return self._by_name[self._fixed or kind_for(reference)]
