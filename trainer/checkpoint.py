"""Committed checkpoints: choosing one to resume from, committing, rotating.

The Hugging Face Trainer writes ``checkpoint-N`` file by file. Here the folder becomes a
checkpoint only when every file is on the disk and ``COMMITTED.json`` names them all.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from trainer.contract import commits
from trainer.contract.events import CheckpointEvent
from trainer.contract.files import fsync_folder, read_json, write_json
from trainer.contract.models import ModelError, read_safetensors_header
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.emit import EventWriter
from trainer.failures import Failure

PROGRESS = "progress.json"
_NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", PROGRESS)


@dataclass(frozen=True)
class Selected:
    """The checkpoint to start from; ``path`` is None for the beginning.

    ``skipped`` tells why newer ones were passed over.
    """

    step: int = 0
    path: Path | None = None
    skipped: tuple[str, ...] = ()


def find_problem(folder: Path) -> str:
    """Say why a checkpoint cannot be resumed from, or '' when it can."""
    if problem := commits.find_problem(folder):
        return problem
    for name in _NEEDED:
        if not (folder / name).is_file():
            return f"{name} is missing"
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        return "it has no weights"
    try:
        for path in weights:
            read_safetensors_header(path)
    except ModelError as error:
        return str(error)
    return ""


def select(run: RunDir, resume: str) -> Selected:
    """Choose the checkpoint that an attempt starts from.

    Args:
        run: The run's folder.
        resume: 'auto' (the newest that is whole), 'none', or a checkpoint's name.

    Raises:
        Failure: The named checkpoint does not exist or cannot be used.
    """
    if resume == "none":
        return Selected()
    skipped: list[str] = []
    for step, folder in run.checkpoint_folders():
        if resume not in ("auto", folder.name):
            continue
        problem = find_problem(folder)
        if not problem:
            return Selected(step, folder, tuple(skipped))
        skipped.append(f"{folder.name} was passed over: {problem}.")
    if resume == "auto":
        return Selected(skipped=tuple(skipped))
    shown = resume if is_safe_name(resume) else repr(resume)
    reason = skipped[0] if skipped else f"There is no checkpoint {shown}."
    raise Failure("checkpoint_unusable", reason, "Choose another checkpoint, or 'auto'.")


@dataclass
class CheckpointKeeper:
    """Commits what the training loop saves and removes what is no longer wanted.

    Checkpoints beyond the step this attempt started from belong to a superseded past; they stay
    until this attempt has committed one of its own, so that nothing is lost to an early crash.
    ``best_step`` names a checkpoint that is kept besides, however old it grows.
    """

    run: RunDir
    emit: EventWriter
    keep: int
    start_step: int = 0
    best_step: int | None = None
    _written: set[int] = field(default_factory=set)

    def sweep(self) -> None:
        """Remove what an earlier crash left: folders that were never committed."""
        for _, folder in list(self.run.checkpoint_folders()):
            if read_json(folder / commits.MARK) is None:
                shutil.rmtree(folder, ignore_errors=True)

    def prepare(self, step: int) -> Path:
        """Make room for a checkpoint; an older one of the same step is removed.

        Raises:
            Failure: The newest checkpoint's size no longer fits on the disk.
        """
        folder = self.run.checkpoints / f"checkpoint-{step}"
        self.run.checkpoints.mkdir(parents=True, exist_ok=True)
        need = max((c.size_bytes for c in commits.list_checkpoints(
            list(self.run.checkpoint_folders())) if not c.problem), default=0)
        free = shutil.disk_usage(self.run.checkpoints).free
        if need > free:
            raise disk_full(need, free)
        if folder.exists():
            (folder / commits.MARK).unlink(missing_ok=True)
            shutil.rmtree(folder)
        return folder

    def commit(self, folder: Path, step: int, progress: dict[str, float]) -> None:
        """Make a saved folder a checkpoint, then rotate.

        Args:
            folder: What the Hugging Face Trainer has written.
            step: Optimizer step.
            progress: Running totals to go on from (tokens seen, sum of losses).
        """
        write_json(folder / PROGRESS, progress)
        _sync(folder)
        size = commits.commit(folder, step)
        fsync_folder(folder.parent)
        self._written.add(step)
        self.emit(CheckpointEvent(step=step, name=folder.name, size_bytes=size))
        self._rotate()

    def discard(self, folder: Path) -> None:
        """Remove what a failed save left behind."""
        shutil.rmtree(folder, ignore_errors=True)

    def _rotate(self) -> None:
        kept = 0
        for step, folder in list(self.run.checkpoint_folders()):
            if step == self.best_step and not commits.find_problem(folder, thorough=False):
                continue
            superseded = step > self.start_step and step not in self._written
            if not superseded and kept < self.keep and not commits.find_problem(
                    folder, thorough=False):
                kept += 1
                continue
            (folder / commits.MARK).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            self.emit(CheckpointEvent(step=step, name=folder.name, removed=True))


def read_progress(folder: Path) -> dict[str, float]:
    """Read the running totals of a checkpoint."""
    value = read_json(folder / PROGRESS)
    return {k: float(v) for k, v in value.items()} if isinstance(value, dict) else {}


def disk_full(need: int, free: int) -> Failure:
    """Describe a checkpoint that does not fit."""
    return Failure("disk_full", f"A checkpoint needs {need / 2**20:,.0f} MiB, the disk has "
                   f"{free / 2**20:,.0f} MiB left.",
                   "Free some space, then resume the run: the checkpoints before are intact.")


def _sync(folder: Path) -> None:
    """Write every file of a folder through to the disk."""
    for path in folder.rglob("*"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
