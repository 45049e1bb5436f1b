"""What the objectives on preferences share: the reference, honest means, losses without reference.

Pairs come as ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``; a batch holds the chosen answers
in its first half and the rejected ones in its second.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional
from trl import DPOTrainer

from trainer.loops.loop import CommittedLoop

if TYPE_CHECKING:
    from trainer.contract.config import CPOConfig, ORPOConfig, RunConfig, SimPOConfig

Mode = Literal["train", "eval"]
# Never exactly 0: there the odds of an answer would be infinite.
_ALMOST_CERTAIN = -1e-6


def frozen_copy(config: RunConfig, model: Any) -> Any:
    """Return the reference of a run that trains the base's own weights; None with an adapter.

    To ask the reference, TRL switches a new adapter off, and one that had a past to a frozen copy.
    """
    return None if config.tuner.is_adapter else copy.deepcopy(model)


class NoReference(torch.nn.Module):
    """Stands where TRL would load a reference model from disk that nobody asks."""

    def __init__(self, config: Any) -> None:
        """Take the config of the model, which TRL reads."""
        super().__init__()
        self.config = config

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a loss asked for what it must not need."""
        raise AssertionError("this loss has no reference model")


@dataclass(frozen=True)
class _Counts:
    """How many rows and trained tokens a batch had; what its means are weighed by."""

    rows: int
    chosen: int
    rejected: int

    @classmethod
    def of(cls, inputs: dict[str, Any]) -> _Counts:
        """Count a batch of pairs."""
        rows = len(inputs["input_ids"]) // 2
        if "completion_mask" not in inputs:
            return cls(rows, rows, rows)
        tokens = inputs["completion_mask"][:, 1:].sum(dim=1)
        return cls(rows, int(tokens[:rows].sum()), int(tokens[rows:].sum()))

    def weight(self, name: str) -> int:
        """Return what the batch's mean of that name counts."""
        if name == "entropy":
            return self.chosen + self.rejected
        return {"logits/chosen": self.chosen, "mean_token_accuracy": self.chosen,
                "logits/rejected": self.rejected}.get(name, self.rows)


class PairMeans:
    """Mixed in front of a TRL trainer on pairs: what it logs are means over rows and tokens.

    TRL averages the means of batches, of which the last is smaller and all differ in tokens.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin without batches."""
        self._counts: dict[Mode, list[_Counts]] = defaultdict(list)
        super().__init__(*args, **kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    @property
    def _mode(self) -> Mode:
        return "train" if self.model.training else "eval"  # type: ignore[attr-defined]

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Do what TRL does, and count the batch."""
        self._counts[self._mode].append(_Counts.of(inputs))
        return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Put means over rows in place of TRL's means over batches, then log."""
        measured: dict[str, list[float]] = self._metrics[self._mode]  # type: ignore[attr-defined]
        counts = self._counts.pop(self._mode, [])
        for name, values in measured.items():
            if len(values) == len(counts) > 0:
                measured[name] = [_together(name, values, counts)]
        super().log(logs, *args, **kwargs)  # type: ignore[misc]


def _together(name: str, values: list[float], counts: list[_Counts]) -> float:
    if name in ("min_reward", "max_reward"):
        return min(values) if name == "min_reward" else max(values)
    weights = [count.weight(name) for count in counts]
    whole = sum(weights)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / whole if whole else 0.0


@dataclass(frozen=True)
class Answers:
    """What a model says of the answers of a batch: log-probabilities and tokens, (B,) each."""

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor

    @property
    def chosen_mean(self) -> torch.Tensor:
        """Mean log-probability of a token of the chosen answer."""
        return self.chosen / self.chosen_tokens

    @property
    def rejected_mean(self) -> torch.Tensor:
        """Mean log-probability of a token of the rejected answer."""
        return self.rejected / self.rejected_tokens


@dataclass(frozen=True)
class Judgement:
    """Losses and implicit rewards of a batch, (B,) each, and more numbers to log."""

    loss: torch.Tensor
    chosen: torch.Tensor
    rejected: torch.Tensor
    more: dict[str, torch.Tensor]


Loss = Callable[[Answers], Judgement]


def _with_answer_loss(preference: torch.Tensor, answers: Answers, weight: float) -> torch.Tensor:
    return preference - weight * answers.chosen_mean if weight else preference


def _smoothed(margin: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return -log sigmoid of the margin where a share of the preferences may be flipped."""
    return (-functional.logsigmoid(margin) * (1 - smoothing)
            - functional.logsigmoid(-margin) * smoothing)


def log_odds(mean_logps: torch.Tensor) -> torch.Tensor:
    """Return log(p / (1 - p)) of answers whose mean log-probability a token is log p; (B,)."""
    logps = mean_logps.clamp(max=_ALMOST_CERTAIN)
    return logps - torch.log(-torch.expm1(logps))


def orpo_loss(config: ORPOConfig) -> Loss:
    """Return ORPO's loss, eq. 6 and 7 of arXiv:2403.07691.

    -log P(chosen) a token - beta * log sigmoid(log odds(chosen) - log odds(rejected)). The answer's
    own loss is that of its tokens; TRL's experimental trainer learns the prompt as well.
    """
    def loss(answers: Answers) -> Judgement:
        ratio = log_odds(answers.chosen_mean) - log_odds(answers.rejected_mean)
        odds = functional.logsigmoid(ratio)
        return Judgement(_with_answer_loss(-config.beta * odds, answers, 1.0),
                         config.beta * answers.chosen_mean, config.beta * answers.rejected_mean,
                         {"log_odds_chosen": ratio, "log_odds_ratio": odds})

    return loss


def simpo_loss(config: SimPOConfig) -> Loss:
    """Return SimPO's loss, eq. 6 of arXiv:2405.14734: rewards are mean log-probabilities."""
    def loss(answers: Answers) -> Judgement:
        chosen = config.beta * answers.chosen_mean
        rejected = config.beta * answers.rejected_mean
        preference = _smoothed(chosen - rejected - config.simpo_gamma, config.label_smoothing)
        return Judgement(_with_answer_loss(preference, answers, config.cpo_alpha), chosen,
                         rejected, {})

    return loss


def cpo_loss(config: CPOConfig) -> Loss:
    """Return CPO's loss, eq. 3 to 5 of arXiv:2401.08417, with DPO's hinge and IPO as well.

    IPO (arXiv:2310.12036, eq. 17) compares mean log-probabilities, as its authors do.
    """
    def preference(answers: Answers) -> torch.Tensor:
        if config.loss_type == "ipo":
            return (answers.chosen_mean - answers.rejected_mean - 1 / (2 * config.beta)) ** 2
        margin = config.beta * (answers.chosen - answers.rejected)
        if config.loss_type == "hinge":
            return torch.relu(1 - margin)
        return _smoothed(margin, config.label_smoothing)

    def loss(answers: Answers) -> Judgement:
        means = config.loss_type == "ipo"
        chosen = answers.chosen_mean if means else answers.chosen
        rejected = answers.rejected_mean if means else answers.rejected
        return Judgement(_with_answer_loss(preference(answers), answers, config.cpo_alpha),
                         config.beta * chosen, config.beta * rejected, {})

    return loss


class PairLoop(CommittedLoop, PairMeans, DPOTrainer):
    """TRL's DPOTrainer with a loss that needs no reference; every loss is a mean over rows.

    TRL's own trainers of these losses are experimental: they tokenise text themselves, build all
    logits, and average answers' tokens over a batch, so that accumulated steps differ from large
    batches.
    """

    def __init__(self, *, model: Any, loss: Loss, **kwargs: Any) -> None:
        """Take the loss of a batch of answers; the rest is for DPOTrainer."""
        super().__init__(model=model, ref_model=NoReference(model.config), **kwargs)
        self.ref_model, self._loss = None, loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any],
                      return_outputs: bool) -> torch.Tensor:
        """Return the mean loss of a batch (a scalar)."""
        assert not return_outputs, "the fused head builds no logits"
        mask = inputs["completion_mask"][:, 1:]
        outputs = self._ask(model, inputs)
        logps = outputs.log_probs[:, -mask.shape[1]:].float().sum(dim=1)
        answers = Answers(*logps.chunk(2), *mask.sum(dim=1).clamp(min=1).chunk(2))
        judged = self._loss(answers)
        self._note(answers, judged, outputs, mask)
        loss = judged.loss.mean()
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss
        return loss

    def _ask(self, model: Any, inputs: dict[str, Any]) -> Any:
        more = {"output_router_logits": True} if self.aux_loss_enabled else {}
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        return model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
                     use_cache=False, labels=labels, fused_lm_head=True, **more)

    @torch.no_grad()
    def _note(self, answers: Answers, judged: Judgement, outputs: Any,
              mask: torch.Tensor) -> None:
        """Keep the batch's numbers under the names of TRL."""
        top = outputs.is_top1[:, -mask.shape[1]:].chunk(2)[0] & mask.chunk(2)[0].bool()
        entropy = (outputs.entropy[:, -mask.shape[1]:] * mask).sum() / mask.sum().clamp(min=1)
        numbers = {"rewards/chosen": judged.chosen, "rewards/rejected": judged.rejected,
                   "rewards/margins": judged.chosen - judged.rejected,
                   "rewards/accuracies": (judged.chosen > judged.rejected).float(),
                   "logps/chosen": answers.chosen, "logps/rejected": answers.rejected,
                   "nll_loss": -answers.chosen_mean, "entropy": entropy, **judged.more,
                   "mean_token_accuracy": top.sum() / answers.chosen_tokens.sum()}
        for name, values in numbers.items():
            self._metrics[self._mode][name].append(float(values.float().mean()))
