"""Engines of evaluations: kept for models of one base, started again when they die."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from tests.app.serving.engines.desk import adapter_folder
from trainer.contract.config import parse
from trainer.contract.events import from_line
from trainer.contract.identity import find_by_environ
from trainer.contract.rundir import RunDir
from trainer.engines.kinds import Vllm, all_kinds
from trainer.engines.settings import EngineSettings
from trainer.engines.sockets import MARK
from trainer.evaluation.asking import HttpAsker
from trainer.evaluation.choosing import Wish, choose
from trainer.evaluation.finding import Finder
from trainer.evaluation.starting import Hall

pytestmark = pytest.mark.serving
ROOT = Path(__file__).parents[3]


def rows(count: int) -> list[dict[str, str]]:
    """Return questions of falling length, so that they are asked in this order."""
    return [{"prompt": f"{n:04d}{'!' * (2 * (count - n))}", "reference": str(n)}
            for n in range(1, count + 1)]


def tuned(bench: Any, name: str) -> str:
    """Make a finished run of LoRA on the starter, whose adapter is one number."""
    run = RunDir(bench.runs / name)
    run.create(parse({"name": name, "model": {"name_or_path": "starter"}}),
               {"state": "completed"})
    adapter_folder(run.adapter, 1)
    return name


def test_an_engine_is_kept_for_models_of_one_base(bench: Any, engine: Any) -> None:
    names = [tuned(bench, "one"), "starter", tuned(bench, "two")]
    run = bench.make("e", models=names, data=[bench.data("d", rows(3))], metrics=["contains"])
    assert bench.go(run).outcome == "completed", bench.events
    assert engine.lines("start") == ["start"]
    assert [line.split()[1] for line in engine.lines("ask")] == ["base"] * 3 + ["one"] * 3 \
        + ["two"] * 3
    assert engine.lines("load") == ["load one", "load two"]
    assert engine.lines("unload") == ["unload one"]
    first = bench.lines(run, "predictions-01.jsonl")[0]
    assert first["prediction"].startswith("one says 0001")
    assert [one.model for one in bench.report(run).answered] == names
    assert not list(run.eval.glob("engine*")) and (bench.runs / "e/attempts/001/engine-01.log")


@pytest.mark.faults
def test_an_engine_that_dies_is_started_again_and_asked_for_what_was_lost(
        bench: Any, engine: Any) -> None:
    run = bench.make("e", models=["starter"], data=[bench.data("d", rows(12))],
                     metrics=["contains"], batch_size=2)
    engine.die_at(5, 9)
    assert bench.go(run).outcome == "completed"
    assert len(engine.lines("start")) == 3 and len(bench.lines(run, "predictions-01.jsonl")) == 12
    # Of the two that were under way each time, one or both were lost.
    assert 14 <= len(engine.lines("ask")) <= 16
    assert "signal 9" in bench.warnings()["engine_restarted"]


@pytest.mark.faults
def test_an_engine_that_dies_at_row_7_goes_on_after_it(bench: Any, engine: Any) -> None:
    run = bench.make("e", models=["starter"], data=[bench.data("d", rows(12))],
                     metrics=["contains"], batch_size=1)
    engine.die_at(7, 8, 9, 10)
    end = bench.go(run)
    assert (end.outcome, end.code) == ("failed", "engine_died")
    assert "signal 9" in end.message and "resume" in end.advice
    # The six before, and the one that it died of.
    assert len(bench.lines(run, "answers-01.jsonl")) == 1 + 7
    logs = sorted((run.path / "attempts" / "001").glob("engine-*.log"))
    assert len(logs) == 4 and "the stub's last words" in logs[3].read_text()
    asked = len(engine.lines("ask"))
    assert bench.go(run).outcome == "completed"
    again = [line.split()[2][:4] for line in engine.lines("ask")[asked:]]
    assert again == [f"{n:04d}" for n in range(8, 13)]


@pytest.mark.faults
@pytest.mark.parametrize("at_once", [1, 4])
def test_rows_that_end_the_engine_each_time_are_found(bench: Any, engine: Any, at_once: int,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no answer, and their reason; all others are answered."""
    monkeypatch.setenv("STUB_POISON", "0003,0010")
    run = bench.make("e", models=["starter"], data=[bench.data("d", rows(12))],
                     metrics=["contains"], batch_size=at_once)
    assert bench.go(run).outcome == "completed"
    lines = bench.lines(run, "predictions-01.jsonl")
    errors = {line["row"]: line["error"] for line in lines if line.get("error")}
    assert sorted(errors) == [3, 10] and len(lines) == 12
    assert all("died of it 3 times" in text and "signal 9" in text for text in errors.values())
    assert any("could not answer 2 of 12 rows" in note for note in bench.report(run).notes)
    assert len(engine.lines("start")) <= 7


def test_an_engine_that_never_starts_says_why(bench: Any, engine: Any,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_BROKEN", "1")
    run = bench.make("e", models=["starter"], data=[bench.data("d", rows(2))])
    end = bench.go(run)
    assert (end.outcome, end.code) == ("failed", "engine_died")
    assert "the weights are nowhere" in end.message
    assert engine.lines("start") == ["start broken"]


@pytest.mark.faults
def test_a_killed_evaluation_leaves_no_engine_and_goes_on(bench: Any, engine: Any,
                                                          tmp_path: Path) -> None:
    run = bench.make("e", models=["starter"], data=[bench.data("d", rows(12))],
                     metrics=["contains"], batch_size=1)
    code = ("import os, sys\nfrom trainer.engines.kinds import Transformers\n"
            "from trainer.evaluation import store\nimport trainer.__main__ as door\n"
            "from pathlib import Path\n"
            f"Transformers.argv = (sys.executable, '-P', {str(engine_argv())!r})\n"
            "plain = store.Store.add\n"
            "def add(self, ask, said):\n"
            "    plain(self, ask, said)\n"
            "    len(self.answers) == 5 and os.kill(os.getpid(), 9)\n"
            "store.Store.add = add\n"
            f"door.main(Path({str(run.path)!r}))\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr
    note = (run.eval / "engine.json").read_text()
    engine_id = note.split('"id": "')[1][:12]
    assert bench.go(run).outcome == "completed"
    assert len(engine.lines("ask")) == 12
    assert find_by_environ({MARK: engine_id}) == [] and not (run.eval / "engine.json").exists()


def engine_argv() -> Path:
    """Return the stub's file."""
    return Path(__file__).with_name("stub_engine.py")


def test_models_of_one_base_get_one_engine(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = Finder(bench.runs, bench.home)
    places = [finder.find(name) for name in ("starter", tuned(bench, "one"))]
    kinds = all_kinds(EngineSettings())
    found = kinds["vllm"].available()
    monkeypatch.setattr(Vllm, "available", lambda self: type(found)("vllm", True))

    def chosen(device: str, count: int, rows: int | None = 500) -> list[str]:
        plans = choose(["a", "b"][:count], places[:count], Wish("auto", device, rows), kinds)
        return [plan.engine for plan in plans]

    assert chosen("cpu", 1) == ["vllm"]
    assert chosen("cpu", 2) == ["transformers", "transformers"]
    assert chosen("GPU-1", 2) == ["vllm", "vllm"]
    assert chosen("GPU-1", 1, 20) == ["transformers"] and chosen("GPU-1", 1, None) == ["vllm"]


@pytest.mark.parametrize("metrics", [["likelihood"], ["chrf", "likelihood"], []])
def test_vllm_is_not_asked_what_ends_it(bench: Any, monkeypatch: pytest.MonkeyPatch,
                                        metrics: list[str]) -> None:
    """With adapters on a processor likelihoods end it, chosen by the data or by a person."""
    found = all_kinds(EngineSettings())["vllm"].available()
    monkeypatch.setattr(Vllm, "available", lambda self: type(found)("vllm", True))
    monkeypatch.setattr(Vllm, "launch", None)
    texts = bench.data("d", [{"text": f"A story of {n} men. It ends well."} for n in range(9)])
    run = bench.make("e", models=["starter", tuned(bench, "one")], data=[texts], engine="vllm",
                     metrics=metrics)
    end = bench.go(run)
    assert (end.outcome, end.code) == ("failed", "engine_cannot"), bench.events
    assert "for 'one' how likely" in end.message


def test_benchmarks_hear_what_vllm_cannot_tell(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = Finder(bench.runs, bench.home)
    places = [finder.find(name) for name in ("starter", tuned(bench, "one"))]
    kinds = all_kinds(EngineSettings())
    found = kinds["vllm"].available()
    monkeypatch.setattr(Vllm, "available", lambda self: type(found)("vllm", True))

    def told(device: str) -> list[str]:
        plans = choose(["a", "b"], places, Wish("vllm", device, None), kinds)
        return [HttpAsker(plan, cast(Hall, None), 1, print).can("likelihood") for plan in plans]

    assert told("GPU-1") == ["", ""]
    base, tuned_one = told("cpu")
    assert base == "" and "With an adapter, vllm ends" in tuned_one


def test_events_say_how_far_it_is(bench: Any, engine: Any) -> None:
    run = bench.make("e", models=["starter"], data=[bench.data("d", rows(5))],
                     metrics=["contains"])
    assert bench.go(run).outcome == "completed"
    told = [from_line(line) for line in
            run.attempt(1).events.read_bytes().splitlines()]
    progress = [one for one in told if one.type == "progress" and one.stage == "answering"]
    assert (progress[-1].done, progress[-1].total, progress[-1].unit) == (5, 5, "rows")
    metrics = [one for one in told if one.type == "metrics"]
    assert metrics[-1].values == {"contains/starter": pytest.approx(1.0)}
    assert metrics[-1].step == metrics[-1].total_steps == 5
