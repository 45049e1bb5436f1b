"""Everything that can be known before a start: problems, choices, and what the run will need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from app import fitting, paths
from app.choices import Choice
from app.datafit import DataFindings, DataFit
from app.datasets import DataService
from app.devices import CPU, Device, DeviceProbe
from app.evaluations.fit import EvaluationFit
from app.home import Home
from app.kindfit import KindFit
from trainer.contract import ConfigError, Problem, RunConfig, families, fits
from trainer.contract.choose import DeviceKind, choose_dtype, dtype_problem
from trainer.contract.config import parse, without_wrong_fields
from trainer.contract.config.checks.memory import packing_problems
from trainer.contract.consent import reward_problems
from trainer.contract.hubcache import cached_snapshot
from trainer.contract.kinds import AnyConfig, kind_of, parse_any
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.models import ModelError, ModelFacts, read_folder, resolve_model
from trainer.contract.plan import Estimate, Setting, estimate
from trainer.contract.rundir import is_safe_name
from trainer.contract.teacher import teacher_problem
from trainer.data import DatasetError
from trainer.data.catalog import registry

Origin = Literal["cli", "web"]


@dataclass
class DryRun:
    """What is known before a start; ``config`` is None when its values are not valid."""

    config: AnyConfig | None = None
    problems: list[Problem] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    estimate: Estimate | None = None

    def document(self) -> dict[str, Any]:
        """Return it as REST and ``--json`` show it."""
        return {"config": self.config.dump() if self.config else None,
                "problems": [p.document() for p in self.problems],
                "choices": [c.document() for c in self.choices],
                "estimate": self.estimate.document() if self.estimate else None}


class Preflight:
    """Checks configs against this machine; remembers what it has read of unchanged files."""

    def __init__(self, home: Home, devices: DeviceProbe, *, data: DataService | None = None,
                 data_roots: Sequence[Path] = ()) -> None:
        """Look at ``home`` and at these devices.

        Args:
            home: Its data and models are roots.
            devices: Where runs can train.
            data: The datasets; None makes a service of its own.
            data_roots: Further folders whose files pages may name, when ``data`` is None.
        """
        self.home, self.devices = home, devices
        self.data = data or DataService(home, lambda: (), roots=data_roots)
        self._fits = DataFit(self.data)
        self._evaluations = EvaluationFit(home, self.data)

    def check(self, values: Mapping[str, Any], *, origin: Origin = "cli") -> DryRun:
        """Return every problem there is, the choices, and the estimate where it can be made."""
        if kind_of(values) != "train":
            return self._check_other(values, origin)
        wrong: list[Problem] = []
        try:
            config: RunConfig | None = parse(values)
        except ConfigError as error:
            wrong = error.problems
            config = without_wrong_fields(values, wrong)
        if config is None:
            return DryRun(problems=wrong)
        found = self._look(config, origin)
        if wrong:
            fields = {problem.field for problem in wrong}
            others = [p for p in found.problems if p.field and p.field not in fields]
            return DryRun(problems=[*wrong, *others])
        return found

    def _check_other(self, values: Mapping[str, Any], origin: Origin) -> DryRun:
        """Check what is no training."""
        try:
            config = parse_any(values)
        except ConfigError as error:
            return DryRun(problems=error.problems)
        assert not isinstance(config, RunConfig)
        found = DryRun()
        if isinstance(config, EvaluateConfig):
            found.problems, found.choices = self._evaluations.look(config, origin)
            found.config = self._evaluations.absolute(config)
        else:
            fit = KindFit(self.home, self.data.allowed if origin == "web" else None)
            found.problems, found.choices = fit.look(config)
            found.config = fit.absolute(config)
        self._device(found)
        return found

    def _look(self, config: RunConfig, origin: Origin) -> DryRun:
        """Hold a valid config against files, devices and packages."""
        found = DryRun(config=config)
        facts, folder, told = None, None, DataFindings(rows=None)
        try:
            known = registry.load(self.home.data)
        except DatasetError as error:
            found.problems.append(_of_error("data.train", error))
        else:
            if origin == "web" and not self._inside_roots(found, known):
                return found
            found.config = paths.absolute(
                config, set(known.names()), self._is_run)
            facts, folder = self._model(found)
            told = self._fits.look(found.config, known, origin, folder)
            found.problems += told.problems
            found.choices += told.choices
        device = self._device(found)
        self._dtype(found, device)
        self._tracker(found)
        unfit = (fitting.split_problem(_config(found), told.rows),
                 teacher_problem(_config(found), self.home.runs, folder))
        found.problems += [problem for problem in unfit if problem]
        found.problems += fits.adapter_problems(_config(found), self.home.runs)
        found.problems += fitting.device_problems(_config(found), device)
        found.problems += reward_problems(_config(found), web=origin == "web")
        if facts is not None:
            self._targets(found, facts)
        if facts is not None and device is not None:
            self._fit(found, facts, device, told)
        return found

    def _is_run(self, name: str) -> bool:
        return is_safe_name(name) and (self.home.runs / name).is_dir()

    def _inside_roots(self, found: DryRun, known: registry.Registry) -> bool:
        """Pages and REST name registry entries, or paths under the roots (rule R5)."""
        config, names = _config(found), set(known.names())
        given = [("data.train", n) for n in config.data.names("train") if n not in names]
        given += [("data.eval", n) for n in config.data.names("eval") if n not in names]
        given += paths.named(config)
        outside = [(where, name) for where, name in given
                   if paths.is_path(name) and not self.data.allowed(name)]
        found.problems += [_problem(
            where, "path_outside_roots", f"'{name}' lies outside the folders that pages may use.",
            "Add the file on the page, or start the server with --data-root.", name=name)
            for where, name in outside]
        return not outside

    def _model(self, found: DryRun) -> tuple[ModelFacts | None, Path | None]:
        """Read the base model's headers; None and None when they are not on this machine."""
        model = _config(found).model
        where = "model.name_or_path"
        try:
            source = resolve_model(model.name_or_path, self.home.runs, model.revision)
            folder = Path(source.base) if source.is_folder else cached_snapshot(source.base,
                                                                                source.revision)
            if folder is not None:
                return read_folder(folder), folder
        except ModelError as error:
            found.problems.append(_of_error(where, error, model.name_or_path))
            return None, None
        except OSError as error:
            found.problems.append(_problem(
                where, "model_unreadable", f"'{model.name_or_path[:200]}' cannot be read: "
                f"{error.strerror}.", "Check the path and its rights.", name=model.name_or_path))
            return None, None
        except ConfigError:
            found.problems.append(_problem(
                where, "run_config_broken", f"The run '{model.name_or_path}' has a broken config.",
                "Choose another model.", name=model.name_or_path))
            return None, None
        runs = [p.name for p in self.home.runs.iterdir()] if self.home.runs.is_dir() else []
        if slip := fitting.misspelt_model(source.base, ["starter", *runs]):
            found.problems.append(slip)
            return None, None
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            found.problems.append(_problem(
                where, "hub_offline", f"'{source.base}' is not on this machine, and the hub is "
                "switched off (HF_HUB_OFFLINE).", "Name a local folder, or switch it on.",
                scope="network", name=source.base))
        found.choices.append(Choice(where, source.base, "fetched from the hub at the start"))
        return None, None

    def _device(self, found: DryRun) -> Device | None:
        """Find the device the run would have, were it free."""
        config = found.config
        assert config is not None
        trains = isinstance(config, RunConfig)
        wanted = config.training.device if isinstance(config, RunConfig) else config.device
        where = "training.device" if trains else "device"
        devices = self.devices.list()
        gpus = [d for d in devices if d.key != CPU]
        if wanted == "auto":
            chosen = max(gpus, key=lambda d: d.free_mib) if gpus else devices[-1]
            reason = ("the GPU with most free memory; waits for one that is free" if gpus
                      else "there is no GPU on this machine")
            found.choices.append(Choice(where, chosen.name, reason))
            return chosen
        chosen_by_key = next((d for d in devices if d.key == wanted), None)
        if chosen_by_key is None:
            names = ", ".join(f"{d.key} ({d.name})" for d in devices)
            found.problems.append(_problem(
                where, "unknown_device", f"There is no device '{wanted}' here.",
                f"Choose 'auto' or one of: {names}.", scope="machine", name=wanted))
        return chosen_by_key

    def _dtype(self, found: DryRun, device: Device | None) -> None:
        if device is None:
            return
        requested, kind = _config(found).model.dtype, cast(DeviceKind, device.kind)
        if problem := dtype_problem(requested, kind, device.capability):
            found.problems.append(_problem("model.dtype", "dtype_unusable", problem,
                                           "Choose 'auto' or 'float32'.", scope="machine",
                                           name=requested))
            return
        value, reason = choose_dtype(requested, kind, device.capability)
        found.choices.append(Choice("model.dtype", value, reason))

    def _tracker(self, found: DryRun) -> None:
        key = os.environ.get("SWANLAB_API_KEY") or self.home.read_secrets().get("SWANLAB_API_KEY")
        found.problems += fitting.tracker_problems(_config(found), key)

    def _targets(self, found: DryRun, facts: ModelFacts) -> None:
        """Hold the tuner against the model's layers, and say what its family needs."""
        config = _config(found)
        found.problems += fits.unfit(config, facts)
        found.problems += packing_problems(
            config, str(facts.text_config.get("model_type") or ""))
        found.choices += [Choice(note.field, note.value, note.reason)
                          for note in families.notes(config, facts)]

    def _fit(self, found: DryRun, facts: ModelFacts, device: Device,
             told: DataFindings) -> None:
        """Estimate, and compare with the disk; memory is told, not refused."""
        config = _config(found)
        value, _ = choose_dtype(config.model.dtype, cast(DeviceKind, device.kind),
                                device.capability)
        setting = Setting(cast(DeviceKind, device.kind), value, device.free_mib * 2**20,
                          told.rows, told.mixed_rows)
        found.estimate = estimate(config, facts, setting)
        if told_answers := fitting.answering(config, found.estimate.steps, told.held_rows):
            found.choices.append(told_answers)
        free = shutil.disk_usage(self.home.root).free
        if found.estimate.checkpoint_bytes > free:
            needed, has = found.estimate.checkpoint_bytes / 2**30, free / 2**30
            found.problems.append(_problem(
                "", "disk_space", f"The checkpoints need {needed:.1f} GiB; the disk of the home "
                f"folder has {has:.1f} GiB free.", "Free some space, or save fewer checkpoints.",
                scope="machine", name=f"{needed:.1f}"))


def _config(found: DryRun) -> RunConfig:
    assert isinstance(found.config, RunConfig)
    return found.config


def _of_error(where: str, error: DatasetError | ModelError, name: str = "") -> Problem:
    message = error.message if isinstance(error, DatasetError) else str(error)
    return Problem(field=where, code=error.code, message=message, advice=error.advice,
                   params={"name": name})


def _problem(where: str, code: str, message: str, advice: str, *,
             scope: Literal["config", "machine", "network"] = "config", name: str = "") -> Problem:
    return Problem(field=where, code=code, message=message, advice=advice, scope=scope,
                   params={"name": name})
