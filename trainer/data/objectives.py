"""Which shapes fit which objective, and what to say of those that do not."""

from __future__ import annotations

from trainer.data.rows import DatasetError
from trainer.data.shapes import Kind, Shape

CHAT_KINDS: tuple[Kind, ...] = ("alpaca", "openai", "sharegpt", "prompt_completion",
                                "question_answer")
PAIR_KINDS: tuple[Kind, ...] = ("preference", "hh_rlhf")
KINDS: dict[str, tuple[Kind, ...]] = {"sft": CHAT_KINDS, "dpo": PAIR_KINDS}


def fits(kind: Kind, objective: str) -> bool:
    """Tell whether data of this kind can be used for an objective."""
    return kind in KINDS.get(objective, ())


def objectives_of(kind: Kind) -> list[str]:
    """Return the objectives that data of this kind fits."""
    return [objective for objective in KINDS if fits(kind, objective)]


def require_fit(shape: Shape, objective: str | None, name: str) -> None:
    """Refuse data that an objective cannot use; None accepts every known shape.

    Raises:
        DatasetError: ``unknown_shape``, ``unknown_objective``, or ``<kind>_for_<objective>``.
    """
    if shape.kind == "unknown":
        raise DatasetError("unknown_shape", f"The rows of '{name}' have no known shape: "
                           f"{shape.reason}.",
                           "Rename the columns, or name them in dataset_info.json.")
    if objective is None or fits(shape.kind, objective):
        return
    if objective not in KINDS:
        raise DatasetError("unknown_objective", f"There is no objective '{objective}'.",
                           f"Choose one of {', '.join(KINDS)}.")
    message, advice = _refusal(shape, objective)
    raise DatasetError(f"{shape.kind}_for_{objective}", f"'{name}' {message}", advice)


def _refusal(shape: Shape, objective: str) -> tuple[str, str]:
    """Return (message, advice) for a known shape that does not fit."""
    found = f"({shape.reason})"
    if shape.kind == "kto":
        return (f"is KTO data {found}. KTO needs objective kto, which this version does not have.",
                "Choose preference pairs with objective dpo, or plain answers with objective sft.")
    if shape.kind == "text":
        return (f"is plain text {found}. Pretraining is not here yet.",
                "Choose data with questions and answers, or with turns.")
    if shape.kind in PAIR_KINDS:
        return (f"has preference pairs {found}, which objective {objective} cannot use.",
                "Choose objective: dpo.")
    return (f"has no preference pairs {found}, which objective {objective} needs.",
            "Choose data with 'chosen' and 'rejected', or objective: sft.")
