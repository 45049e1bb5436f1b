"""What there is to know of each objective: the rows it reads, the models it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["sft", "pretrain", "reward", "dpo", "orpo", "simpo", "cpo", "kto", "grpo",
                    "rloo", "distillation", "gkd", "classification"]
RowKind = Literal["turns", "text", "pairs", "judged", "prompts", "labelled"]


@dataclass(frozen=True)
class ObjectiveFacts:
    """One objective.

    ``rows`` is what its data are: conversations, plain text, a chosen and a rejected answer, one
    answer that is desired or not, prompts (with a reference), texts with a class. ``reference``:
    it compares with the model as it was; ``teacher``: it learns from a second model; ``generates``:
    the model writes answers while it trains; ``head``: it trains a head of scores instead of words,
    so the result cannot be talked to.
    """

    rows: RowKind
    reference: bool = False
    teacher: bool = False
    generates: bool = False
    head: bool = False

    @property
    def templated(self) -> bool:
        """Whether a chat template renders its rows: plain text has no turns."""
        return self.rows not in ("text", "labelled")


OBJECTIVES: dict[str, ObjectiveFacts] = {
    "sft": ObjectiveFacts("turns"),
    "pretrain": ObjectiveFacts("text"),
    "reward": ObjectiveFacts("pairs", head=True),
    "dpo": ObjectiveFacts("pairs", reference=True),
    "orpo": ObjectiveFacts("pairs"),
    "simpo": ObjectiveFacts("pairs"),
    "cpo": ObjectiveFacts("pairs"),
    "kto": ObjectiveFacts("judged", reference=True),
    "grpo": ObjectiveFacts("prompts", generates=True),
    "rloo": ObjectiveFacts("prompts", generates=True),
    "distillation": ObjectiveFacts("prompts", teacher=True, generates=True),
    "gkd": ObjectiveFacts("turns", teacher=True, generates=True),
    "classification": ObjectiveFacts("labelled", head=True),
}


def objectives_with(**wanted: object) -> tuple[str, ...]:
    """Return the objectives whose facts have these values, ``objectives_with(head=False)``."""
    return tuple(name for name, facts in OBJECTIVES.items()
                 if all(getattr(facts, key) == value for key, value in wanted.items()))
