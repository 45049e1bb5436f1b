"""What has to be loaded for a name: a base, a run, a checkpoint, a file of an export."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from trainer.contract.commits import find_problem
from trainer.contract.config import RunConfig, objectives_with
from trainer.contract.hubcache import cached_snapshot
from trainer.contract.kinds import OTHERS
from trainer.contract.models import (
    ModelError,
    ModelSource,
    read_adapter,
    read_folder,
    resolve_model,
)
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir
from trainer.data import DatasetError
from trainer.data.templates.sandbox import TemplateError
from trainer.engines.errors import EngineError, Kind
from trainer.engines.samebase import Hashes, require_same_base
from trainer.engines.targets import Adapter, Model, Target

_GGUF = re.compile(r"([A-Za-z0-9._-]{1,64})/([A-Za-z0-9._-]{1,100}\.gguf)")
_CHECKPOINT = re.compile(r"([A-Za-z0-9._-]{1,64})/(checkpoint-\d{1,12})")
_FOUR_BITS = ("nf4", "fp4")
_TROUBLE = (ModelError, TemplateError, DatasetError, ConfigError)
COMPLETED = "completed"


class Known(Protocol):
    """What is to be known of a run."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def dir(self) -> Path:
        """Its folder."""
        ...

    @property
    def state(self) -> str:
        """Such as 'completed'."""
        ...

    @property
    def objective(self) -> str:
        """What it trains for, or its kind if it does not train."""
        ...


class Resolver:
    """Turns names into targets; hashes of bases and configs are read once."""

    def __init__(self, runs: Path, find_run: Callable[[str], Known | None],
                 find_base: Callable[[str], Path | None], *, verify: bool = True) -> None:
        """Look at nothing yet.

        Args:
            runs: The folder of runs.
            find_run: Returns the run of an id; may be given any text.
            find_base: Returns the folder, or the GGUF file, of a base that may be asked.
            verify: Whether bases are held against the hashes of their runs; a look before
                anything is loaded does without, since that reads all of a base.
        """
        self._verify = verify
        self._runs, self._find_run, self._find_base = runs, find_run, find_base
        self._hashes = Hashes()
        self._configs: dict[Path, tuple[int, RunConfig]] = {}

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
        if run := self._find_run(name):
            return self._of_run(run)
        found = _CHECKPOINT.fullmatch(name)
        if found and (run := self._find_run(found[1])):
            return self._of_checkpoint(run, found[2])
        found = _GGUF.fullmatch(name)
        if found and (run := self._find_run(found[1])):
            return _of_file(run, found[2])
        folder = self._find_base(name)
        if folder is None:
            raise EngineError("unknown_model", f"There is no model '{name[:120]}' here.",
                              "Choose one of the list; a hub model has to be on this machine.")
        if folder.suffix != ".gguf":
            read_folder(folder)
        return Target(name, "base", Path(name).name or name, Model(str(folder), folder))

    def _config(self, run: Known) -> RunConfig:
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

    def _of_run(self, run: Known) -> Target:
        if run.state != COMPLETED:
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

    def _of_checkpoint(self, run: Known, checkpoint: str) -> Target:
        config, folder = self._config(run), RunDir(run.dir).checkpoints / checkpoint
        if not folder.is_dir():
            raise EngineError("unknown_model", f"The run '{run.name}' has no '{checkpoint}'.",
                              "Choose one of the list.")
        if problem := find_problem(folder, thorough=False):
            raise EngineError("bad_checkpoint", f"'{checkpoint}' cannot be used: {problem}.",
                              "Choose another one.")
        if config.tuner.takes_out_of_base:
            raise EngineError("unfinished_form", f"Checkpoints of {config.tuner.init_lora_weights} "
                              "do not stand on the base as it is.", "Ask the finished run.")
        return self._trained(run, config, f"{run.id}/{checkpoint}", "checkpoint", folder)

    def _trained(self, run: Known, config: RunConfig, name: str, kind: Kind,
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
        if self._verify:
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
        source = resolve_model(chosen.name_or_path, self._runs, chosen.revision)
        base = Path(source.base) if source.is_folder else cached_snapshot(source.base,
                                                                          source.revision)
        if base is None:
            raise EngineError("base_not_here", f"The base '{source.base}' is not on this machine.",
                              "Download it first.")
        read_folder(base)
        return source, base


def gguf_files(run: Known) -> list[Path]:
    """Return the files of llama.cpp that an export has written."""
    folder = RunDir(run.dir).export / "gguf"
    return sorted(folder.glob("*.gguf")) if run.objective == "export" and folder.is_dir() else []


def _of_file(run: Known, name: str) -> Target:
    known = {path.name: path for path in gguf_files(run)}
    if name not in known:
        raise EngineError("unknown_model", f"The export '{run.name}' has no '{name}'.",
                          "Choose one of the list.")
    path = known[name]
    return Target(f"{run.id}/{name}", "export", f"{run.name}, {path.stem}",
                  Model(str(path), path))


def _merged(run: Known, own: Model, base: Path, kind: Kind, template: str) -> Model:
    """Return a finished run as a model of its own: trained biases cannot be switched off."""
    if kind != "run":
        raise EngineError("adapter_bias", f"The run '{run.name}' trains biases of the base, which "
                          "a checkpoint cannot lay over it.", "Ask the finished run.")
    return replace(own, source=run.id, folder=base, template=template, merged=True)
