"""Sending metrics to a tracker besides the studio: SwanLab."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.callbacks import renamed
from trainer.context import Context
from trainer.failures import Failure


class Tracker(Protocol):
    """Where metrics also go."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Send the metrics of one step."""

    def finish(self) -> None:
        """Say that the run has ended."""


class SwanLab:
    """SwanLab; 'offline' writes into the run's folder and needs neither account nor network."""

    def __init__(self, context: Context) -> None:
        """Begin an experiment named like the run.

        Raises:
            Failure: The package is not installed, or the cloud has no key.
        """
        try:
            import swanlab
        except ImportError:
            raise Failure("swanlab_missing", "The package 'swanlab' is not installed.",
                          "Install it: pip install 'finestra[swanlab]'.") from None
        tracking, config = context.config.tracking, context.config
        if tracking.mode == "cloud" and not os.environ.get("SWANLAB_API_KEY"):
            raise Failure("swanlab_key", "SwanLab's cloud needs a key and there is none.",
                          "Set SWANLAB_API_KEY, or choose the mode 'offline'.")
        context.run.tracking.mkdir(parents=True, exist_ok=True)
        self._swanlab: Any = swanlab
        swanlab.init(project=tracking.project, name=config.name, mode=tracking.mode,
                     log_dir=str(context.run.tracking), config=config.dump(),
                     settings=swanlab.Settings(interactive=False))

    def log(self, values: dict[str, float], step: int) -> None:
        """Send the metrics of one step."""
        self._swanlab.log(values, step=step)

    def finish(self) -> None:
        """Close the experiment."""
        self._swanlab.finish()


class Forgiving:
    """A tracker whose errors become one warning: it must not cost the run its result."""

    def __init__(self, tracker: Tracker, context: Context) -> None:
        """Stand in front of a tracker."""
        self._tracker, self._emit = tracker, context.emit
        self._failed = False

    def log(self, values: dict[str, float], step: int) -> None:
        """Send the metrics of one step, if the tracker takes them."""
        self._try(lambda: self._tracker.log(values, step), step)

    def finish(self) -> None:
        """Say that the run has ended, if the tracker listens."""
        self._try(self._tracker.finish, None)

    def _try(self, call: Callable[[], None], step: int | None) -> None:
        try:
            call()
        except Exception as error:
            if not self._failed:
                self._failed = True
                # Its text may quote a key: that belongs into the log, which is redacted.
                print(f"tracker: {error}", file=sys.stderr, flush=True)
                self._emit.warn("tracker", "The tracker does not take the metrics "
                                f"({type(error).__name__}, see the log); training goes on, the "
                                "studio keeps them all.", step=step)


class TrackingCallback(TrainerCallback):
    """Hands the loop's logs to a tracker."""

    def __init__(self, tracker: Tracker) -> None:
        """Speak to one tracker."""
        self.tracker = tracker

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
               logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Send the known metrics that are numbers."""
        values = {k: v for k, v in renamed(logs or {}).items()
                  if v is not None and math.isfinite(v)}
        if values:
            self.tracker.log(values, state.global_step)


def open_tracker(context: Context) -> Tracker | None:
    """Return the tracker that the config names, or None; only its opening can fail."""
    if context.config.tracking.backend != "swanlab":
        return None
    return Forgiving(SwanLab(context), context)
