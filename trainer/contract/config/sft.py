"""Objectives with one right continuation or one right class."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field


class SFTConfig(Section):
    """Supervised fine-tuning and pretraining."""

    loss_type: Literal["nll", "dft", "eaft", "asft"] = field(
        "nll", "Loss", "nll is cross-entropy; dft weighs tokens by their probability "
        "(arXiv:2508.05629); eaft by the model's uncertainty (arXiv:2601.02151); asft is dft held "
        "to the base (arXiv:2509.23753).")
    asft_alpha: float = field(
        0.1, "Hold to the base", "Weight of the KL divergence from the base.", gt=0, le=100,
        only={"sft.loss_type": ("asft",)})
    eaft_alpha: float = field(
        1.0, "Sharpness", "Exponent of the uncertainty.", gt=0, le=10,
        only={"sft.loss_type": ("eaft",)})


class ClassificationConfig(Section):
    """A head that tells classes of text apart."""

    labels: list[str] = field(
        list, "Classes", "Their names in order; empty takes those of the data, sorted.")
    loss_type: Literal["cross_entropy", "focal"] = field(
        "cross_entropy", "Loss", "'focal' looks more at rows that are still wrong "
        "(arXiv:1708.02002).")
    focal_gamma: float = field(
        2.0, "Focus", "How much easy rows are discounted.", ge=0, le=10,
        only={"classification.loss_type": ("focal",)})
    balance: bool = field(
        False, "Balance classes", "Weigh each class by how rare it is.")
