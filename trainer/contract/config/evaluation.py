"""What is measured, and where metrics also go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.facts import OBJECTIVES

AnswerMetric = Literal["exact_match", "contains", "numeric", "json", "rouge", "bleu", "chrf",
                       "classification"]
# The scores of each; while training they are measured as eval_<score>.
SCORES: dict[str, tuple[str, ...]] = {
    "exact_match": ("exact_match",), "contains": ("contains",), "numeric": ("numeric",),
    "json": ("json_valid",), "rouge": ("rouge1", "rouge2", "rougeL"), "bleu": ("bleu",),
    "chrf": ("chrf",), "classification": ("accuracy", "macro_f1")}
BestBy = Literal["eval_loss", "eval_exact_match", "eval_contains", "eval_numeric",
                 "eval_json_valid", "eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_bleu",
                 "eval_chrf", "eval_accuracy", "eval_macro_f1"]
# Those whose rows are questions that words can answer.
ANSWERING = tuple(name for name, facts in OBJECTIVES.items()
                  if not facts.head and facts.rows != "text")


def _each_once(names: list[AnswerMetric]) -> list[AnswerMetric]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("metric_twice", "A metric is named twice.")
    return names


class EvaluationConfig(Section):
    """What is measured besides the loss, on the evaluation data."""

    exact_match: bool = field(
        False, "Exact match",
        "Before and after training, let the model answer the evaluation prompts and count the "
        "answers that equal the reference.", basic=True)
    metrics: Annotated[list[AnswerMetric], AfterValidator(_each_once)] = field(
        list, "Score the answers", "Let the model answer the evaluation prompts before training "
        "and at evaluations, and draw these scores as curves: exact_match, contains, numeric, "
        "json, rouge, bleu, chrf, classification.", only={"objective": ANSWERING})
    generate_steps: int | None = field(
        None, "Score every", "Steps between two measurements of answers, a multiple of 'Evaluate "
        "every'; empty means at every evaluation. The last step is always measured.",
        unit="steps", ge=1, only={"objective": ANSWERING})
    max_new_tokens: int = field(32, "Answer length", "Longest answer when measuring.",
                                unit="tokens", ge=1, le=8192)
    limit: int | None = field(
        None, "Questions", "Ask only the first so many; empty means all.", ge=1)
    samples: int = field(
        3, "Sample answers", "Prompts answered at each evaluation and shown on the run's page.",
        ge=0, le=16)
    prompts: list[str] = field(
        list, "Fixed prompts", "Questions of your own, one a line; asked at each evaluation "
        "before those of the data.", max_length=16)


class TrackingConfig(Section):
    """Where metrics are sent besides the studio itself."""

    backend: Literal["none", "swanlab"] = field(
        "none", "Tracker", "SwanLab, besides the curves in the studio.")
    project: str = field("finestra", "Project", "The project's name at the tracker.",
                         min_length=1, max_length=100, only={"tracking.backend": ("swanlab",)})
    mode: Literal["offline", "local", "cloud"] = field(
        "offline", "Tracker mode",
        "'offline' writes into the run's folder and needs no account; 'cloud' needs an API key "
        "in SWANLAB_API_KEY.", only={"tracking.backend": ("swanlab",)})
