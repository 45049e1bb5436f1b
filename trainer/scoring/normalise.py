"""What of two texts is no difference: width, case, punctuation, articles, spaces.

Case, punctuation, articles and spaces are SQuAD's (Rajpurkar et al. 2016, arXiv:1606.05250), in
SQuAD's order; width (NFKC) and the punctuation of Chinese are added.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Sequence

from trainer.scoring.scores import known

Normaliser = Callable[[str], str]

CHINESE = "，。！？、；：“”‘’（）［］｛｝《》〈〉【】〔〕〖〗「」『』—…·～￥"
_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation + CHINESE))
# \b(?:a|an|the)\b in either case; beginning with a letter it is found three times as quickly.
_ARTICLES = re.compile(r"[aAtT](?:(?<=\b[aA])[nN]?|(?<=\b[tT])[hH][eE])\b")

_STEPS: dict[str, Normaliser] = {
    "width": lambda text: text if text.isascii() else unicodedata.normalize("NFKC", text),
    "case": str.casefold,
    "punctuation": lambda text: text.translate(_PUNCTUATION),
    "articles": lambda text: _ARTICLES.sub(" ", text),
    "whitespace": lambda text: " ".join(text.split()),
}
NORMALISERS = tuple(_STEPS)
SQUAD = ("case", "punctuation", "articles", "whitespace")


def normaliser(names: Sequence[str]) -> Normaliser:
    """Return a function that applies the named steps, always in the order of ``NORMALISERS``.

    A step that would leave nothing of a text is passed over: the answer 'A' is not no answer.

    Raises:
        Failure: There is no such step.
    """
    for name in names:
        known("normaliser", name, NORMALISERS)
    steps = [step for name, step in _STEPS.items() if name in names]

    def apply(text: str) -> str:
        for step in steps:
            less = step(text)
            if less.strip() or not text.strip():
                text = less
        return text

    return apply
