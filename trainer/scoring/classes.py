"""Classification by text: which class an answer names, accuracy, macro F1, a report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trainer.failures import Failure
from trainer.scoring.normalise import Normaliser, normaliser
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Array, Metric, Scores, mean, rows_of

MOST_CLASSES = 200
LOOKED_AT = 20_000
_plain = normaliser(("width", "case", "whitespace"))
_bare = normaliser(("width", "case", "punctuation", "whitespace"))


class Reader:
    """Finds the class that an answer names.

    An answer that is a class, but for case and punctuation, names it; else the one class that
    stands in it as a word. Two classes, or none, name nothing. 'not spam' does not name 'spam'
    where it is a class itself. Case and punctuation count where they alone tell classes apart:
    '<=50K' and '>50K', 'C' and 'C++'.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """Prepare for these classes."""
        self.labels = tuple(dict.fromkeys(labels))
        self._inside = self._only(_plain)
        self._whole = ((str.strip, self._only(str.strip)), (_plain, self._inside),
                       (_bare, self._only(_bare)))
        longest = sorted(filter(None, self._inside), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_as_word, longest)) or r"(?!)")
        # Punctuation may be around a class, not a whole text.
        self._around = 4 * max(map(len, self.labels), default=0) + 100
        self.read = lru_cache(maxsize=4096)(self._read)

    def _read(self, output: str) -> int | None:
        text = output[:LOOKED_AT]
        if len(text) <= self._around:
            for form, places in self._whole:
                if (place := places.get(form(text))) is not None:
                    return place
        found = {self._inside[match.group()] for match in self._pattern.finditer(_plain(text))}
        return found.pop() if len(found) == 1 else None

    def _only(self, form: Normaliser) -> dict[str, int]:
        """Return the place of each class by a form of it that no other class has."""
        forms = [form(label) for label in self.labels]
        times = Counter(forms)
        return {text: place for place, text in enumerate(forms) if text and times[text] == 1}


def _as_word(label: str) -> str:
    """Return a pattern for a label with no letter of ASCII around; Chinese has no such bounds.

    It begins with the label, so that the search can jump to its first letter.
    """
    found = re.escape(label)
    before = f"(?<![a-z0-9_]{found})" if re.match(r"[a-z0-9_]", label) else ""
    after = r"(?![a-z0-9_])" if re.search(r"[a-z0-9_]\Z", label) else ""
    return found + before + after


class Classification(Metric):
    """Accuracy and macro F1 of answers that name a class."""

    name = "classification"

    def __init__(self, *, labels: Sequence[str] | None = None) -> None:
        """Say which classes there are; None takes those of the rows."""
        self._labels = labels
        self._reader: Reader | None = Reader(labels) if labels else None

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``accuracy`` and ``macro_f1``; rows without a label are left out.

        An answer that names no class is wrong: it is missing for its class and false for none.

        Raises:
            Failure: A label is none of the classes, or there are more than 200 of them.
        """
        reader, gold, said = self._pairs(predictions)
        right = [float(g == s) if g >= 0 else None for g, s in zip(gold, said, strict=True)]
        accuracy = mean("accuracy", predictions, right, share=True)
        sums = _counts(gold, said, len(reader.labels))
        macro = Scores("macro_f1", rows_of(predictions), accuracy.values, sums, macro_f1)
        return [accuracy, macro]

    def report(self, predictions: Sequence[Prediction]) -> Report:
        """Return precision, recall and F1 of each class, and what was taken for what.

        Raises:
            Failure: As ``score``.
        """
        reader, gold, said = self._pairs(predictions)
        size = len(reader.labels)
        pairs = [(g, size if s < 0 else s) for g, s in zip(gold, said, strict=True) if g >= 0]
        confusion = np.zeros((size, size + 1), dtype=np.int64)
        for row, column in pairs:
            confusion[row, column] += 1
        return Report(reader.labels, confusion)

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether the answer names a class; true where classes are not known."""
        return self._reader is None or self._reader.read(prediction.output) is not None

    def _pairs(self, predictions: Sequence[Prediction]) -> tuple[Reader, list[int], list[int]]:
        """Return the reader, and the right and the named class of each row; -1 is none."""
        labels = self._labels or sorted({p.label for p in predictions if p.label})
        if len(labels) > MOST_CLASSES:
            raise Failure("metric_classes", f"There are {len(labels)} classes, more than "
                          f"{MOST_CLASSES}.", "Use exact_match for answers that are no classes.")
        if self._reader is None or not set(labels) <= set(self._reader.labels):
            self._reader = Reader(labels)
        reader = self._reader
        places = {label: place for place, label in enumerate(reader.labels)}
        if unknown := {p.label for p in predictions if p.label} - set(places):
            raise Failure("metric_label", f"'{min(unknown)}' is none of the classes "
                          f"{', '.join(reader.labels[:10])}.", "Add it to 'labels'.")
        said = [reader.read(p.output) for p in predictions]
        return (reader, [places[p.label] if p.label else -1 for p in predictions],
                [-1 if place is None else place for place in said])


def _counts(gold: list[int], said: list[int], classes: int) -> Array:
    """Return (N, 3 C) float32: true positives, false positives, false negatives of each class.

    float32 adds whole numbers exactly up to 2 ** 24, and takes half of the memory.
    """
    sums = np.zeros((len(gold), 3, classes), dtype=np.float32)
    for row, (g, s) in enumerate(zip(gold, said, strict=True)):
        if g < 0:
            continue
        if g == s:
            sums[row, 0, g] = 1
            continue
        sums[row, 2, g] = 1
        if s >= 0:
            sums[row, 1, s] = 1
    return sums.reshape(len(gold), 3 * classes)


def macro_f1(sums: Array) -> Array:
    """Return the mean F1 of the classes that are right or named somewhere; NaN without any."""
    hits, false, missed = np.moveaxis(
        sums.astype(np.float64).reshape(*sums.shape[:-1], 3, sums.shape[-1] // 3), -2, 0)
    below = 2 * hits + false + missed
    f1 = np.divide(2 * hits, below, out=np.zeros_like(below), where=below > 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(f1.sum(axis=-1) / (below > 0).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Report:
    """What was taken for what.

    Attributes:
        labels: C classes.
        confusion: (C, C + 1) int64: rows are the right classes, columns what answers named, the
            last one none.
    """

    labels: tuple[str, ...]
    confusion: Array

    @property
    def support(self) -> Array:
        """(C,) rows of each class."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def precision(self) -> Array:
        """(C,) of the answers that name a class, the share that is right; 0 where none does."""
        return _over(self._hits, self.confusion[:, :-1].sum(axis=0))

    @property
    def recall(self) -> Array:
        """(C,) of the rows of a class, the share that is found; 0 where there are none."""
        return _over(self._hits, self.support)

    @property
    def f1(self) -> Array:
        """(C,) the harmonic mean of the two; 0 where both are."""
        return _over(2 * self._hits, self.support + self.confusion[:, :-1].sum(axis=0))

    @property
    def accuracy(self) -> float:
        """The share of right answers; NaN without rows."""
        total = int(self.confusion.sum())
        return float(self._hits.sum() / total) if total else float("nan")

    @property
    def weighted_f1(self) -> float:
        """The mean of F1 weighted by the rows of a class; NaN without rows."""
        total = int(self.support.sum())
        return float((self.f1 * self.support).sum() / total) if total else float("nan")

    @property
    def _hits(self) -> Array:
        return np.diagonal(self.confusion)


def _over(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
