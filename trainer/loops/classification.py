"""Telling classes of text apart: losses, the loop, what is measured, and using the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from trainer.contract.files import read_json, write_json
from trainer.loops.heads import CLASSES, Scorer, load_scorer
from trainer.loops.loop import CommittedLoop

if TYPE_CHECKING:
    from trainer.contract.config import RunConfig

CONFUSION = "confusion.json"


@dataclass(frozen=True)
class ClassLoss:
    """The loss of a row; ``weights`` holds one number for each class, None weighs all alike.

    With p the probability of the right class: cross-entropy ``-log p`` (smoothed: a share of the
    target is spread over all classes), focal ``(1 - p)^gamma * -log p`` (arXiv:1708.02002), times
    the weight of the right class.
    """

    gamma: float = 0.0
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None

    @classmethod
    def of(cls, config: RunConfig, labels: Sequence[int], classes: int) -> ClassLoss:
        """Read the loss of a run's config; ``labels`` are those of the training rows."""
        asked = config.classification
        return cls(gamma=asked.focal_gamma if asked.loss_type == "focal" else 0.0,
                   smoothing=config.training.label_smoothing_factor,
                   weights=balanced(labels, classes) if asked.balance else None)

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row (B,) from (B, C) logits and (B,) class numbers."""
        values = logits.float()
        losses = F.cross_entropy(values, labels, reduction="none", label_smoothing=self.smoothing)
        if self.gamma:
            losses = losses * (1 - torch.exp(-losses)).pow(self.gamma)
        if self.weights is not None:
            losses = losses * torch.tensor(self.weights, device=losses.device)[labels]
        return losses


def balanced(labels: Sequence[int], classes: int) -> tuple[float, ...]:
    """Return ``rows / (classes * rows of the class)``, 0 for a class without rows."""
    counts = [0] * classes
    for label in labels:
        counts[label] += 1
    return tuple(len(labels) / (classes * count) if count else 0.0 for count in counts)


def macro_f1(confusion: torch.Tensor) -> float:
    """Return the mean F1 of all classes that occur, right or answered, from (C, C) counts.

    ``confusion[right, answered]``; a class that neither occurs nor is answered has no F1.
    """
    hits, right, answered = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    seen = (right + answered) > 0
    f1 = 2 * hits[seen] / (right + answered)[seen]
    return float(f1.double().mean()) if bool(seen.any()) else 0.0


@dataclass(frozen=True)
class LabelledCollator:
    """Pads labelled rows: input_ids and attention_mask (B, T), labels (B,)."""

    pad_token_id: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch."""
        ids = [torch.tensor(row["input_ids"]) for row in rows]
        return {"input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id),
                "attention_mask": pad_sequence([torch.ones_like(one) for one in ids],
                                               batch_first=True),
                "labels": torch.tensor([int(row["label"]) for row in rows])}


class CommittedClassifier(CommittedLoop):
    """Transformers' Trainer on labelled rows.

    ``eval_loss`` is the plain cross-entropy of a row, whatever is trained with.
    """

    class_loss = ClassLoss()
    classes: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Let the trainer count the rows of a whole step."""
        super().__init__(*args, **kwargs)
        self.model_accepts_loss_kwargs = True
        self._right = self._rows = 0

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        """Return the loss of a batch (a scalar), divided by the rows of the whole step."""
        labels = inputs.pop("labels")
        logits = model(**inputs, use_cache=False).logits
        loss = self.class_loss if self.model.training else ClassLoss()
        rows = len(labels) if num_items_in_batch is None else num_items_in_batch
        total = loss(logits, labels).sum()
        answers = logits.detach().argmax(-1)
        if self.model.training:
            self._right += int((answers == labels).sum())
            self._rows += len(labels)
        else:
            self._measured += float(total)
            self._confusion.index_put_((labels.cpu(), answers.cpu()), torch.tensor(1),
                                       accumulate=True)
        return (total / rows, {"logits": logits}) if return_outputs else total / rows

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate; adds accuracy and macro F1 and writes who is taken for whom."""
        classes = len(self.classes)
        self._measured, self._confusion = 0.0, torch.zeros(classes, classes, dtype=torch.long)
        output = super().evaluation_loop(*args, **kwargs)
        rows = max(1, int(self._confusion.sum()))
        output.metrics.update(
            eval_loss=self._measured / rows, eval_macro_f1=macro_f1(self._confusion),
            eval_accuracy=int(self._confusion.diagonal().sum()) / rows)
        folder = self.settings.keeper.run.eval
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFUSION, {
            "step": self.state.global_step, "classes": list(self.classes),
            "rows_are_right_columns_are_answers": self._confusion.tolist()})
        return output

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log also the share of training rows since the last log that were right."""
        if self._rows and "loss" in logs:
            logs["accuracy"] = self._right / self._rows
            self._right = self._rows = 0
        super().log(logs, *args, **kwargs)


@dataclass(frozen=True)
class Classifier:
    """A finished classifier, ready to tell classes apart."""

    scorer: Scorer
    classes: tuple[str, ...]

    def classify(self, rows: Sequence[Sequence[int]]) -> list[tuple[str, float]]:
        """Return (class, probability) of each row of token ids."""
        shares = torch.tensor(self.scorer.scores(rows)).softmax(-1)
        best = shares.max(-1)
        return [(self.classes[place], share) for place, share in
                zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def load_classifier(name: Path | str, device: str, *, runs: Path | None = None) -> Classifier:
    """Load a finished classifier; arguments and errors are those of ``load_scorer``."""
    scorer = load_scorer(name, device, runs=runs)
    folder = Path(scorer.tokenizer.name_or_path)
    named = read_json(folder / CLASSES)
    if not isinstance(named, list):
        named = [scorer.model.config.id2label[place]
                 for place in range(scorer.model.config.num_labels)]
    return Classifier(scorer, tuple(map(str, named)))
