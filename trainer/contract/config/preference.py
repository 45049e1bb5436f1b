"""Objectives that learn from answers that people preferred."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainer.contract.config.base import Section, field

DPO_LOSSES = Literal["sigmoid", "hinge", "ipo", "robust", "exo_pair", "nca_pair", "bco_pair",
                     "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop",
                     "sigmoid_norm", "sft"]
_ALPHA = {"dpo.f_divergence_type": ("alpha_divergence",)}


class DPOConfig(Section):
    """Direct preference optimisation (arXiv:2305.18290); names are those of TRL's DPOConfig."""

    beta: float = field(
        0.1, "Beta", "How strongly the model is held to the reference; larger stays closer.",
        basic=True, gt=0, le=100)
    loss_type: DPO_LOSSES = field("sigmoid", "Loss", "The preference loss; 'sigmoid' is DPO's.")
    mixture: dict[DPO_LOSSES, Annotated[float, Field(gt=0, le=100)]] = field(
        dict, "Mixture of losses", "Losses with their weights, such as sigmoid=0.8, bco_pair=0.2, "
        "sft=1 (MPO, arXiv:2411.10442), in place of the one loss.")
    label_smoothing: float = field(
        0.0, "Label smoothing", "Assumed share of flipped preferences.", ge=0, lt=0.5)
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence",
                               "alpha_divergence"] = field(
        "reverse_kl", "Divergence", "How distance from the reference is measured "
        "(f-DPO, arXiv:2309.16240).")
    f_alpha_divergence_coef: float = field(
        0.5, "Alpha of the divergence", "Coefficient of the alpha divergence.", gt=0, lt=1,
        only=_ALPHA)
    ld_alpha: float | None = field(
        None, "Length desensitising", "Weight of the tokens beyond the shorter answer's length "
        "(LD-DPO, arXiv:2409.06411); empty counts all alike.", ge=0, le=1)
    use_weighting: bool = field(
        False, "Weighted pairs", "Weigh pairs by how likely the model finds them "
        "(WPO, arXiv:2406.11827).")
    reference_free: bool = field(
        False, "Without reference", "Compare with a uniform reference instead of the model as it "
        "was: less memory, less hold.")
    precompute_ref_log_probs: bool = field(
        False, "Reference in advance", "Ask the reference once before training, then let it go.")
    sync_ref_model: bool = field(
        False, "Moving reference", "Let the reference follow the model every so many steps "
        "(TR-DPO, arXiv:2404.09656); full fine-tuning only.")
    ref_model_mixup_alpha: float = field(
        0.6, "Share of the model", "How much of the model goes into the reference at each update.",
        gt=0, le=1, only={"dpo.sync_ref_model": ("true",)})
    ref_model_sync_steps: int = field(
        64, "Update the reference every", "Steps between two updates of the reference.",
        unit="steps", ge=1, only={"dpo.sync_ref_model": ("true",)})
    discopop_tau: float = field(
        0.05, "DiscoPOP temperature", "Temperature of the log ratio (arXiv:2406.08414).",
        gt=0, le=10, only={"dpo.loss_type": ("discopop",)})

    @property
    def losses(self) -> dict[str, float]:
        """The losses with their weights: the mixture, or the one loss."""
        return {str(name): weight for name, weight in self.mixture.items()} or {self.loss_type: 1.0}


class ORPOConfig(Section):
    """Odds ratio preference optimisation (arXiv:2403.07691): no reference model."""

    beta: float = field(
        0.1, "Weight of the odds ratio", "How much preference counts beside the answer's own loss "
        "(lambda in the paper).", basic=True, gt=0, le=100)


class SimPOConfig(Section):
    """Simple preference optimisation (arXiv:2405.14734): mean log-probability as reward."""

    beta: float = field(2.0, "Beta", "Scale of the reward; 2 to 10 is usual.", basic=True,
                        gt=0, le=100)
    simpo_gamma: float = field(
        0.5, "Target margin", "By how much the chosen answer's reward should be ahead.", ge=0,
        le=100)
    cpo_alpha: float = field(
        0.0, "Weight of the answer's loss", "Above 0 the chosen answer's own loss is added "
        "(CPO-SimPO).", ge=0, le=100)
    label_smoothing: float = field(
        0.0, "Label smoothing", "Assumed share of flipped preferences.", ge=0, lt=0.5)


class CPOConfig(Section):
    """Contrastive preference optimisation (arXiv:2401.08417); names are those of TRL."""

    beta: float = field(0.1, "Beta", "Scale of the preference.", basic=True, gt=0, le=100)
    loss_type: Literal["sigmoid", "hinge", "ipo"] = field(
        "sigmoid", "Loss", "The preference loss.")
    cpo_alpha: float = field(
        1.0, "Weight of the answer's loss", "How much the chosen answer's own loss counts.", ge=0,
        le=100)
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


class RewardModelConfig(Section):
    """A model that scores answers (Bradley-Terry); names are those of TRL's RewardConfig."""

    center_rewards_coefficient: float | None = field(
        None, "Centring", "Pulls the mean score towards 0 (arXiv:2312.09244, eq. 2); 0.01 is "
        "usual, empty leaves it free.", gt=0, le=10)
