"""Speaking while training: metrics, estimates, warnings, sample answers, stopping."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.context import Context
from trainer.contract.events import MetricsEvent, SampleEvent, finite
from trainer.failures import Failure
from trainer.flops import Cost, cost_of, device_peak, utilisation
from trainer.loops.loop import CommittedLoop

_OTHER_NAMES = {"mean_token_accuracy": "token_accuracy"}
# What Trainer logs that is no metric of the model, or that is measured better here.
_LEFT_OUT = {"epoch", "num_tokens", "num_input_tokens_seen", "total_flos", "train_loss",
             "train_runtime", "train_samples_per_second", "train_steps_per_second", "step_time"}
_EVAL_TIMES = ("_runtime", "_samples_per_second", "_steps_per_second", "_num_tokens")
ZERO_STEPS = 10
Sampler = Callable[[int], list[SampleEvent]]


def memory_mib() -> float:
    """Return the peak memory: of the GPU when one is used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def metric_name(name: str) -> str | None:
    """Return our name of what TRL logs, ``rewards/margins`` -> ``rewards_margins``.

    None for what is no metric of the model.
    """
    head, measured, rest = ("eval_", True, name[5:]) if name.startswith("eval_") \
        else ("", False, name)
    if rest in _LEFT_OUT or (measured and name.endswith(_EVAL_TIMES)):
        return None
    return head + _OTHER_NAMES.get(rest, rest.replace("/", "_"))


def renamed(logs: Mapping[str, Any]) -> dict[str, float | None]:
    """Take the metrics out of TRL's log, under our names; NaN becomes None."""
    named = ((metric_name(key), value) for key, value in logs.items())
    return {name: finite(float(value)) for name, value in named
            if name and isinstance(value, int | float)}


@dataclass
class Pace:
    """Time and tokens since the attempt began; evaluation and saving do not count as speed."""

    began: float = field(default_factory=time.monotonic)
    first_step: int = 0
    _mark: float = 0.0
    _tokens: int = 0
    _samples: int = 0
    _seconds: float = 0.0

    def step_begins(self) -> None:
        """Start the clock of a step."""
        self._mark = time.monotonic()

    def step_ends(self, tokens: int, samples: int) -> None:
        """Stop the clock and count what was seen."""
        self._seconds += time.monotonic() - self._mark
        self._tokens += tokens
        self._samples += samples

    def take(self) -> dict[str, float | None]:
        """Return tokens and samples per second since the last call."""
        seconds, tokens, samples = self._seconds, self._tokens, self._samples
        self._seconds, self._tokens, self._samples = 0.0, 0, 0
        if seconds <= 0:
            return {}
        return {"tokens_per_s": tokens / seconds, "samples_per_s": samples / seconds}

    def eta_s(self, step: int, total: int) -> float | None:
        """Estimate the seconds left from the mean of this attempt, everything included."""
        done = step - self.first_step
        return (time.monotonic() - self.began) / done * (total - step) if done > 0 else None


class Reporter(TrainerCallback):
    """Turns the loop's logs into events and watches over the run.

    Raises:
        Failure: The loss was not a number for ``stop_on_nan`` steps in a row ('nan_loss').
    """

    def __init__(self, context: Context, loop: CommittedLoop, sampler: Sampler | None) -> None:
        """Speak for a loop; ``sampler`` answers the sample prompts."""
        self.context, self.loop, self.sampler = context, loop, sampler
        self.pace = Pace()
        self.last: dict[str, float | None] = {}
        self._tokens_before, self._nan_steps, self._zero_steps = 0, 0, 0
        self._clock = self.pace.began
        self._cost: Cost | None = None
        self._peak = device_peak() if not context.on_cpu else None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState,
                       control: TrainerControl, **kwargs: Any) -> None:
        """Start the clocks; after a resume, make up for an evaluation that a stop cut short."""
        self.pace = Pace(first_step=state.global_step)
        if not self.context.config.facts.generates:
            self._cost = cost_of(self.loop.model)
        self._clock = time.monotonic()
        self._tokens_before = self.loop.totals.tokens
        self.make_up(args, state)

    def make_up(self, args: TrainingArguments, state: TrainerState) -> None:
        """Do the evaluation that was due at a checkpoint's step and of which it knows nothing."""
        step = state.global_step
        due = (args.eval_strategy == "steps" and step > 0
               and (step % int(args.eval_steps) == 0 or step == state.max_steps))
        seen = any("eval_loss" in entry and entry.get("step") == step
                   for entry in state.log_history)
        if due and not seen:
            self.loop.make_up()
            self._count_time()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState,
                      control: TrainerControl, **kwargs: Any) -> None:
        """Start the clock of the step."""
        self.pace.step_begins()

    def on_step_end(self, args: TrainingArguments, state: TrainerState,
                    control: TrainerControl, **kwargs: Any) -> None:
        """Watch the loss; when a stop was asked for, end here and save what can be used."""
        loss, tokens = self.loop.close_step(), self.loop.totals.tokens
        self._count_time()
        self.pace.step_ends(tokens - self._tokens_before,
                            args.train_batch_size * args.gradient_accumulation_steps)
        self._tokens_before = tokens
        self._watch_zero(loss, state.global_step)
        lost = self._watch_nan(loss, state.global_step)
        if self.context.stop.requested:
            control.should_save = control.should_training_stop = control.should_log = True
            control.should_evaluate = False
        if lost:
            control.should_save = False

    def _count_time(self) -> None:
        """Add the wall time since the last call to the run's training time."""
        now = time.monotonic()
        self.loop.totals.train_runtime_s += now - self._clock
        self._clock = now

    def _watch_nan(self, loss: float, step: int) -> bool:
        """Count steps without a finite loss; such weights are never saved."""
        if math.isfinite(loss):
            self._nan_steps = 0
            return False
        self._nan_steps += 1
        if self._nan_steps == 1:
            self.context.emit.warn("nan_loss", f"The loss of step {step} is not a number; "
                                   "nothing is saved while that lasts.", step=step)
        limit = self.context.config.training.stop_on_nan
        if limit and self._nan_steps >= limit:
            raise Failure("nan_loss", f"The loss was not a number for {limit} steps in a row, up "
                          f"to step {step}.", "Lower the learning rate, or use float32 or "
                          "bfloat16 instead of float16; then resume from the last checkpoint.")
        return True

    def _watch_zero(self, loss: float, step: int) -> None:
        if self.context.config.objective in ("grpo", "rloo"):
            return  # 0 by construction where answers are new; their rewards are watched instead
        self._zero_steps = self._zero_steps + 1 if loss == 0.0 else 0
        if self._zero_steps == ZERO_STEPS:
            self.context.emit.warn("zero_loss", f"The loss has been exactly 0 for {ZERO_STEPS} "
                                   "steps: nothing is being learned. Check the data and the "
                                   "chat template.", step=step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Emit what TRL measured."""
        values = renamed(logs or {})
        if not values:
            return
        if "loss" in values:
            values |= self._speed()
            values["memory_mib"] = memory_mib()
            values["num_tokens"] = float(self.loop.totals.tokens)
        self.last |= values
        step, total = state.global_step, state.max_steps
        self.context.emit(MetricsEvent(step=step, epoch=state.epoch, total_steps=total,
                                       eta_s=self.pace.eta_s(step, total), values=values))
        shown = "  ".join(f"{k} {v:.4g}" for k, v in values.items() if v is not None)
        print(f"step {step}/{total}  {shown}", flush=True)

    def _speed(self) -> dict[str, float | None]:
        """Return the pace since the last log, and what it uses of the device."""
        pace = self.pace.take()
        tokens, rows = pace.get("tokens_per_s"), pace.get("samples_per_s")
        if self._cost is None or not tokens or not rows:
            return pace
        return pace | utilisation(self._cost, tokens, tokens / rows, self._peak)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState,
                    control: TrainerControl, **kwargs: Any) -> None:
        """Let the model answer the sample prompts as it is now."""
        if not self.context.stop.requested:
            self.ask(state.global_step)

    def ask(self, step: int) -> None:
        """Let the model answer the sample prompts."""
        for sample in self.sampler(step) if self.sampler is not None else ():
            self.context.emit(sample)

    def on_train_end(self, args: TrainingArguments, state: TrainerState,
                     control: TrainerControl, **kwargs: Any) -> None:
        """Count the time of the last evaluation and save."""
        self._count_time()
