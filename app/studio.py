"""Studio: what pages, REST and command line can do. Made once, handed in; thread-safe."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from app.charts import Point, downsample, thin
from app.datachanges import DataChanges
from app.datasets import DataService
from app.datasetviews import DatasetChoice
from app.deletion import check_deletable
from app.devices import Device
from app.home import Home
from app.ingest import ingest
from app.models import ModelLibrary
from app.names import columns_of, new_run_id
from app.preflight import DryRun, Preflight
from app.rebuild import empty_trash, index_folders, move_to_trash, open_store, recover
from app.runs import ACTIVE, RESUMABLE, Progress, Run, RunError, RunState
from app.scheduler import EXIT_GRACE_S, GRACE_S, Scheduler
from app.sources import list_models
from app.store import CorruptIndex, Store
from trainer.contract import ConfigError
from trainer.contract import events as ev
from trainer.contract.commits import CheckpointInfo, find_problem, list_checkpoints
from trainer.contract.config import load_yaml
from trainer.contract.kinds import AnyConfig
from trainer.contract.logfile import clean, lines_with, read_tail
from trainer.contract.redact import known_secrets, redact
from trainer.contract.rundir import Attempt, RunDir

Origin = Literal["cli", "web"]
SEARCH_BYTES = 16_000_000


class Studio:
    """The service layer over one home."""

    def __init__(self, home: Home, store: Store, scheduler: Scheduler,
                 preflight: Preflight) -> None:
        """Put the parts together; see ``open``."""
        self.home, self.store, self.scheduler, self.preflight = home, store, scheduler, preflight
        self.data = preflight.data
        self.changes = DataChanges(self.data, home.audited)
        self.library = ModelLibrary(home, self.runs, scheduler.devices.list,
                                    allowed=self.data.allowed,
                                    delete_run=lambda run_id, who: self.delete(run_id, who=who))

    @classmethod
    def open(cls, home: Path | None = None, *, trainer_argv: Sequence[str] | None = None,
             grace_s: float | None = None, data_roots: Sequence[Path] = ()) -> Studio:
        """Open a home folder.

        Args:
            home: The folder; None means FINESTRA_HOME, else ~/.finestra.
            trainer_argv: Another trainer (tests).
            grace_s: From a stop request to the kill; None means 120 s.
            data_roots: Further folders whose files pages may name.

        Raises:
            HomeError: The folder cannot be used.
            NewerSchema: It belongs to a newer Finestra.
        """
        place = Home.open(home)
        store = open_store(place)
        scheduler = Scheduler(place, store, trainer_argv=trainer_argv,
                              grace_s=GRACE_S if grace_s is None else grace_s,
                              exit_grace_s=EXIT_GRACE_S if grace_s is None else grace_s)
        data = DataService(place, lambda: [record.run for record in store.records(None)],
                           roots=data_roots)
        return cls(place, store, scheduler, Preflight(place, scheduler.devices, data=data))

    def close(self) -> None:
        """End the work on data and downloads, let go of the index; runs go on."""
        self.data.close()
        self.library.close()
        self.scheduler.close()
        self.store.close()

    # Runs

    def dry_run(self, values: Mapping[str, Any], *, origin: Origin = "cli") -> DryRun:
        """Say everything that is known before a start; never raises ConfigError."""
        return self.preflight.check(values, origin=origin)

    def create(self, values: Mapping[str, Any] | AnyConfig, *, owner: str = "local",
               idempotency_key: str | None = None, origin: Origin = "cli") -> Run:
        """Check a config and put it into the queue.

        Args:
            values: The config, complete or not.
            owner: Who asks.
            idempotency_key: The same key of the same owner makes one run, however often sent.
            origin: 'web' may only name paths under the configured roots.

        Raises:
            ConfigError: With every problem; nothing is stored then.
        """
        plain = values if isinstance(values, Mapping) else values.dump()
        with self.home.audited("create", "", owner) as note:
            if idempotency_key and (known := self._run_of_key(owner, idempotency_key)):
                note["run"] = known.id
                return known
            checked = self.preflight.check(plain, origin=origin)
            if checked.config is None or checked.problems:
                raise ConfigError(checked.problems)
            run = self._insert(checked.config, owner, idempotency_key)
            note["run"] = run.id
        self.tick()
        return run

    def _run_of_key(self, owner: str, key: str) -> Run | None:
        with self.store.write() as writer:
            known = writer.run_of_key(owner, key)
            return writer.record(known).run if known else None

    def _insert(self, config: AnyConfig, owner: str, key: str | None) -> Run:
        """Make folder and row together: the row is committed last."""
        run_id, now = new_run_id(config.name), time.time()
        folder = RunDir(self.home.runs / run_id)
        with self.store.write() as writer:
            if key and (known := writer.run_of_key(owner, key)):
                return writer.record(known).run
            try:
                folder.create(config, {"state": str(RunState.QUEUED)})
                writer.insert(run_id, {
                    **columns_of(config), "state": str(RunState.QUEUED), "owner": owner,
                    "created_at": now, "queued_at": now})
                writer.mirror(run_id)
                if key:
                    writer.keep_key(owner, key, run_id)
            except OSError:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
            return writer.record(run_id).run

    def runs(self, *, state: str | None = None, search: str = "", tag: str = "") -> list[Run]:
        """Return the runs, newest first.

        Args:
            state: Only those in this state.
            search: Only those whose id, name, model, notes or tags hold this text.
            tag: Only those with this tag.
        """
        wanted = search.casefold()
        found = [record.run for record in self.store.records(
            None if state is None else [RunState(state)])]
        return sorted((run for run in found if (not tag or tag in run.tags)
                       and (not wanted or wanted in _text_of(run))),
                      key=lambda run: (run.created_at, run.id), reverse=True)

    def run(self, run_id: str) -> Run:
        """Return a run; RunError('unknown_run') when there is none of that id."""
        return self.store.record(run_id).run

    def stop(self, run_id: str, *, who: str = "local") -> Run:
        """Stop a run: at once when it waits, else at the next step end, with a save.

        Raises:
            RunError: It has ended already.
        """
        with self.home.audited("stop", run_id, who), self.store.write() as writer:
            record = writer.record(run_id)
            state = record.run.state
            if state is RunState.QUEUED:
                writer.transition(run_id, RunState.STOPPED, reason="Stopped before it started.",
                                  ended_at=time.time())
            elif state not in ACTIVE:
                raise RunError("not_active", f"The run '{run_id}' is {state}; there is nothing "
                               "to stop.")
            elif state is not RunState.STOPPING:
                writer.transition(run_id, RunState.STOPPING, stop_requested=1)
        if record.supervisor is not None:
            record.supervisor.signal(signal.SIGTERM)
        self.tick()
        return self.run(run_id)

    def resume(self, run_id: str, *, checkpoint: str = "auto", who: str = "local") -> Run:
        """Put an ended run into the queue again, as a new attempt.

        Args:
            run_id: The run.
            checkpoint: 'auto' (the newest good one), 'none' (from the beginning), or a name such
                as 'checkpoint-40'.
            who: Who asks.

        Raises:
            RunError: It is active or completed, or the checkpoint cannot be used.
        """
        with self.home.audited("resume", run_id, who):
            if checkpoint not in ("auto", "none"):
                self._check_checkpoint(run_id, checkpoint)
            with self.store.write() as writer:
                run = writer.record(run_id).run
                if run.state not in RESUMABLE:
                    raise RunError("not_resumable", f"The run '{run_id}' is {run.state} and cannot "
                                   "be resumed.", "Only a stopped, failed or interrupted run can.")
                writer.transition(run_id, RunState.QUEUED, resume=checkpoint, stop_requested=0,
                                  reason="", device="", queued_at=time.time(), started_at=None,
                                  ended_at=None, claimer=None, supervisor=None,
                                  progress=Progress(step=run.progress.step,
                                                    total_steps=run.progress.total_steps))
                writer.to_end_of_queue(run_id)
        self.tick()
        return self.run(run_id)

    def _check_checkpoint(self, run_id: str, name: str) -> None:
        known = {info.path.name: info for info in self.checkpoints(run_id)}
        if name not in known:
            raise RunError("unknown_checkpoint", f"The run '{run_id}' has no '{name}'.",
                           f"It has: {', '.join(known) or 'none'}.")
        if problem := find_problem(known[name].path):
            raise RunError("bad_checkpoint", f"'{name}' cannot be used: {problem}.",
                           "Choose another one, or 'auto' for the newest good one.")

    def clone_values(self, run_id: str) -> dict[str, Any]:
        """Return the values of a run's config under a new name."""
        values = load_yaml(self.config_yaml(run_id))
        values["name"] = f"{str(values.get('name', 'run'))[:90]} copy"
        return values

    def delete(self, run_id: str, *, who: str = "local") -> None:
        """Remove a run and its folder; safe to repeat after a crash at any point.

        Raises:
            RunError: It is active, or other runs stand on it.
        """
        with self.home.audited("delete", run_id, who):
            with self.store.write() as writer:
                check_deletable(writer, run_id)
                trashed = move_to_trash(self.home, run_id)
                writer.delete(run_id)
            shutil.rmtree(trashed, ignore_errors=True)

    def annotate(self, run_id: str, *, name: str | None = None,
                 tags: Sequence[str] | None = None, notes: str | None = None) -> Run:
        """Change what people call a run; the config stays as it was."""
        columns: dict[str, Any] = {}
        if name is not None:
            columns["name"] = name.strip()[:100] or "run"
        if tags is not None:
            columns["tags"] = sorted({tag.strip()[:40] for tag in tags if tag.strip()})[:20]
        if notes is not None:
            columns["notes"] = notes[:10_000]
        with self.home.audited("annotate", run_id, "local"), self.store.write() as writer:
            writer.record(run_id)
            return writer.update(run_id, **columns)

    # What a run has done

    def dir(self, run_id: str) -> RunDir:
        """Return the folder of a known run."""
        return RunDir(self.run(run_id).dir)

    def config_yaml(self, run_id: str) -> str:
        """Return the complete config as its file has it."""
        return self.dir(run_id).config.read_text(encoding="utf-8")

    def series(self, run_id: str, names: Sequence[str] | None = None, *,
               max_points: int | None = None) -> dict[str, list[Point]]:
        """Return (step, value) of each series, each step once; None where it was not a number.

        Args:
            run_id: The run.
            names: Which series; None means all.
            max_points: At most so many points a series; peaks and dips are kept.
        """
        self.run(run_id)
        found = self.store.series(run_id, names)
        if max_points is None:
            return found
        return {name: downsample(points, max_points) for name, points in found.items()}

    def sparkline(self, run_ids: Sequence[str], points: int = 40) -> dict[str, list[float]]:
        """Return a few values of each run's loss, oldest first."""
        return {run_id: thin(self.store.series(run_id, ["loss"])["loss"], points)
                for run_id in run_ids}

    def samples(self, run_id: str, last: int = 12) -> list[ev.SampleEvent]:
        """Return the newest sample answers, oldest first."""
        return [ev.SampleEvent.model_validate_json(body)
                for body in self.store.events(run_id, "sample", last)]

    def warnings(self, run_id: str) -> list[ev.WarningEvent]:
        """Return what the trainer warned of."""
        return [ev.WarningEvent.model_validate_json(body)
                for body in self.store.events(run_id, "warning")]

    def choices(self, run_id: str) -> list[ev.ChoiceEvent]:
        """Return what was chosen automatically, the newest word on each field."""
        events = [ev.ChoiceEvent.model_validate_json(body)
                  for body in self.store.events(run_id, "choice")]
        return list({event.field: event for event in events}.values())

    def data_events(self, run_id: str) -> list[ev.DataEvent]:
        """Return what became of the rows, the newest word on each split."""
        events = [ev.DataEvent.model_validate_json(body)
                  for body in self.store.events(run_id, "data")]
        return list({event.split: event for event in events}.values())

    def checkpoints(self, run_id: str) -> list[CheckpointInfo]:
        """Return the checkpoint folders, newest first; those that cannot be used say why."""
        return list_checkpoints(list(self.dir(run_id).checkpoint_folders()))

    def attempt(self, run_id: str, number: int | None = None) -> Attempt | None:
        """Return an attempt (the newest when None) if it has a folder."""
        attempts = {a.number: a for a in self.dir(run_id).attempts()}
        return attempts.get(number or max(attempts, default=0))

    def log_tail(self, run_id: str, *, max_bytes: int = 64_000, search: str = "",
                 attempt: int | None = None) -> str:
        """Return the end of a log as plain text without secrets, or its lines that hold a text."""
        found = self.attempt(run_id, attempt)
        if found is None:
            return ""
        text = clean(read_tail(found.log, SEARCH_BYTES if search else max_bytes))
        if search:
            text = "\n".join(lines_with(text.split("\n"), search))[-max_bytes:]
        return redact(text, [*known_secrets(), *self.home.read_secrets().values()])

    def watermark(self, run_id: str | None = None) -> int:
        """Return a number that grows with every stored change."""
        return self.store.watermark(run_id)

    # Keeping up

    def tick(self) -> None:
        """Settle what ended, start what can start; never raises."""
        self.scheduler.tick()

    def reconcile(self) -> None:
        """Bring index, folders and processes into agreement; at every server start."""
        self.scheduler.guard(self._mend)
        self.tick()

    def _mend(self) -> None:
        try:
            self.store.quick_check()
        except CorruptIndex:
            self.store.close()
            recover(self.home).close()
        empty_trash(self.home, self.store)
        for run_id in index_folders(self.home, self.store):
            ingest(self.store, RunDir(self.home.runs / run_id))

    def ingest(self, run_id: str | None = None) -> bool:
        """Store what is new of one run, or of every active run."""
        if run_id is not None:
            return ingest(self.store, self.dir(run_id))
        active = self.store.records(sorted(ACTIVE))
        return any([ingest(self.store, RunDir(record.run.dir)) for record in active])

    # What there is to choose from

    def devices(self) -> list[Device]:
        """Return GPUs and CPU, and which run holds each."""
        leases = self.store.leases()
        return [replace(device, holder=leases.get(device.key, ""))
                for device in self.scheduler.devices.list()]

    def models(self) -> list[str]:
        """Return what can stand in ``model.name_or_path``: starter, folders, runs, cached ids."""
        return list_models(self.home, self.runs(state=RunState.COMPLETED))

    def datasets(self) -> list[DatasetChoice]:
        """Return the datasets that a config may name."""
        return self.data.all()


def _text_of(run: Run) -> str:
    return " ".join((run.id, run.name, run.model, run.notes, *run.tags)).casefold()
