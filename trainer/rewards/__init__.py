"""What scores an answer: one small file a kind, put together here.

``make`` turns an entry of ``rollout.rewards`` into a callable that scores a batch of answers; it
can be used without a run. No module here imports torch, except that a reward model does when it is
made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from trainer.contract.config import RewardUse
from trainer.rewards.base import Batch, Help, Reward, Score

__all__ = ["Batch", "Help", "Reward", "Score", "make", "make_all"]

_MODULES = {"exact_answer": "exact_answer", "regex": "patterns", "format": "patterns",
            "length": "length", "language": "language", "json_schema": "json_schema",
            "reward_model": "reward_model", "judge": "judge", "python": "python_file"}


def make(use: RewardUse, help: Help | None = None) -> Reward:
    """Return the reward that an entry of ``rollout.rewards`` names.

    Args:
        use: Its name and settings. ``weight`` is not applied: the trainer adds up.
        help: What some kinds need from outside: where runs are, how to compute.

    Raises:
        Failure: A setting is missing, a package is not installed, a file cannot be used.
    """
    module = import_module(f"trainer.rewards.{_MODULES[use.name]}")
    build: Callable[[RewardUse, Help], Reward] = module.build
    return build(use, help or Help())


def make_all(uses: Sequence[RewardUse], help: Help | None = None) -> list[Reward]:
    """Return the rewards of a run; of two with the same name the second is ``regex_2``."""
    rewards: list[Reward] = []
    for use in uses:
        reward = make(use, help)
        before = sum(other.name == use.name for other in uses[:len(rewards)])
        reward.__name__ = f"{use.name}_{before + 1}" if before else use.name
        rewards.append(reward)
    return rewards
