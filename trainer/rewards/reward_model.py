"""What a trained reward model says of an answer: a finished run of the objective 'reward'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.contract.config import RewardUse
from trainer.contract.teacher import difference, read_vocabulary
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score

if TYPE_CHECKING:
    from trainer.loops.heads import Scorer


class RewardModel(Reward):
    """The score of prompt and answer, end token included; any number."""

    name = "reward_model"

    def __init__(self, scorer: Scorer) -> None:
        """Keep a loaded reward model."""
        super().__init__()
        self._scorer = scorer

    def score(self, batch: Batch) -> list[Score]:
        """Return the model's scores."""
        if not len(batch.prompt_ids) == len(batch.completion_ids) == len(batch):
            raise Failure("reward_tokens", "A reward model reads tokens, and was given none.",
                          "Hand in prompt_ids and completion_ids.")
        rows = [[*prompt, *answer] for prompt, answer
                in zip(batch.prompt_ids, batch.completion_ids, strict=True)]
        return list(self._scorer.score(rows))


def build(use: RewardUse, help: Help) -> Reward:
    """Load the model and make the reward.

    Raises:
        Failure: Its tokens have other numbers than those of the model that answers.
    """
    from trainer.loops.heads import load_scorer

    if not use.model:
        raise Failure("reward_needs", "The reward 'reward_model' needs 'model'.", "Add it.")
    device = help.precision.device.value if help.precision else "cpu"
    scorer = load_scorer(use.model, device, runs=help.runs)
    if help.tokenizer is not None:
        vocabulary: dict[str, int] = scorer.tokenizer.get_vocab()
        if told := difference(read_vocabulary(help.tokenizer), vocabulary):
            raise Failure("reward_tokenizer", f"The reward model '{use.model}' has another "
                          f"tokenizer than the model that answers: {told}.",
                          "Train a reward model on the same base.")
    return RewardModel(scorer)
