"""What Finestra adds to TRL's RewardTrainer: rows that are already tokens, means over rows."""

from __future__ import annotations

from typing import Any

from trl import RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from trainer.loops.loop import CommittedLoop
from trainer.loops.preference import PairMeans


class ScoredCollator(DataCollatorForPreference):
    """Pads a batch of pairs: each answer stands behind its prompt, and is scored at its end."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return ids and masks, (2B, T) each: the chosen answers, then the rejected ones."""
        return dict(super().torch_call([
            {name: [*row["prompt_ids"], *row[name]] for name in ("chosen_ids", "rejected_ids")}
            for row in examples]))


_NAMES = {"accuracy": "rewards/accuracies", "margin": "rewards/margins"}


class CommittedRewardTrainer(CommittedLoop, PairMeans, RewardTrainer):
    """TRL's RewardTrainer on pairs that are already tokens; numbers are named as those of DPO."""

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log accuracy and margin under the names that all preferences share."""
        measured = self._metrics[self._mode]
        for name in _NAMES.keys() & measured.keys():
            measured[_NAMES[name]] = measured.pop(name)
        super().log(logs, *args, **kwargs)
