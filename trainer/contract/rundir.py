"""RunDir: every file name of a run in one class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.config import RunConfig, load_yaml, parse, to_yaml
from trainer.contract.files import read_json, write_atomic, write_json
from trainer.contract.kinds import AnyConfig, parse_any

SAFE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_safe_name(text: str) -> bool:
    """Tell whether a text may be one component of a path (rule R5)."""
    return bool(SAFE_NAME.fullmatch(text)) and text not in {".", ".."}


@dataclass(frozen=True)
class Attempt:
    """One try at a run: its events, its log, its result."""

    path: Path
    number: int

    @property
    def events(self) -> Path:
        """Typed events, one JSON line each."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """Standard output and error of the trainer."""
        return self.path / "log.txt"

    @property
    def result(self) -> Path:
        """Renamed into place when the attempt has ended; its existence is what ended means."""
        return self.path / "result.json"

    @property
    def process(self) -> Path:
        """Identities of supervisor and trainer (pid, start time, boot id)."""
        return self.path / "process.json"

    @property
    def settings(self) -> Path:
        """What the supervisor tells the trainer: device, number of the attempt."""
        return self.path / "attempt.json"


@dataclass(frozen=True)
class RunDir:
    """The folder of a run."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id is its folder's name."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The complete config; never changed once written."""
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, hashes, template, seed, hardware."""
        return self.path / "manifest.json"

    @property
    def state(self) -> Path:
        """State, reason and times; replaced atomically."""
        return self.path / "state.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of ``checkpoint-N`` folders."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The finished adapter, when one was trained."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """The finished weights, when every weight was trained; those of an export lie in it."""
        exported = self.export / "merged"
        return exported if exported.is_dir() else self.path / "model"

    @property
    def export(self) -> Path:
        """What an export has written, once all of it is whole."""
        return self.path / "export"

    @property
    def weights(self) -> Path:
        """Of an export or a merge: the run config that its weights might have come from."""
        return self.path / "weights.yaml"

    @property
    def eval(self) -> Path:
        """Predictions and scores."""
        return self.path / "eval"

    @property
    def tracking(self) -> Path:
        """Files of the tracker (SwanLab offline)."""
        return self.path / "tracking"

    def attempt(self, number: int) -> Attempt:
        """Return attempt ``number`` (from 1); the folder need not exist."""
        return Attempt(self.path / "attempts" / f"{number:03d}", number)

    def attempts(self) -> list[Attempt]:
        """Return the attempts that have a folder, oldest first."""
        folder = self.path / "attempts"
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        return [self.attempt(int(name)) for name in names if name.isdecimal()]

    def latest(self) -> Attempt | None:
        """Return the newest attempt, or None."""
        attempts = self.attempts()
        return attempts[-1] if attempts else None

    def new_attempt(self) -> Attempt:
        """Make the folder of the next attempt."""
        last = self.latest()
        attempt = self.attempt(last.number + 1 if last else 1)
        attempt.path.mkdir(parents=True)
        return attempt

    def create(self, config: AnyConfig, state: dict[str, Any]) -> None:
        """Make the folder with its config and first state.

        Raises:
            FileExistsError: The id is taken.
        """
        self.path.mkdir(parents=True)
        write_atomic(self.config, to_yaml(config))
        write_json(self.state, state)

    def read_any(self) -> AnyConfig:
        """Read config.yaml of a run of any kind; ConfigError when it is not a valid config."""
        return parse_any(load_yaml(self.config.read_text(encoding="utf-8")))

    def read_config(self) -> RunConfig:
        """Read what the run's weights were trained by.

        Raises:
            ConfigError: The config is not valid, or it is of another kind of run and there are no
                weights yet.
        """
        described = self.weights if self.weights.is_file() else self.config
        return parse(load_yaml(described.read_text(encoding="utf-8")))

    def read_state(self) -> dict[str, Any]:
        """Read state.json, or an empty mapping."""
        value = read_json(self.state)
        return value if isinstance(value, dict) else {}

    def checkpoint_folders(self) -> Iterator[tuple[int, Path]]:
        """Yield (step, folder) of every checkpoint folder, newest first, committed or not."""
        if not self.checkpoints.is_dir():
            return
        found = []
        for folder in self.checkpoints.iterdir():
            match = re.fullmatch(r"checkpoint-(\d+)", folder.name)
            if match and folder.is_dir() and not folder.is_symlink():
                found.append((int(match[1]), folder))
        yield from sorted(found, reverse=True)
