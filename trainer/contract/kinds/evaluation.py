"""What an evaluation has found: ``eval/report.json`` of its run, and where the rest lies.

Written by the trainer when all is scored, read by pages, REST and command line. Scores are 0 to 1
unless docs/metrics.md says otherwise; intervals hold the true value with 95 % confidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.contract.files import read_json
from trainer.contract.rundir import RunDir

VERSION = 1
Source = Literal["data", "benchmark", "judge"]
Verdict = Literal["better", "worse", "unclear"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Result(_Part):
    """One score of one model.

    Attributes:
        model: As the config names it.
        dataset: As the config names it; of a benchmark the task.
        metric: Such as 'numeric', 'rougeL', 'exact_match,strict-match'.
        value: None when no row could be scored.
        low, high: The interval; None where there is none.
        n: Rows that count; ``left_out`` have nothing to compare with.
        share: The value is the share of rows that are right.
        detail: How it was computed, where that is not obvious.
    """

    model: str
    dataset: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    left_out: int = 0
    share: bool = False
    higher_is_better: bool = True
    detail: str = ""
    source: Source = "data"


class Compared(_Part):
    """One score of two models at the same rows; ``difference`` is value(b) - value(a).

    Attributes:
        p_value: Chance of such a difference between equal models.
        p_adjusted: The same when all comparisons of the report are told together (Holm).
        verdict: Of b beside a, by ``p_adjusted`` below 0.05.
        test: Which test it is.
    """

    dataset: str
    metric: str
    a: str
    b: str
    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float
    p_adjusted: float
    verdict: Verdict
    n: int
    test: str = ""
    source: Source = "data"


class MistakeCount(_Part):
    """How many wrong answers are of a kind, and the first hundred of their rows."""

    model: str
    dataset: str
    metric: str
    kind: str
    count: int
    rows: list[int] = []


class Judged(_Part):
    """What the judge says of a model at one dataset.

    Attributes:
        against: The model it was compared with; '' where answers got points.
        wins, ties, losses: Rows, of ``model``; of 'score' they are 0.
        value: Share of wins with ties as halves, or the mean of 1 to 10.
        unreadable: Verdicts that said nothing; they count nowhere.
        agreement: Share of people's A/B votes that the judge shares; None without votes.
        votes: How many of them there were.
        calls, cached: How often the judge was asked, and answers that were known already.
        cost: In the currency of the config's prices; None without them.
    """

    model: str
    against: str = ""
    dataset: str
    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    wins: int = 0
    ties: int = 0
    losses: int = 0
    n: int = 0
    unreadable: int = 0
    agreement: float | None = None
    votes: int = 0
    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None


class Answered(_Part):
    """How a model answered; times of this attempt only, in seconds."""

    model: str
    engine: str
    version: str = ""
    rows: int
    kept: int = 0
    seconds: float = 0.0
    load_s: float = 0.0
    tokens_out: int = 0
    at_once: int = 0


class EvaluationReport(_Part):
    """Everything an evaluation has found.

    Attributes:
        predictions: Model to the name of its file in ``eval/``. Its lines: ``row``, ``dataset``,
            ``prompt``, ``reference``, ``prediction``, ``score`` (metric to value or null),
            ``mistake`` ('' when nothing is wrong), ``finish_reason``, ``tokens``, where there are
            any ``calls`` and ``error``; in the order of the config's datasets and their rows.
        notes: What a person should know.
    """

    version: int = VERSION
    models: list[str] = Field(min_length=1)
    datasets: list[str]
    results: list[Result] = []
    comparisons: list[Compared] = []
    mistakes: list[MistakeCount] = []
    judged: list[Judged] = []
    answered: list[Answered] = []
    predictions: dict[str, str] = {}
    notes: list[str] = []

    def dump(self) -> dict[str, Any]:
        """Return it as JSON values; nothing in it is NaN."""
        return self.model_dump(mode="json")


def report_file(run: RunDir) -> Path:
    """Return where a run's report lies."""
    return run.eval / "report.json"


def read_report(run: RunDir) -> EvaluationReport | None:
    """Return what an evaluation has found; None before its end, or when it cannot be read."""
    try:
        return EvaluationReport.model_validate(read_json(report_file(run)))
    except ValidationError:
        return None
