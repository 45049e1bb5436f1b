"""The loop of answers and text: our losses on TRL's trainer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from trl import SFTTrainer

from trainer.loops.loop import CommittedLoop
from trainer.loops.packing import count_tokens
from trainer.loops.sft_losses import Scores, TokenLoss, score_logits


class CommittedSFTTrainer(CommittedLoop, SFTTrainer):
    """TRL's SFTTrainer on token rows, packed or not.

    ``eval_loss`` is the mean negative log-likelihood of the trained tokens, whatever is trained
    with; TRL averages batch means, so its value depends on how rows are batched.

    ``token_loss`` says what is trained with. What needs logits is computed from them, all else
    with TRL's fused head, which never builds them. ``reference`` is a frozen copy of the base for
    losses that compare with it; None means the model without its adapter.
    """

    token_loss = TokenLoss()
    reference: Any = None
    head_is_adapted = False
    padded_collator: Any = None

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Measure padded rows, also where those that are trained on are packed."""
        packed = self.data_collator
        self.data_collator = self.padded_collator or packed
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = packed

    def batch_tokens(self, inputs: dict[str, Any]) -> int:
        """Return how many tokens a batch has, packed or padded."""
        if "attention_mask" in inputs:
            return super().batch_tokens(inputs)
        return count_tokens(inputs["position_ids"])

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, then put the token mean in place of the mean of means."""
        self._eval_sum, self._eval_tokens = 0.0, 0
        output = super().evaluation_loop(*args, **kwargs)
        if self._eval_tokens:
            output.metrics["eval_loss"] = self._eval_sum / self._eval_tokens
        return output

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        """Return the loss of a batch (a scalar), divided by the tokens of the whole step.

        While measuring it is the plain negative log-likelihood.
        """
        training = self.model.training
        wanted = self.token_loss if training else TokenLoss()
        scores = self._score(model, {**inputs, "use_cache": False}, wanted)
        count = scores.count if num_items_in_batch is None else num_items_in_batch
        loss = scores.losses.sum() / torch.as_tensor(count).clamp(min=1)
        if training and scores.aux_loss is not None:
            steps = (1 if num_items_in_batch is None
                     else self.current_gradient_accumulation_steps)
            loss = loss + self.router_aux_loss_coef * scores.aux_loss / steps
        self._note(scores, training)
        return (loss, {}) if return_outputs else loss

    def _score(self, model: Any, inputs: dict[str, Any], wanted: TokenLoss) -> Scores:
        if self.aux_loss_enabled and self.model.training:
            inputs["output_router_logits"] = True
        if not (wanted.needs_logits or self.head_is_adapted):
            return self._score_fused(model, inputs, wanted)
        labels = inputs.pop("labels")
        reference = self._reference_logits(inputs) if wanted.needs_reference else None
        outputs = model(**inputs)
        scores = score_logits(wanted, outputs.logits, labels, reference)
        return scores._replace(aux_loss=getattr(outputs, "aux_loss", None))

    def _score_fused(self, model: Any, inputs: dict[str, Any], wanted: TokenLoss) -> Scores:
        outputs = model(**inputs, fused_lm_head=True)
        losses = -outputs.log_probs
        if wanted.name == "dft":
            losses = losses * outputs.log_probs.detach().exp()
        return Scores(losses, outputs.entropy.detach(), outputs.is_top1.float(),
                      outputs.label_mask.sum(), outputs.aux_loss)

    def _reference_logits(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Return what the base says, without dropout and noise: (B, T, V)."""
        model = self.reference or self.accelerator.unwrap_model(self.model)
        without = contextlib.nullcontext() if self.reference else model.disable_adapter()
        with torch.no_grad(), _measuring(model), without:
            logits: torch.Tensor = model(**inputs).logits
        return logits

    def _note(self, scores: Scores, training: bool) -> None:
        """Keep entropy and accuracy for the next log; of an evaluation also the loss."""
        noted, count = self._metrics["train" if training else "eval"], int(scores.count)
        noted["entropy"].append(float(scores.entropy.sum()) / max(count, 1))
        noted["mean_token_accuracy"].append(float(scores.correct.sum()) / max(count, 1))
        if training and scores.aux_loss is not None:
            noted["aux_loss"].append(float(scores.aux_loss))
        if not training:
            self._eval_sum += float(scores.losses.sum())
            self._eval_tokens += count


@contextlib.contextmanager
def _measuring(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode and back."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def has_adapted_head(model: Any) -> bool:
    """Tell whether PEFT trains something of the head, so that its plain weight is not all of it."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return isinstance(model.get_output_embeddings(), BaseTunerLayer | AuxiliaryTrainingWrapper)


@contextlib.contextmanager
def head_shown_plain(model: Any) -> Iterator[None]:
    """Show TRL the head below its adapter.

    TRL refuses an adapter on the head, because its fused head would pass it by; ours computes
    from the logits then.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model

    def plain() -> Any:
        head = type(base).get_output_embeddings(base)
        return getattr(head, "base_layer", head)

    base.get_output_embeddings = plain
    try:
        yield
    finally:
        del base.get_output_embeddings
