"""Which shapes fit which objective, and what to say of those that do not."""

from __future__ import annotations

from trainer.contract.config.facts import OBJECTIVES, RowKind
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.recognise import NO_ROW, Kind, Shape

CHAT_KINDS: tuple[Kind, ...] = ("alpaca", "openai", "sharegpt", "prompt_completion",
                                "question_answer", "classification")
PAIR_KINDS: tuple[Kind, ...] = ("preference", "hh_rlhf")
# What rows of each kind can be made of; see ``uses``.
FITTING: dict[RowKind, tuple[Kind, ...]] = {
    "turns": CHAT_KINDS, "text": ("text",), "pairs": PAIR_KINDS, "judged": ("kto", *PAIR_KINDS),
    "prompts": ("prompt_only", *CHAT_KINDS), "labelled": ("classification",)}
KINDS: dict[str, tuple[Kind, ...]] = {name: FITTING[facts.rows]
                                      for name, facts in OBJECTIVES.items()}
# A reward model is not what most people want of pairs, so it is not the first that is offered.
_LAST = ("reward",)


def fits(kind: str, objective: str) -> bool:
    """Tell whether data of this kind can be used for an objective."""
    return kind in KINDS.get(objective, ())


def objectives_of(kind: str) -> list[str]:
    """Return the objectives that data of this kind fits, the most usual first."""
    return sorted((name for name in KINDS if fits(kind, name)), key=lambda name: name in _LAST)


def require_fit(shape: Shape, objective: str | None, name: str) -> None:
    """Refuse data that an objective cannot use; None accepts every known shape.

    Raises:
        DatasetError: ``unknown_shape``, ``unknown_objective``, or ``<kind>_for_<objective>``.
    """
    if shape.kind == "unknown":
        raise DatasetError("unknown_shape", f"The rows of '{name}' have no known shape: "
                           f"{shape.reason}.",
                           "Correct the file: what stands there is not what its ending says."
                           if shape.reason.startswith(NO_ROW) else
                           "Say what they mean: --map prompt=COLUMN --map response=COLUMN, or "
                           "the mapping editor on the page, or 'columns' in dataset_info.json.")
    if objective is None or fits(shape.kind, objective):
        return
    if objective not in KINDS:
        raise DatasetError("unknown_objective", f"There is no objective '{objective}'.",
                           f"Choose one of {', '.join(KINDS)}.")
    message, advice = _refusal(shape, objective)
    raise DatasetError(f"{shape.kind}_for_{objective}", f"'{name}' {message}", advice)


def _refusal(shape: Shape, objective: str) -> tuple[str, str]:
    """Return (message, advice) for a known shape that does not fit."""
    rows = OBJECTIVES[objective].rows
    what = _WHAT.get(shape.kind, "has prompts with answers")
    return (f"{what} ({shape.reason}); objective {objective} needs {_NEEDS[rows]}.",
            f"{_how(shape, rows)}Choose objective: {_listed(objectives_of(shape.kind))}, "
            "or other data.")


def _how(shape: Shape, rows: RowKind) -> str:
    """Return what could be said of the same columns to make them fit, if anything."""
    columns = shape.mapping.columns
    if rows == "turns" and shape.kind == "prompt_only":
        if columns.reference:
            return ("To train on the reference as the answer, map it as 'response' "
                    f"(now 'reference': '{columns.reference}'). ")
        return "Add a column with the answers. "
    if rows == "labelled" and columns.response:
        return (f"If '{columns.response}' names a class, map it as 'label' "
                f"(now 'response': '{columns.response}'). ")
    return ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


_NEEDS: dict[RowKind, str] = {
    "turns": "prompts with answers", "text": "plain text",
    "pairs": "pairs of a chosen and a rejected answer",
    "judged": "answers with a label that says whether each is desired",
    "prompts": "prompts, if need be with the right answers",
    "labelled": "texts with the name of a class beside each"}
_WHAT: dict[Kind, str] = {
    "text": "is plain text", "kto": "is KTO data", "preference": "has preference pairs",
    "hh_rlhf": "has preference pairs",
    "prompt_only": "has prompts with a reference and no answer of an assistant"}
