"""What is measured, and where metrics also go."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field


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
