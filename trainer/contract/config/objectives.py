"""Fields that only one objective has."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field

DPO_LOSSES = Literal["sigmoid", "hinge", "ipo", "robust", "sppo_hard", "apo_zero", "apo_down"]


class DPOConfig(Section):
    """Direct preference optimisation (arXiv:2305.18290); names are those of TRL's DPOConfig."""

    beta: float = field(
        0.1, "Beta", "How strongly the model is held to the reference; larger stays closer.",
        basic=True, gt=0, le=100)
    loss_type: DPO_LOSSES = field("sigmoid", "Loss", "The preference loss; 'sigmoid' is DPO's.")
    label_smoothing: float = field(
        0.0, "Label smoothing", "Assumed share of flipped preferences.", ge=0, lt=0.5)


class KTOConfig(Section):
    """Kahneman-Tversky optimisation (arXiv:2402.01306); names are those of TRL's KTOConfig."""

    beta: float = field(
        0.1, "Beta", "How strongly the model is held to the reference; larger stays closer.",
        basic=True, gt=0, le=100)
    desirable_weight: float = field(
        1.0, "Weight of desired answers", "Raise it when there are fewer of them.", gt=0, le=100)
    undesirable_weight: float = field(
        1.0, "Weight of undesired answers", "Raise it when there are fewer of them.",
        gt=0, le=100)


class EvaluationConfig(Section):
    """What is measured besides the loss, on the evaluation data."""

    exact_match: bool = field(
        False, "Exact match",
        "Before and after training, let the model answer the evaluation prompts and count the "
        "answers that equal the reference.", basic=True)
    max_new_tokens: int = field(32, "Answer length", "Longest answer when measuring.",
                                unit="tokens", ge=1, le=8192)
    limit: int | None = field(
        None, "Questions", "Ask only the first so many; empty means all.", ge=1)
    samples: int = field(
        3, "Sample answers", "Prompts answered at each evaluation and shown on the run's page.",
        ge=0, le=16)


class TrackingConfig(Section):
    """Where metrics are sent besides the studio itself."""

    backend: Literal["none", "swanlab"] = field(
        "none", "Tracker", "SwanLab, besides the curves in the studio.", basic=True)
    project: str = field("finestra", "Project", "The project's name at the tracker.",
                         min_length=1, max_length=100)
    mode: Literal["offline", "local", "cloud"] = field(
        "offline", "Tracker mode",
        "'offline' writes into the run's folder and needs no account; 'cloud' needs an API key "
        "in SWANLAB_API_KEY.")
