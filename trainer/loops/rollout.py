"""What the objectives share in which the model writes answers while it trains.

TRL's trainers of GRPO, RLOO and distillation render prompts themselves and order them by a
generator of their own. Here prompts come as tokens (no template renders in a trainer), their order
is a pure function of seed and epoch, and a checkpoint in the middle of answers that are learned
from several times carries them along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler, SequentialSampler
from transformers import Trainer

from trainer.sampling import epoch_order

if TYPE_CHECKING:
    from trainer.emit import EventWriter

BUFFER = "rollout.safetensors"
Row = dict[str, Any]


@dataclass(frozen=True)
class Listening:
    """What a loop of sampled answers needs to know besides TRL's arguments.

    ``samples`` answers are shown every ``show_every`` steps. ``eos_ids`` and ``stop_strings`` end
    an answer.
    """

    emit: EventWriter
    eos_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()
    samples: int = 0
    show_every: int = 50


class GroupSampler(Sampler[int]):
    """Hands out each prompt as often as it is answered, and each batch as often as it is used.

    The last batch of an epoch is filled up with prompts from the epoch's beginning.
    """

    def __init__(self, lengths: Sequence[int], *, seed: int, shuffle: bool, grouped: bool,
                 sizes: tuple[int, int, int]) -> None:
        """Keep what the order depends on.

        Args:
            lengths: Tokens of each prompt.
            seed: Of the run.
            shuffle: Whether the order changes with each epoch.
            grouped: Whether prompts of like length share a batch.
            sizes: (prompts a batch, answers a prompt, times that a batch is handed out).
        """
        self._lengths, self._seed, self._shuffle = lengths, seed, shuffle
        self._grouped, self._sizes = grouped, sizes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return how many rows an epoch hands out."""
        prompts, answers, times = self._sizes
        return -(-len(self._lengths) // prompts) * prompts * answers * times

    def __iter__(self) -> Iterator[int]:
        """Yield row numbers."""
        prompts, answers, times = self._sizes
        order = epoch_order(self._lengths, seed=self._seed, epoch=self.epoch,
                            shuffle=self._shuffle, batch_size=prompts if self._grouped else None)
        for start in range(0, len(order), prompts):
            batch = [order[i % len(order)] for i in range(start, start + prompts)]
            for _ in range(times):
                yield from (row for row in batch for _ in range(answers))


class InGroups(Trainer):
    """Mixed in before CommittedLoop: prompts in groups; tokens are counted when they are known."""

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupSampler:
        settings, prompts = self.settings, self.answers_a_batch // self.answers_a_prompt
        return GroupSampler(settings.lengths, seed=self.args.seed, shuffle=settings.shuffle,
                            grouped=settings.group_by_length,
                            sizes=(prompts, self.answers_a_prompt, self.reuse))

    def batch_tokens(self, inputs: Any) -> int:
        """Return 0: the answers are not there yet, see ``Rollout._prepare_inputs``."""
        return 0

    @property
    def answers_a_batch(self) -> int:
        """How many answers are sampled at once: those of one optimizer step."""
        return int(self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps)

    @property
    def answers_a_prompt(self) -> int:
        """How many answers each prompt gets."""
        return int(getattr(self, "num_generations", 1))

    @property
    def reuse(self) -> int:
        """How many passes use one batch of answers."""
        return int(self.args.gradient_accumulation_steps * getattr(self, "num_iterations", 1))


@dataclass
class _Seen:
    """What the current batch is, while it is worked on."""

    prompts: list[list[int]] = field(default_factory=list)
    shown: int = -1


class Rollout(Trainer):
    """Mixed in between CommittedLoop and a trainer of TRL that samples answers."""

    def listen(self, listening: Listening) -> None:
        """Hand in what TRL's constructors have no room for; exactly these tokens end an answer."""
        self.listening, self._seen = listening, _Seen()
        self.eos_token_ids = list(listening.eos_ids)
        self.generation_config.eos_token_id = list(listening.eos_ids)
        self.generation_kwargs["eos_token_id"] = list(listening.eos_ids)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        return SequentialSampler(eval_dataset)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Sample with the run's seed, so that evaluations differ by the model alone."""
        torch.manual_seed(self.args.seed)
        return super().evaluate(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        self._seen.prompts = [list(row["prompt_ids"]) for row in inputs]
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        return output

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Return the prompts' own tokens; nothing is rendered or tokenised here."""
        assert len(prompts) == len(self._seen.prompts)
        return self._seen.prompts, None, {}

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        # A quantized base keeps norms in float32: outside autocast some adapters refuse them.
        with self.accelerator.autocast():
            found = super()._generate_single_turn(*args, **kwargs)
        if not self.listening.stop_strings:
            return found
        if isinstance(found, tuple):
            return ([self._stopped(ids) for ids in found[0]], *found[1:])
        return [self._stopped(ids) for ids in found]

    def _stopped(self, ids: list[int]) -> list[int]:
        """Return an answer's tokens up to the first in which a stop string is whole."""
        decode, stops = self.processing_class.decode, self.listening.stop_strings
        if not any(stop in decode(ids) for stop in stops):
            return ids
        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            whole = any(stop in decode(ids[:middle]) for stop in stops)
            low, high = (low, middle) if whole else (middle + 1, high)
        return ids[:low]

    def _prepare_inputs(self, batch: Any) -> dict[str, Any]:
        inputs: dict[str, Any] = super()._prepare_inputs(batch)
        if self.model.training:
            self.totals.tokens += int(inputs["prompt_mask"].sum()
                                      + inputs["completion_mask"].sum())
        return inputs

    def shows_now(self) -> bool:
        """Tell whether answers of this step are to be shown; once a step."""
        step = self.state.global_step
        due = self.model.training and self.listening.samples > 0 and (
            step % self.listening.show_every == 0)
        if not due or self._seen.shown == step:
            return False
        self._seen.shown = step
        return True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self._step % self.reuse:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            save_file({f"{index}.{name}": value.detach().cpu().clone().contiguous()
                       for index, part in enumerate(self._buffered_inputs)
                       for name, value in part.items() if isinstance(value, torch.Tensor)},
                      folder / BUFFER)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        """Load what Trainer does, and go on in the batch of answers where the checkpoint was."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        steps = int(Path(checkpoint).name.rpartition("-")[2])
        self._step = steps * self.args.gradient_accumulation_steps
        path = Path(checkpoint) / BUFFER
        if self._step % self.reuse and path.is_file():
            parts: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in load_file(path).items():
                index, _, key = name.partition(".")
                parts.setdefault(int(index), {})[key] = value.to(self.accelerator.device)
            self._buffered_inputs = [parts[index] for index in sorted(parts)]
