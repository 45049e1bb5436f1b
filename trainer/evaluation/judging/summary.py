"""What verdicts come to, as the report has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.contract.chances import verdict
from trainer.contract.judging import cost_of
from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.contract.kinds.evaluation import Compared, Judged
from trainer.evaluation.judging.agreement import agreement_of
from trainer.evaluation.judging.asking import Answered
from trainer.evaluation.judging.cache import Call
from trainer.evaluation.judging.plan import LOST, TIED, WON, Row
from trainer.evaluation.judging.stats import sign_test, win_interval
from trainer.evaluation.judging.wish import VOTES
from trainer.scoring.intervals import summarise
from trainer.scoring.paired import compare
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Scores, mean

METRIC = "judge"


@dataclass(frozen=True)
class Group:
    """The rows of a model at a dataset, and what the judge said to them.

    ``elsewhere`` are questions that count as asked in another group, because they are the same.
    """

    model: str
    dataset: str
    rows: Sequence[Row]
    found: Mapping[str, Answered]
    elsewhere: frozenset[str] = frozenset()

    @property
    def against(self) -> str:
        """The model that it was compared with; '' where answers got points."""
        return self.rows[0].against

    def values(self) -> list[float | None]:
        """Return each row's value."""
        return [row.value(self.found) for row in self.rows]

    def scores(self) -> Scores:
        """Return the values as scores that can be summarised and compared."""
        rows = [Prediction(row.row, "", "") for row in self.rows]
        return mean(METRIC, rows, self.values())

    def texts(self) -> list[str]:
        """Return each question once."""
        return list(dict.fromkeys(one.text for row in self.rows for one in row.questions))

    def answered(self) -> list[Answered]:
        """Return what became of each question."""
        return [self.found[text] for text in self.texts()]

    def calls(self) -> list[Call]:
        """Return the replies that were paid for here."""
        return [call for text in self.texts() if text not in self.elsewhere
                for call in self.found[text].calls]


def judged(group: Group, config: JudgeConfig, seed: int) -> Judged:
    """Return what the judge says of a model at a dataset."""
    values = [one for one in group.values() if one is not None]
    answered, calls = group.answered(), group.calls()
    asked = sum(group.found[text].asked for text in group.texts() if text not in group.elsewhere)
    replies = sum(len(one.calls) for one in answered)
    tokens_in = sum(call.tokens_in for call in calls)
    tokens_out = sum(call.tokens_out for call in calls)
    agreement, votes = agreement_of(group.rows, group.found)
    counts = _shares(values) if group.against else _points(group, seed)
    return Judged(
        model=group.model, against=group.against, dataset=group.dataset, n=len(values),
        unreadable=sum(one.outcome is None for one in answered), agreement=agreement, votes=votes,
        calls=asked, cached=replies - asked, tokens_in=tokens_in, tokens_out=tokens_out,
        cost=cost_of(config, tokens_in, tokens_out), **counts)


def _shares(values: Sequence[float]) -> dict[str, float | int | None]:
    wins, ties, losses = (values.count(one) for one in (WON, TIED, LOST))
    low, high = win_interval(wins, ties, losses)
    return {"wins": wins, "ties": ties, "losses": losses, "low": low, "high": high,
            "value": (wins + ties / 2) / len(values) if values else None,
            "p_value": sign_test(wins, losses) if values else None}


def _points(group: Group, seed: int) -> dict[str, float | int | None]:
    (found,) = summarise([group.scores()], seed=seed)
    return {"value": _known(found.value), "low": _known(found.low), "high": _known(found.high)}


def compared(groups: Sequence[Group], results: Sequence[Judged], first: str,
             seed: int) -> list[Compared]:
    """Return each model beside the first one; votes, which were chosen by people, are left out.

    Args:
        groups: The rows.
        results: What they came to, in the same order.
        first: The model that the others are compared with.
        seed: Of bootstrap and permutations.
    """
    known = {(group.model, group.dataset): group.scores() for group in groups}
    made: list[Compared | None] = []
    for group, result in zip(groups, results, strict=True):
        if group.dataset == VOTES or group.model == first:
            continue
        made.append(_by_wins(result) if group.against else _by_points(
            known.get((first, group.dataset)), group, first, seed))
    return [one for one in made if one is not None]


def _by_wins(one: Judged) -> Compared | None:
    """Return the share of wins less that of losses; 0 says that neither is better."""
    if one.value is None or one.low is None or one.high is None or one.p_value is None:
        return None
    difference = 2 * one.value - 1
    return Compared(dataset=one.dataset, metric=METRIC, a=one.against, b=one.model,
                    difference=difference, low=2 * one.low - 1, high=2 * one.high - 1,
                    p_value=one.p_value, p_adjusted=one.p_value, n=one.n, test="sign",
                    verdict=verdict(difference, one.p_value), source="judge")


def _by_points(before: Scores | None, group: Group, first: str, seed: int) -> Compared | None:
    after = group.scores()
    if before is None or not np.intersect1d(before.rows[before.counted],
                                            after.rows[after.counted]).size:
        return None
    found = compare(before, after, seed=seed)
    return Compared(dataset=group.dataset, metric=METRIC, a=first, b=group.model,
                    difference=found.difference, low=_known(found.low), high=_known(found.high),
                    p_value=found.p, p_adjusted=found.p, verdict=found.verdict(), n=found.n,
                    test=found.test, source="judge")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
