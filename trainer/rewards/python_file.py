"""A user's own reward: a Python file with ``reward(prompts, completions, references) -> numbers``.

The file runs only as it was when somebody consented to it (its SHA-256), in a child process with
a clean environment and limits on time and memory; what runs is the text that was looked at.
"""

from __future__ import annotations

from pathlib import Path

from trainer.contract.config import RewardUse
from trainer.contract.consent import read_consented
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score
from trainer.sandbox.functions import Bounds, Broken, UserFunction


class PythonFile(Reward):
    """What the function of a file returns; it may return None for an answer."""

    name = "python"

    def __init__(self, path: Path, sha256: str | None, bounds: Bounds | None = None) -> None:
        """Read the file once, and start nothing yet.

        Raises:
            Failure: The file cannot be read, or is not what was consented to.
        """
        super().__init__()
        source = read_consented(str(path), sha256, "reward")
        if not isinstance(source, bytes):
            raise Failure(source.code, source.message, source.advice)
        self._path = path
        self._function = UserFunction(path, source, "reward", bounds)

    def score(self, batch: Batch) -> list[Score]:
        """Let the child score.

        Raises:
            Failure: The function failed, took too long, or returned something else than numbers.
        """
        try:
            return self._function.call(batch.prompts, batch.completions, batch.references)
        except Broken as error:
            raise Failure("reward_time" if error.kind == "time" else "reward_function",
                          f"The reward function of '{self._path}' failed: {error.why}.",
                          "Mend the file and consent to it again; the run can be resumed."
                          ) from None

    def close(self) -> None:
        """End the child."""
        self._function.close()


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    if not use.path:
        raise Failure("reward_needs", "The reward 'python' needs 'path' and 'sha256'.", "Add them.")
    return PythonFile(Path(use.path), use.sha256)
