"""Evaluations as folders, a home with saved endpoints, and engines that are no models."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import end_of, events_of
from tests.trainer.evaluation.stub_server import Reply, StubServer
from trainer.__main__ import main
from trainer.contract.events import AnyEvent, EndEvent
from trainer.contract.files import write_json
from trainer.contract.kinds import parse_any
from trainer.contract.kinds.evaluation import EvaluationReport, read_report
from trainer.contract.rundir import RunDir
from trainer.engines.kinds import Transformers

STUB_ENGINE = str(Path(__file__).with_name("stub_engine.py"))


class Bench:
    """A home, its endpoints, and evaluations in it."""

    def __init__(self, home: Path) -> None:
        self.home, self.runs = home, home / "runs"
        self.runs.mkdir(parents=True)
        self.servers: list[StubServer] = []
        self.endpoints: list[dict[str, Any]] = []
        self.events: list[AnyEvent] = []

    def endpoint(self, name: str, say: Callable[[str], Reply]) -> StubServer:
        """Save an endpoint with the one model 'm', which a stub answers for."""
        server = StubServer(say)
        server.__enter__()
        self.servers.append(server)
        self.endpoints.append({"name": name, "base_url": server.base_url, "key": server.key,
                               "models": ["m"], "created_at": 1.0, "created_by": "local"})
        write_json(self.home / "endpoints.json", self.endpoints, mode=0o600)
        return server

    def data(self, name: str, rows: list[dict[str, Any]]) -> str:
        """Write a dataset; returns its path."""
        path = self.home / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    def make(self, name: str, **values: Any) -> RunDir:
        """Create an evaluation on the processor."""
        run = RunDir(self.runs / name)
        run.create(parse_any({"kind": "evaluate", "name": name, "device": "cpu",
                              "engine": "transformers", **values}), {})
        return run

    def go(self, run: RunDir) -> EndEvent:
        """Work on a new attempt; returns its last event."""
        attempt = run.new_attempt()
        write_json(attempt.settings, {"attempt": attempt.number, "device": "cpu",
                                      "resume": "auto"})
        main(run.path)
        self.events = events_of(attempt)
        return end_of(self.events)

    def warnings(self) -> dict[str, str]:
        """Return the warnings of the last attempt by their codes."""
        return {one.code: one.message for one in self.events if one.type == "warning"}

    def report(self, run: RunDir) -> EvaluationReport:
        """Return what an evaluation has found."""
        found = read_report(run)
        assert found is not None
        return found

    def lines(self, run: RunDir, name: str) -> list[dict[str, Any]]:
        """Return a file of ``eval/`` line by line."""
        return [json.loads(line) for line in (run.eval / name).read_bytes().splitlines()]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A fresh home; servers end with the test."""
    made = Bench(tmp_path / "home")
    monkeypatch.setenv("FINESTRA_HOME", str(made.home))
    monkeypatch.setenv("FINESTRA_RUNS", str(made.runs))
    yield made
    for server in made.servers:
        server.__exit__()


class StubEngine:
    """Our engine's place is taken by the stub; ``log`` is what it did."""

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self._patch = log, monkeypatch

    def die_at(self, *questions: int) -> None:
        """Have it kill itself at these questions, from 1."""
        self._patch.setenv("STUB_DIE", ",".join(map(str, questions)))

    def lines(self, beginning: str = "") -> list[str]:
        """Return what it did."""
        text = self.log.read_text() if self.log.exists() else ""
        return [line for line in text.splitlines() if line.startswith(beginning)]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubEngine:
    """Engines of the kind 'transformers' are stubs."""
    monkeypatch.setattr(Transformers, "argv", (sys.executable, "-P", STUB_ENGINE))
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "stub.log"))
    monkeypatch.delenv("STUB_DIE", raising=False)
    return StubEngine(tmp_path / "stub.log", monkeypatch)
