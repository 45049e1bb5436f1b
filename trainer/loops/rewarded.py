"""GRPO and RLOO: answers are rewarded, and learned from by how they compare with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from trl import GRPOTrainer, RLOOTrainer
from trl.trainer.utils import add_fused_lm_head

from trainer.contract.events import SampleEvent, finite
from trainer.generate import cut_at
from trainer.loops.loop import CommittedLoop
from trainer.loops.rollout import InGroups, Rollout, Row
from trainer.rewards import Reward

EQUAL_BATCHES = 5


def as_trl(reward: Reward, stops: Sequence[str]) -> Callable[..., list[float | None]]:
    """Return a reward as TRL calls it, with columns as arguments; stop strings are cut off."""
    def call(prompts: list[str], completions: list[str], completion_ids: list[list[int]],
             reference: list[str], prompt_ids: list[list[int]],
             **others: Any) -> list[float | None]:
        return reward(prompts, [cut_at(text, stops) for text in completions], reference,
                      completion_ids, prompt_ids)

    call.__name__ = reward.__name__
    return call


class Rewarded(Rollout):
    """What GRPO and RLOO share: honest numbers, and a word when nothing is learned.

    ``eval_loss`` is the mean reward of held-out prompts, negated: TRL's own is 0 by construction,
    because answers are compared with themselves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin without answers."""
        self._held_out: list[torch.Tensor] = []
        self._equal = 0
        super().__init__(*args, **kwargs)

    def hold_reference(self, reference: Any, beta: float) -> None:
        """Compare with a frozen copy; TRL would load the base from its folder once more."""
        add_fused_lm_head(reference, temperature=self.temperature)
        self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)
        self.beta = beta

    def _calculate_rewards(self, inputs: list[Row], prompts: list[str], completions: list[str],
                           completion_ids_list: list[list[int]]) -> torch.Tensor:
        """Return TRL's rewards (answers, rewards), and look at them."""
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions,
                                                           completion_ids_list)
        whole = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        if not self.model.training:
            self._held_out.append(whole[~rewards.isnan().all(dim=1)])
            return rewards
        self._watch_equal(whole)
        if self.shows_now():
            self._show(inputs, completions,
                       whole.masked_fill(rewards.isnan().all(dim=1), torch.nan))
        return rewards

    def _watch_equal(self, rewards: torch.Tensor) -> None:
        """Warn when no prompt had answers of different rewards for some batches in a row."""
        groups = rewards.view(-1, self.num_generations)
        equal = bool((groups.amax(dim=1) - groups.amin(dim=1) < 1e-8).all())
        self._equal = self._equal + 1 if equal else 0
        if self._equal == EQUAL_BATCHES:
            self.listening.emit.warn(
                "equal_rewards", "All answers to a prompt got the same reward for "
                f"{EQUAL_BATCHES} batches in a row (mean {rewards.mean():.3g}): nothing is "
                "learned. Ask easier or harder questions, sample more answers a prompt or at a "
                "higher temperature, or use a reward with steps in between.",
                step=self.state.global_step)

    def _show(self, inputs: list[Row], completions: Sequence[str], rewards: torch.Tensor) -> None:
        """Emit some answers to the first prompt, with their rewards (NaN: not rewarded)."""
        for index in range(min(self.listening.samples, self.num_generations)):
            self.listening.emit(SampleEvent(
                step=self.state.global_step, prompt=inputs[index]["question"],
                reference=inputs[index]["reference"],
                output=cut_at(completions[index], self.listening.stop_strings),
                reward=finite(float(rewards[index]))))

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Put the mean over all held-out answers in place of TRL's mean of batch means."""
        measured = self._metrics["eval"]
        if "eval_loss" in logs and self._held_out:
            rewards = torch.cat(self._held_out).float()
            self._held_out = []
            if len(rewards):
                measured["reward"] = [float(rewards.mean())]
                logs["eval_loss"] = -measured["reward"][0]
            if len(rewards) > 1:
                measured["reward_std"] = [float(rewards.std())]
            measured.pop("frac_reward_zero_std", None)
        super().log(logs, *args, **kwargs)


class CommittedGRPOTrainer(InGroups, CommittedLoop, Rewarded, GRPOTrainer):
    """TRL's GRPOTrainer on prompts that are already tokens."""


class CommittedRLOOTrainer(InGroups, CommittedLoop, Rewarded, RLOOTrainer):
    """TRL's RLOOTrainer on prompts that are already tokens."""
