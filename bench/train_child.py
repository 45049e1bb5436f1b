"""One run of the trainer with a clock around everything of ours that the loop calls.

``python -m bench.train_child RUN_DIR`` prints the share of the training time that is spent in our
callbacks, in events, and around each step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOOKS = ("on_step_begin", "on_step_end", "on_log", "on_evaluate", "on_train_end")


class Watch:
    """Adds up the time in some functions; time in one called by another counts once."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.seconds, self._depth = 0.0, 0

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a clock around it."""
        def timed(*args: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            self._depth += 1
            try:
                return work(*args, **options)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - begin
        return timed


def main(folder: Path) -> None:
    """Train, then print the shares as JSON."""
    from transformers import Trainer

    from trainer.__main__ import main as train
    from trainer.callbacks import Reporter
    from trainer.emit import EventWriter
    from trainer.loops.loop import CommittedLoop

    ours, whole, step = Watch(), Watch(), Watch()
    for name in HOOKS:
        setattr(Reporter, name, ours.around(getattr(Reporter, name)))
    EventWriter.__call__ = ours.around(EventWriter.__call__)  # type: ignore[method-assign]
    inner = Trainer.training_step
    Trainer.training_step = step.around(inner)
    outer = Watch()
    CommittedLoop.training_step = outer.around(CommittedLoop.training_step)
    CommittedLoop.train = whole.around(CommittedLoop.train)
    status = train(folder)
    added = ours.seconds + max(0.0, outer.seconds - step.seconds)
    print(json.dumps({"status": status, "train_s": whole.seconds, "ours_s": added,
                      "share": added / whole.seconds if whole.seconds else None}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
