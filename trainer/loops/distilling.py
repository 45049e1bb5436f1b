"""Learning from a teacher: from own answers (distillation), or from the data's as well (GKD)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer
from trl import DistillationTrainer
from trl.experimental.gkd import GKDTrainer

from trainer.contract.events import SampleEvent
from trainer.generate import cut_at
from trainer.loops.loop import CommittedLoop
from trainer.loops.rollout import InGroups, Rollout, Row

if TYPE_CHECKING:
    from trainer.loops.rollout import Listening

IGNORED = -100


class TokenMean(Trainer):
    """``eval_loss`` is the mean over tokens that are compared; TRL averages batch means."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, then put the token mean in place of the mean of means."""
        self._sum, self._compared = 0.0, 0
        output = super().evaluation_loop(*args, **kwargs)
        if self._compared:
            output.metrics["eval_loss"] = self._sum / self._compared
        return output

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Do what TRL does; when measuring, note the loss and how many tokens it is of."""
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if not self.model.training:
            tokens = self.compared_tokens(inputs)
            self._sum += float(loss[0] if isinstance(loss, tuple) else loss) * tokens
            self._compared += tokens
        return loss

    def compared_tokens(self, inputs: dict[str, Any]) -> int:
        """Return how many tokens of a batch are compared."""
        return int((inputs["labels"][:, 1:] != IGNORED).sum())


class CommittedDistillationTrainer(InGroups, CommittedLoop, TokenMean, Rollout,
                                   DistillationTrainer):
    """TRL's DistillationTrainer on prompts that are already tokens."""

    def compared_tokens(self, inputs: dict[str, Any]) -> int:
        """Return how many tokens the student wrote."""
        return int(inputs["completion_mask"].sum())

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if self.shows_now():
            for index in range(min(self.listening.samples, len(inputs))):
                kept = output["completion_mask"][index].bool()
                text = self.processing_class.decode(output["completion_ids"][index][kept],
                                                    skip_special_tokens=True)
                self.listening.emit(SampleEvent(
                    step=self.state.global_step, prompt=inputs[index]["question"],
                    reference=inputs[index]["reference"],
                    output=cut_at(text, self.listening.stop_strings)))
        return output


class PromptedCollator:
    """Pads rows of ``input_ids`` and ``labels``; what stands before the first label is the prompt.

    ``input_ids``, ``attention_mask`` and ``labels`` are padded on the right, ``prompts`` and
    ``prompt_attention_mask`` on the left; (B, T) int64 each.
    """

    def __init__(self, pad_token_id: int) -> None:
        """Keep the padding token."""
        self._pad = pad_token_id

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, torch.Tensor]:
        """Return a batch."""
        ids = [list(row["input_ids"]) for row in rows]
        labels = [list(row["labels"]) for row in rows]
        prompts = [one[:first_label(row)] for one, row in zip(ids, labels, strict=True)]
        return {"input_ids": _right(ids, self._pad), "labels": _right(labels, IGNORED),
                "attention_mask": _right([[1] * len(one) for one in ids], 0),
                "prompts": _left(prompts, self._pad),
                "prompt_attention_mask": _left([[1] * len(one) for one in prompts], 0)}


def first_label(labels: Sequence[int]) -> int:
    """Return where the first trained token stands; the length when nothing is trained."""
    return next((i for i, label in enumerate(labels) if label != IGNORED), len(labels))


def _right(rows: list[list[int]], filler: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


def _left(rows: list[list[int]], filler: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[filler] * (width - len(row)) + row for row in rows])


class CommittedGKDTrainer(CommittedLoop, TokenMean, GKDTrainer):
    """TRL's GKDTrainer on token rows.

    TRL divides the divergence by the number of tokens in the data's answers, also when it compares
    sampled ones; here a batch of sampled answers counts its own tokens.
    """

    _sampled = False

    def listen(self, listening: Listening) -> None:
        """Let exactly these tokens end an answer."""
        self.generation_config.eos_token_id = list(listening.eos_ids)
        self.generation_kwargs["eos_token_id"] = list(listening.eos_ids)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Do what TRL does; whether it samples is known only then."""
        self._sampled = False
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        return loss

    def generate_on_policy_outputs(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Sample as TRL does, and remember it."""
        self._sampled = True
        with torch.no_grad(), self.accelerator.autocast():
            return GKDTrainer.generate_on_policy_outputs(*args, **kwargs)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        """Return the divergence, a mean over the tokens of the answers that are compared."""
        if self._sampled and num_items_in_batch is not None:
            own = (inputs["labels"][:, 1:] != IGNORED).sum().clamp(min=1)
            num_items_in_batch = own * self.current_gradient_accumulation_steps
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
