"""Rows that say nearly the same: MinHash over shingles, by datasketch (extra ``data``)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from unicodedata import normalize

import xxhash

from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.fast import texts_of
from trainer.data.shapes.messages import Example

PERMUTATIONS = 128
SEED = 1
# Below so many words, pairs of words would say too little: characters are taken.
FEW_WORDS = 20
_CHARACTERS = 4
# Scripts that are written without blanks: each character is a word of its own.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\\w)+")


def shingles(text: str) -> set[str]:
    """Return what two texts are compared by.

    Pairs of neighbouring words, without capitals and punctuation; a Chinese, Japanese or Thai
    character is a word. Short texts: runs of four characters.
    """
    plain = normalize("NFKC", text).lower()
    words = _WORD.findall(plain)
    if len(words) >= FEW_WORDS:
        return set(map(" ".join, pairwise(words)))
    joined = " ".join(words) or plain.strip()
    last = max(1, len(joined) - _CHARACTERS + 1)
    return {joined[start:start + _CHARACTERS] for start in range(last)}


def _library() -> Any:
    try:
        import datasketch
    except ImportError:
        raise DatasetError("near_missing", "Finding near duplicates needs the package "
                           "datasketch.", "Install it: pip install 'finestra[data]'.") from None
    return datasketch


class NearFinder:
    """Remembers rows, and finds the first that a further one nearly equals.

    Deterministic: the same rows in the same order give the same answers.
    """

    def __init__(self, threshold: float = 0.85) -> None:
        """Make an index.

        Args:
            threshold: From which Jaccard similarity of their shingles on rows count as near.

        Raises:
            DatasetError: ``near_missing``: datasketch is not installed.
        """
        library = _library()
        self.threshold = threshold
        self._index = library.MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS,
                                         hashfunc=xxhash.xxh3_64_intdigest)
        self._empty = library.MinHash(num_perm=PERMUTATIONS, seed=SEED,
                                      hashfunc=xxhash.xxh32_intdigest)
        self._values: dict[int, Any] = {}

    def find(self, text: str) -> int | None:
        """Return the key of a remembered text that is nearly this one, the smallest; or None."""
        return self._nearest(self._hashed(text))

    def remember(self, key: int, text: str) -> None:
        """Remember a text without asking whether there is one like it."""
        self._keep(key, self._hashed(text))

    def first_like(self, key: int, text: str) -> int | None:
        """Return the key of an earlier text that is nearly this one, else remember this one."""
        hashed = self._hashed(text)
        found = self._nearest(hashed)
        if found is None:
            self._keep(key, hashed)
        return found

    def seen(self, example: Example) -> int | None:
        """Return the number of an earlier row that is nearly this one, else remember this one."""
        return self.first_like(example.row, "\n".join(texts_of(example)))

    def _hashed(self, text: str) -> Any:
        value = self._empty.copy()
        value.update_batch([shingle.encode("utf-8", "surrogatepass")
                            for shingle in shingles(text)])
        return value

    def _keep(self, key: int, hashed: Any) -> None:
        self._index.insert(key, hashed, check_duplication=False)
        self._values[key] = hashed.hashvalues.astype("uint32")

    def _nearest(self, hashed: Any) -> int | None:
        """Return the smallest key whose similarity, as estimated, reaches the threshold."""
        values = hashed.hashvalues.astype("uint32")
        for key in sorted(self._index.query(hashed)):
            if (self._values[key] == values).mean() >= self.threshold:
                return int(key)
        return None
