"""A quicker start: libraries import optional packages because they are there, not because of need.

Transformers and PEFT look once, when they are imported, which packages are installed, and import
those. ``hide`` takes what a run cannot need out of their sight for as long as the process lives;
``hidden`` does so for a while, and imports that come later find everything.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from trainer.contract.config import RunConfig
from trainer.contract.config.optimizers import LOW_BIT
from trainer.contract.files import read_json
from trainer.contract.models import ModelError, resolve_model
from trainer.contract.rundir import RunDir

# Losses of models that see, and guessing ahead while generating: asked for at import alone.
NEVER = ("scipy", "sklearn")
# PEFT asks for these again with each adapter.
QUANTIZERS = ("bitsandbytes", "torchao")


def spare(run: RunDir) -> None:
    """Hide for the life of this process what quantizes, where nothing of the run is quantized."""
    with contextlib.suppress(OSError, ValueError):
        if not quantizes(run.read_config(), run.path.parent):
            hide(QUANTIZERS)


def quantizes(config: RunConfig, runs: Path) -> bool:
    """Tell whether weights or an optimizer's state are held in few bits; in doubt they are.

    Args:
        config: The run.
        runs: The folder of runs, for models that are named by a run's id.
    """
    training = config.training
    if config.model.quantization != "none" or training.fp8 or training.optim in LOW_BIT:
        return True
    if config.facts.generates and any(use.name == "reward_model" for use in config.rollout.rewards):
        return True
    names = [config.model.name_or_path]
    if config.facts.teacher:
        names.append(config.teacher.name_or_path)
    return any(_stored_quantized(name, runs) for name in names)


def _stored_quantized(name: str, runs: Path) -> bool:
    try:
        source = resolve_model(name, runs)
    except ModelError:
        return True
    return not source.is_folder or "quantization_config" in (
        read_json(Path(source.base) / "config.json") or {"quantization_config": "unknown"})


def hide(names: tuple[str, ...]) -> list[str]:
    """Let packages look as if they were not installed; returns those that were not imported yet.

    ``None`` in ``sys.modules`` is Python's own way to say so.
    """
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    return absent


@contextlib.contextmanager
def hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Hide packages for a while."""
    absent = hide(names)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
