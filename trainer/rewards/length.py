"""How near an answer's length is to the one that is wanted."""

from __future__ import annotations

from trainer.contract.config import RewardUse
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score


class Length(Reward):
    """1 at the target, falling evenly to 0 at no tokens and at twice the target.

    The end token counts: an answer of ``target`` tokens is one that ends there.
    """

    name = "length"

    def __init__(self, target: int) -> None:
        """Keep the target, in tokens."""
        super().__init__()
        self._target = target

    def score(self, batch: Batch) -> list[Score]:
        """Return numbers from 0 to 1."""
        if len(batch.completion_ids) != len(batch):
            raise Failure("reward_tokens", "The reward 'length' counts tokens, and was given none.",
                          "Hand in completion_ids.")
        return [max(0.0, 1 - abs(len(ids) - self._target) / self._target)
                for ids in batch.completion_ids]


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    if use.target is None:
        raise Failure("reward_needs", "The reward 'length' needs 'target'.", "Add it, in tokens.")
    return Length(use.target)
