r"""In what way a wrong answer is wrong, so that the next fix of the data is obvious.

The first rule that holds decides:

1. ``empty``: nothing is left without spaces, invisible characters and thoughts in ``<think>``;
   thoughts that were cut by the length count as ``cut``.
2. ``repetition``: the answer ends in the same characters again and again (at least four times and
   60 characters, a unit of at most 400), or less than half of the runs of four words among its last
   200 words are different (of the last 400 characters where it is Chinese); the numbers of a list
   count as one word.
3. ``refusal``: within the first 300 characters the model says that it cannot or will not.
4. ``cut``: the engine says that the answer ended at the longest length.
5. ``format``: the metric cannot read it: no number, no JSON, no class, no call.
6. ``content``: it can be read and is wrong.

Repetition comes before ``cut``, because a loop runs until the length ends it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric
from trainer.scoring.words import has_han

_TAIL = 2_000
_UNIT, _TIMES, _LEAST = 400, 4, 60
_RUN, _FEWEST = 4, 100
_ORDINAL = re.compile(r"(?<!\S)\d+[.):](?!\S)")
_BEGINNING = 300
# Control characters but for spaces, what only joins or directs text, halves of a character.
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e"
                        r"\u2060-\u206f\ufe0f\ufeff\ud800-\udfff\ue000-\uf8ff]")

_CANNOT = (r"(?:i|we) ?(?:can(?:not|'t| not)|could(?: not|n't)|will not|won't|must decline|"
           r"(?:am|'m|are|'re) (?:not able|unable) to|(?:decline|refuse) to)")
_DO = (r"(?:help(?! but)|assist|answer|provide|comply|fulfill?|do (?:that|this)|discuss|support|"
       r"generate|create|write|give|share|offer|engage|participate|continue|respond)")
_SORRY = r"(?:sorry|apologi[sz]e|apologies)"
_AI = r"as an? (?:ai|artificial|language|large language)"
_POLICY = r"against my (?:guidelines|policy|policies|programming)"
_ENGLISH = re.compile(
    rf"\b{_SORRY}\b.{{0,60}}?\b{_CANNOT}|\b{_CANNOT}(?: \w+)? {_DO}\b"
    rf"|\b{_AI}\b.{{0,80}}?\b(?:{_CANNOT}|i (?:do not|don't))|\b{_POLICY}\b")
_CHINESE = re.compile(
    r"(?:抱歉|对不起|對不起|很遗憾|不好意思).{0,30}?(?:无法|無法|不能|不会|不會|不便|没有办法|拒绝)"
    r"|作为(?:一个|一名|一款)?(?:AI|ai|人工智能|语言模型|大语言模型|大型语言模型|智能助手)"
    r".{0,40}?(?:无法|不能|不会|没有|不便)"
    r"|我(?:无法|無法|不能|不会|不便|拒绝)(?:为您|为你|帮助?您?你?)?"
    r"(?:提供|回答|协助|帮助|满足|完成|生成|参与|讨论|继续|给出|执行|这样做)")


class Mistake(StrEnum):
    """The ways in which an answer can be wrong."""

    EMPTY = "empty"
    REPETITION = "repetition"
    REFUSAL = "refusal"
    CUT = "cut"
    FORMAT = "format"
    CONTENT = "content"


def kind_of(prediction: Prediction, metric: Metric | None = None) -> Mistake:
    """Say in what way an answer is wrong; that it is wrong is known already.

    Args:
        prediction: The wrong answer.
        metric: What called it wrong, which knows the form it reads; None asks for no form.
    """
    text = visible(prediction.output)
    cut = prediction.finish_reason == "length"
    if not text and not prediction.calls:
        thinking = cut and visible(prediction.output, thoughts=True)
        return Mistake.CUT if thinking else Mistake.EMPTY
    if repeats(text):
        return Mistake.REPETITION
    if refuses(text):
        return Mistake.REFUSAL
    if cut:
        return Mistake.CUT
    if metric is not None and not metric.formed(prediction):
        return Mistake.FORMAT
    return Mistake.CONTENT


def grouped(predictions: Iterable[Prediction], values: Sequence[float],
            metric: Metric | None = None) -> dict[Mistake, list[int]]:
    """Return the rows of wrong answers by kind, kinds in their order.

    Args:
        predictions: Answers.
        values: A score of each, 0 to 1, as ``Scores.values``; below 1 is wrong, NaN left out.
        metric: What the scores are of.
    """
    found: dict[Mistake, list[int]] = {kind: [] for kind in Mistake}
    for prediction, value in zip(predictions, values, strict=True):
        if value < 1:
            found[kind_of(prediction, metric)].append(prediction.row)
    return found


def visible(text: str, *, thoughts: bool = False) -> str:
    """Return a text without thoughts, invisible characters and spaces at its ends."""
    if not thoughts:
        text = text.rpartition("</think>")[2].partition("<think>")[0]
    return _INVISIBLE.sub("", text).strip()


def repeats(text: str) -> bool:
    """Tell whether a text ends in a loop."""
    tail = text[-_TAIL:].rstrip()
    for unit in range(1, _UNIT + 1):
        length = max(_TIMES * unit, _LEAST)
        if length > len(tail):
            break
        if tail[-length + unit:] == tail[-length:-unit]:
            return True
    return _few_runs(text)


def _few_runs(text: str) -> bool:
    """Tell whether less than half of the runs of four words near the end are different."""
    items = list(text[-400:]) if has_han(text[-200:]) else \
        _ORDINAL.sub("1.", text[-20_000:]).split()[-200:]
    if len(items) < _FEWEST:
        return False
    runs = [tuple(items[place:place + _RUN]) for place in range(len(items) - _RUN + 1)]
    return 2 * len(set(runs)) < len(runs)


def refuses(text: str) -> bool:
    """Tell whether an answer begins with a refusal, in English or Chinese."""
    start = text[:_BEGINNING].replace("\u2019", "'").replace("\n", " ")
    return bool(_ENGLISH.search(start.casefold()) or _CHINESE.search(start))
