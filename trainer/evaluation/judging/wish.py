"""What the core of an evaluation hands to the judging, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.contract.kinds.evaluation import Compared, Judged
from trainer.contract.votes import Voted

Key = tuple[str, int]
# The dataset's name of what people have voted on.
VOTES = "votes"


@dataclass(frozen=True)
class JudgeWish:
    """What is to be judged.

    Attributes:
        config: Of the judge.
        models: As the config names them; the others are compared with the first.
        predictions: Of each model, lines as in its predictions file (``dataset``, ``row``,
            ``prompt``, ``reference``: a text, several or None, ``prediction``, ``calls``), and
            ``messages`` with the whole question where it is a conversation.
        folder: ``eval`` of the run.
        votes: What people have voted; those of other pairs are passed by.
        seed: Of the bootstrap.
        at_once: How many questions are on their way together.
    """

    config: JudgeConfig
    models: Sequence[str]
    predictions: Mapping[str, Sequence[Mapping[str, Any]]]
    folder: Path
    votes: Sequence[Voted] = ()
    seed: int = 0
    at_once: int = 8


@dataclass(frozen=True)
class JudgeResult:
    """What the judge has said.

    Attributes:
        judged: For the report.
        values: Of each model that was judged, by (dataset, row): 1 it won, 0.5 a tie, 0 it lost,
            or its points from 1 to 10; None where no verdict could be read. For ``score['judge']``
            of the predictions files; votes are not in it.
        compared: For the report; ``p_adjusted`` is ``p_value`` until all is adjusted together.
        notes: What a person should know.
    """

    judged: list[Judged]
    values: dict[str, dict[Key, float | None]] = field(default_factory=dict)
    compared: list[Compared] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
