"""A user's own function, ``reward(prompts, completions, references) -> list of numbers``.

The file runs only as it was when somebody consented to it (its SHA-256), in a child process with
a clean environment and limits on time and memory; what runs is the text that was looked at.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from trainer.contract.config import RewardUse
from trainer.contract.consent import consent_problem
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score
from trainer.rewards.sandbox import Bounds, Sandbox


class PythonFile(Reward):
    """What the function of a file returns; it may return None for an answer."""

    name = "python"

    def __init__(self, path: Path, sha256: str, bounds: Bounds | None = None) -> None:
        """Read the file once, and start nothing yet.

        Raises:
            Failure: The file is not what was consented to.
        """
        super().__init__()
        source = path.read_bytes()
        if hashlib.sha256(source).hexdigest() != sha256:
            raise Failure("reward_changed", f"'{path}' has changed since somebody consented to "
                          "run it.", "Read it again, then consent to it as it is now.")
        self._sandbox = Sandbox(path, source, bounds or Bounds())

    def score(self, batch: Batch) -> list[Score]:
        """Let the child score."""
        return self._sandbox.score(batch.prompts, batch.completions, batch.references)

    def close(self) -> None:
        """End the child."""
        self._sandbox.close()


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    if problem := consent_problem(use, "rollout.rewards"):
        raise Failure(problem.code, problem.message, problem.advice)
    if not use.path or not use.sha256:
        raise Failure("reward_needs", "The reward 'python' needs 'path' and 'sha256'.", "Add them.")
    return PythonFile(Path(use.path).expanduser(), use.sha256)
