"""What can be asked for by name on this machine, and what has to be loaded for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from app.devices import Device
from app.home import Home
from app.runs import Run, RunError, RunState
from app.serving.engines.samebase import Hashes, require_same_base
from app.serving.engines.targets import Adapter, Model, Target
from app.serving.route import EngineError, Kind, Served
from app.sources import cached_snapshot
from app.store import Store
from trainer.contract.commits import MARK, find_problem
from trainer.contract.config import RunConfig, objectives_with
from trainer.contract.kinds import OTHERS
from trainer.contract.models import (
    ModelError,
    ModelSource,
    read_adapter,
    read_folder,
    resolve_model,
)
from trainer.contract.places import starter
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.data import DatasetError
from trainer.data.templates.sandbox import TemplateError

STARTER = "starter"
_GGUF = re.compile(r"([A-Za-z0-9._-]{1,64})/([A-Za-z0-9._-]{1,100}\.gguf)")
_CHECKPOINT = re.compile(r"([A-Za-z0-9._-]{1,64})/(checkpoint-\d{1,12})")
# They begin by taking something out of the base: only the finished adapter stands on it as it is.
_TAKEN_OUT = ("pissa", "pissa_niter_16", "olora")
_FOUR_BITS = ("nf4", "fp4")
_TROUBLE = (ModelError, TemplateError, DatasetError, ConfigError)


class Desk(Protocol):
    """What engines ask of the studio."""

    home: Home
    store: Store

    def run(self, run_id: str) -> Run:
        """Return a run; RunError when there is none of that id."""
        ...

    def runs(self, *, state: str | None = None) -> Sequence[Run]:
        """Return the runs, newest first."""
        ...

    def devices(self) -> Sequence[Device]:
        """Return GPUs and CPU, and which run holds each."""
        ...


class Names:
    """Bases, runs and checkpoints that can answer."""

    def __init__(self, desk: Desk) -> None:
        """Look at nothing yet."""
        self._desk, self._hashes = desk, Hashes()
        self._configs: dict[Path, tuple[int, RunConfig]] = {}

    def served(self) -> list[Served]:
        """Return what can be asked for: bases, then runs with their checkpoints, newest first."""
        runs = self._desk.runs()
        found = [Served(name, "base", Path(name).name or name, _changed_at(folder))
                 for name, folder in sorted(self._bases(runs).items())]
        for run in runs:
            if run.objective in objectives_with(head=True):
                continue
            folder = RunDir(run.dir)
            if run.state is RunState.COMPLETED and (folder.adapter.is_dir()
                                                    or folder.model.is_dir()):
                found.append(Served(run.id, "run", run.name, int(run.created_at)))
            found += [Served(f"{run.id}/{path.name}", "checkpoint", f"{run.name}, step {step}",
                             _changed_at(path)) for step, path in folder.checkpoint_folders()
                      if (path / MARK).is_file()]
            found += [Served(f"{run.id}/{path.name}", "export", f"{run.name}, {path.stem}",
                             _changed_at(path)) for path in _gguf_files(run)]
        return found

    def _bases(self, runs: Sequence[Run]) -> dict[str, Path]:
        """Return the folder or file of each base that the studio knows and has."""
        found = {STARTER: starter()}
        for path in sorted(self._desk.home.models.iterdir()):
            if path.suffix == ".gguf" or (path / "config.json").is_file():
                found[str(path)] = path
        known = {run.id for run in runs}
        trained = {run.model for run in runs if run.objective not in OTHERS}
        for name in trained - {STARTER, "", *known}:
            if folder := _on_disk(name):
                found[name] = folder
        return found

    def resolve(self, name: str) -> Target:
        """Return what has to be loaded for a name. Reads files; hashes a base once.

        Raises:
            EngineError: 'unknown_model', or why it cannot answer.
        """
        try:
            return self._resolve(name)
        except _TROUBLE as error:
            raise EngineError(getattr(error, "code", "model"), str(error),
                              getattr(error, "advice", "")) from None
        except OSError as error:
            raise EngineError("model_unreadable", f"'{name[:120]}' cannot be read: "
                              f"{error.strerror}.", "Check that its files are there.") from None

    def _resolve(self, name: str) -> Target:
        if run := self._run(name):
            return self._of_run(run)
        found = _CHECKPOINT.fullmatch(name)
        if found and (run := self._run(found[1])):
            return self._of_checkpoint(run, found[2])
        found = _GGUF.fullmatch(name)
        if found and (run := self._run(found[1])):
            return _of_file(run, found[2])
        folder = self._bases(self._desk.runs()).get(name)
        if folder is None:
            raise EngineError("unknown_model", f"There is no model '{name[:120]}' here.",
                              "Choose one of the list; a hub model has to be on this machine.")
        if folder.suffix != ".gguf":
            read_folder(folder)
        return Target(name, "base", Path(name).name or name, Model(str(folder), folder))

    def _run(self, run_id: str) -> Run | None:
        try:
            return self._desk.run(run_id) if is_safe_name(run_id) else None
        except RunError:
            return None

    def _config(self, run: Run) -> RunConfig:
        """Return a run's config, which is read once; refuse one that trained a head of scores."""
        path = RunDir(run.dir).config
        changed_at = path.stat().st_mtime_ns
        known = self._configs.get(path)
        if known is None or known[0] != changed_at:
            known = self._configs[path] = (changed_at, RunDir(run.dir).read_config())
        if known[1].objective in objectives_with(head=True):
            raise EngineError("gives_scores", f"The run '{run.name}' trained a model that gives "
                              "scores, not words.", "Ask another run.")
        return known[1]

    def _of_run(self, run: Run) -> Target:
        if run.state is not RunState.COMPLETED:
            raise EngineError("not_completed", f"The run '{run.name}' is {run.state}; only a "
                              "completed run can answer.",
                              "Ask one of its checkpoints, wait for it, or resume it.")
        folder = RunDir(run.dir)
        if run.objective in OTHERS and not folder.weights.is_file():
            raise EngineError("no_weights", f"The export '{run.name}' holds no whole model under "
                              "its own name.", "Ask one of its files, or export it merged.")
        config = self._config(run)
        return self._trained(run, config, run.id, "run",
                             folder.adapter if config.tuner.is_adapter else folder.model)

    def _of_checkpoint(self, run: Run, checkpoint: str) -> Target:
        config, folder = self._config(run), RunDir(run.dir).checkpoints / checkpoint
        if not folder.is_dir():
            raise EngineError("unknown_model", f"The run '{run.name}' has no '{checkpoint}'.",
                              "Choose one of the list.")
        if problem := find_problem(folder, thorough=False):
            raise EngineError("bad_checkpoint", f"'{checkpoint}' cannot be used: {problem}.",
                              "Choose another one.")
        if config.tuner.init_lora_weights in _TAKEN_OUT and not config.tuner.continue_from \
                and config.tuner.type == "lora":
            raise EngineError("unfinished_form", f"Checkpoints of {config.tuner.init_lora_weights} "
                              "do not stand on the base as it is.", "Ask the finished run.")
        return self._trained(run, config, f"{run.id}/{checkpoint}", "checkpoint", folder)

    def _trained(self, run: Run, config: RunConfig, name: str, kind: Kind,
                 folder: Path) -> Target:
        """Return an adapter over its base, or weights of its own."""
        label = run.name if kind == "run" else f"{run.name}, {folder.name}"
        template = config.data.template
        # What is finished comes with its template; a checkpoint has the tokenizer's own.
        chosen = config.model
        own = Model(str(folder), folder, chosen.quantization, chosen.dtype,
                    "auto" if kind == "run" else template,
                    double_quantization=chosen.double_quantization
                    or chosen.quantization not in _FOUR_BITS)
        if not config.tuner.is_adapter:
            read_folder(folder)
            return Target(name, kind, label, own, template=template)
        read_adapter(folder)
        source, base = self._base_of(config)
        require_same_base(self._hashes, RunDir(run.dir), base, source.adapters, template)
        if config.tuner.type == "lora" and config.tuner.bias != "none":
            return Target(name, kind, label, _merged(run, own, base, kind, template),
                          template=template)
        # A chain of runs keeps its name: the engine merges what lies in between.
        place = chosen.name_or_path if source.adapters else str(base)
        model = replace(own, source=place, folder=base, merged=bool(source.adapters))
        return Target(name, kind, label, model, Adapter.read(name.replace("/", ":"), folder),
                      template)

    def _base_of(self, config: RunConfig) -> tuple[ModelSource, Path]:
        chosen = config.model
        if chosen.adapters:
            raise EngineError("adapters_first", "This run began with adapters merged into its "
                              "base by 'model.adapters', which engines cannot do.",
                              "Export it merged, and ask the result.")
        source = resolve_model(chosen.name_or_path, self._desk.home.runs, chosen.revision)
        base = Path(source.base) if source.is_folder else cached_snapshot(source.base,
                                                                          source.revision)
        if base is None:
            raise EngineError("base_not_here", f"The base '{source.base}' is not on this machine.",
                              "Download it first.")
        read_folder(base)
        return source, base


def _gguf_files(run: Run) -> list[Path]:
    """Return the files of llama.cpp that an export has written."""
    folder = RunDir(run.dir).export / "gguf"
    return sorted(folder.glob("*.gguf")) if run.objective == "export" and folder.is_dir() else []


def _of_file(run: Run, name: str) -> Target:
    known = {path.name: path for path in _gguf_files(run)}
    if name not in known:
        raise EngineError("unknown_model", f"The export '{run.name}' has no '{name}'.",
                          "Choose one of the list.")
    path = known[name]
    return Target(f"{run.id}/{name}", "export", f"{run.name}, {path.stem}",
                  Model(str(path), path))


def _merged(run: Run, own: Model, base: Path, kind: Kind, template: str) -> Model:
    """Return a finished run as a model of its own: trained biases cannot be switched off."""
    if kind != "run":
        raise EngineError("adapter_bias", f"The run '{run.name}' trains biases of the base, which "
                          "a checkpoint cannot lay over it.", "Ask the finished run.")
    return replace(own, source=run.id, folder=base, template=template, merged=True)


def _on_disk(name: str) -> Path | None:
    """Return where a run's base lies, None when it is not on this machine."""
    folder = Path(name)
    if folder.is_absolute():
        return folder if (folder / "config.json").is_file() else None
    return cached_snapshot(name, None)


def _changed_at(path: Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0

