"""What a run or one of its checkpoints was trained on and into, checked to be still the same."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trainer import manifest, model
from trainer.contract.models import read_adapter, require_mergeable
from trainer.contract.rundir import RunDir
from trainer.prompts import Prompter, Template


@dataclass(frozen=True)
class Trained:
    """The weights of a run.

    Attributes:
        folder: The base; of a run that trained every weight its own.
        adapters: What is laid over it, in order; the last is the run's own.
        text: Where tokenizer and chat template lie.
        template: The chat template; of a finished run with whole weights only its name.
    """

    folder: Path
    adapters: tuple[Path, ...]
    text: Path
    template: Template

    @property
    def words(self) -> Path:
        """The folder of the tokenizer that it was trained with."""
        return self.text if self.is_whole else self.folder

    @property
    def is_whole(self) -> bool:
        """Whether the run trained every weight."""
        return not self.adapters


def find_trained(run: RunDir, checkpoint: Path | None = None) -> Trained:
    """Find the weights of a run, and check that its base is the one it was trained on.

    Args:
        run: A completed run, or one with that checkpoint.
        checkpoint: A committed checkpoint of it, in place of the finished result.

    Raises:
        ModelError: There is no such model, or a folder is not whole.
        Failure: The base is not the one that the run was trained on ('base_changed').
    """
    if checkpoint is None and (run.model / "config.json").is_file():
        return Trained(run.model, (), run.model, Template("auto"))
    config = run.read_config()
    adapter = (checkpoint or run.adapter) if config.tuner.is_adapter else None
    if adapter:
        read_adapter(adapter)
    runs = Path(os.environ.get("FINESTRA_RUNS") or run.path.parent)
    base = model.locate(config.model, runs, lambda text: None)
    with Prompter(base.folder, config.data.template) as prompter:
        template = prompter.describe_if_any()
    manifest.require_same_base(run, base, template.source)
    if adapter is None:
        # A checkpoint has the tokenizer as Transformers writes it, a finished model the base's.
        return Trained(checkpoint or run.model, (), base.folder, template)
    return Trained(base.folder, (*base.source.adapters, adapter),
                   base.folder if checkpoint else adapter, template)


def require_all_mergeable(trained: Trained) -> None:
    """Refuse adapters that no weight can take up.

    Raises:
        ModelError: One has virtual tokens only ('adapter_unmergeable').
    """
    for folder in trained.adapters:
        require_mergeable(folder)
