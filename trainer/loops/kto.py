"""What Finestra adds to TRL's KTOTrainer: neighbours from the batch, and means over rows."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

from trl import KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from trainer.loops.loop import CommittedLoop

Mode = Literal["train", "eval"]
REWARDS = ("rewards/chosen", "rewards/rejected")


class NeighbourCollator(DataCollatorForUnpairedPreference):
    """Pads a batch of rows with ``prompt_ids``, ``completion_ids`` and ``label``.

    KTO measures how far the model has moved on answers to other prompts. TRL pairs rows before
    training, in the order of the file; here each prompt gets the answer of the row before it in
    its own batch, so rows may come in any order.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return ids, masks and labels: (B, T) each, and (B,) booleans."""
        neighbours = examples[-1:] + examples[:-1]
        return dict(super().torch_call([
            {**row, "KL_completion_ids": other["completion_ids"]}
            for row, other in zip(examples, neighbours, strict=True)]))


class CommittedKTOTrainer(CommittedLoop, KTOTrainer):
    """TRL's KTOTrainer on rows that are already tokens; rewards are means over rows.

    TRL averages the means of batches, in which desired and undesired rows are unevenly mixed, and
    leaves the margin out where a batch has only one kind.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin without rows."""
        self._kinds: dict[Mode, list[tuple[int, int]]] = defaultdict(list)
        super().__init__(*args, **kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any,
                     **kwargs: Any) -> Any:
        """Do what TRL does, and count the rows of each kind."""
        desired = int(inputs["label"].sum())
        self._kinds[self._mode].append((desired, len(inputs["label"]) - desired))
        return super().compute_loss(model, inputs, *args, **kwargs)

    @property
    def _mode(self) -> Mode:
        return "train" if self.model.training else "eval"

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Put means over rows in place of TRL's means over batches, then log."""
        measured, kinds = self._metrics[self._mode], self._kinds.pop(self._mode, [])
        for index, name in enumerate(REWARDS):
            counts = [count[index] for count in kinds if count[index]]
            if len(counts) == len(measured.get(name, ())) > 0:
                weighted = sum(v * n for v, n in zip(measured[name], counts, strict=True))
                measured[name] = [weighted / sum(counts)]
        if all(measured.get(name) for name in REWARDS):
            chosen, rejected = (measured[name][-1] for name in REWARDS)
            measured["rewards/margins"] = [chosen - rejected]
        super().log(logs, *args, **kwargs)
