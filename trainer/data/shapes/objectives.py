"""Which shapes fit which objective, and what to say of those that do not."""

from __future__ import annotations

from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.recognise import NO_ROW, Kind, Shape

CHAT_KINDS: tuple[Kind, ...] = ("alpaca", "openai", "sharegpt", "prompt_completion",
                                "question_answer", "classification")
PAIR_KINDS: tuple[Kind, ...] = ("preference", "hh_rlhf")
KINDS: dict[str, tuple[Kind, ...]] = {"sft": CHAT_KINDS, "pretrain": ("text",),
                                      "dpo": PAIR_KINDS, "kto": ("kto",)}


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
    what, advice = _WHAT.get(shape.kind, _CHAT)
    if objective == "sft" and shape.kind == "prompt_only":
        advice = (f"To train on the reference as the answer, map it as 'response' "
                  f"(now 'reference': '{shape.mapping.columns.reference}')."
                  if shape.mapping.columns.reference else "Add a column with the answers.")
    return (f"{what} ({shape.reason}); objective {objective} needs {_NEEDS[objective]}.", advice)


_NEEDS = {"sft": "prompts with answers", "pretrain": "plain text",
          "dpo": "pairs of a chosen and a rejected answer",
          "kto": "answers with a label that says whether each is desired"}
_CHAT = ("has prompts with answers", "Choose objective: sft, or other data.")
_WHAT: dict[Kind, tuple[str, str]] = {
    "text": ("is plain text", "Choose objective: pretrain, or data with prompts and answers."),
    "kto": ("is KTO data", "Choose objective: kto."),
    "preference": ("has preference pairs", "Choose objective: dpo."),
    "hh_rlhf": ("has preference pairs", "Choose objective: dpo."),
    "prompt_only": ("has prompts with a reference and no answer of an assistant",
                    "Such data is for reinforcement learning.")}
