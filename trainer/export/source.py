"""What an export is made of: a run, one of its checkpoints, or a base."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from trainer import model
from trainer.contract.commits import find_problem
from trainer.contract.config import ModelConfig, objectives_with
from trainer.contract.models import ModelError, weight_files
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.export.errors import ExportError

ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        name: As asked for.
        run: The run that made it, or None for a base.
        checkpoint: The folder of the checkpoint, or None for the finished result.
        base: The base's folder; of a run that trained every weight the model's own.
        adapter: The adapter's folder, or None where the weights are whole.
    """

    name: str
    run: RunDir | None
    checkpoint: Path | None
    base: Path
    adapter: Path | None

    @property
    def short(self) -> str:
        """A plain name for files."""
        text = self.run.id if self.run else Path(self.name).name
        return text if is_safe_name(text) else "model"

    def fingerprint(self) -> str:
        """Return a text that changes with the files of the weights (names, sizes, times)."""
        files = list(weight_files(self.base))
        if self.adapter:
            files.append(self.adapter / ADAPTER)
        stats = [(path.name, path.stat()) for path in files]
        told = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
        return hashlib.sha256(told.encode()).hexdigest()


def find_source(name: str, runs: Path) -> Source:
    """Find what a name stands for.

    Args:
        name: A run's id, 'RUN/checkpoint-40', or what ``model.name_or_path`` takes.
        runs: The folder of runs.

    Raises:
        ExportError: The run gives scores ('head_scores'), or the checkpoint cannot be used.
        ModelError: There is no such model, or it is not whole.
        Failure: It is on a hub and cannot be fetched.
    """
    run_id, _, checkpoint = name.partition("/")
    if not (is_safe_name(run_id) and (runs / run_id).is_dir()):
        base = model.locate(ModelConfig(name_or_path=name), runs, lambda text: None)
        return Source(name, None, None, base.folder, None)
    run = RunDir(runs / run_id)
    folder = _checkpoint(run, checkpoint) if checkpoint else None
    config = run.read_config()
    if config.objective in objectives_with(head=True):
        raise ExportError("head_scores", f"The run '{run_id}' trained a model that gives scores in "
                          "place of words; it is used as it is, by Transformers or PEFT.",
                          f"Its files are in '{run.path.name}'.")
    if not config.tuner.is_adapter:
        own = folder or run.model
        if not (own / "config.json").is_file():
            raise _unfinished(run)
        return Source(name, run, folder, own, None)
    if folder and config.tuner.takes_out_of_base:
        raise ExportError("unfinished_form", f"Checkpoints of {config.tuner.init_lora_weights} do "
                          "not stand on the base as it is.", "Export the finished run.")
    adapter = folder or run.adapter
    if not (adapter / "adapter_config.json").is_file():
        raise _unfinished(run)
    base = model.locate(config.model, runs, lambda text: None)
    return Source(name, run, folder, base.folder, adapter)


def _unfinished(run: RunDir) -> ModelError:
    return ModelError("run_without_model", f"The run '{run.id}' has no finished model.",
                      "Wait until it is completed, resume it, or export one of its checkpoints.")


def _checkpoint(run: RunDir, name: str) -> Path:
    known = {folder.name: folder for _, folder in run.checkpoint_folders()}
    if name not in known:
        raise ExportError("unknown_checkpoint", f"The run '{run.id}' has no '{name[:100]}'.",
                          f"It has: {', '.join(known) or 'none'}.")
    if problem := find_problem(known[name]):
        raise ExportError("bad_checkpoint", f"'{name}' cannot be used: {problem}.",
                          "Choose another one.")
    return known[name]
