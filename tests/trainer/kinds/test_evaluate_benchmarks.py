"""Benchmarks of an evaluation: asked beside the rows, compared, kept; trouble with one is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.serving

SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/sums.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: "{{prompt}}"
doc_to_target: "{{reference}}"
generation_kwargs: {until: ["?"], do_sample: false, max_gen_toks: 8}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""


def fetched_too_late(folder: Path) -> None:
    """Write a task of choices whose data are not there."""
    text = SUMS.replace("task: sums", "task: later").replace("sums.jsonl", "later.jsonl")
    (folder / "later.yaml").write_text(text.replace("FOLDER", str(folder)), encoding="utf-8")


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with a task of twenty sums."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [{"prompt": f"What is {n} + {n}", "reference": str(2 * n)} for n in range(20)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.yaml").write_text(SUMS.replace("FOLDER", str(folder)), encoding="utf-8")
    return folder


def good(text: str) -> str:
    return str(2 * int(text.split()[2]))


def bad(text: str) -> str:
    return "none"


def test_benchmarks_are_asked_and_compared(bench: Any, tasks: Path) -> None:
    server = bench.endpoint("good", good)
    bench.endpoint("bad", bad)
    run = bench.make("e", models=["good/m", "bad/m"],
                     benchmarks={"tasks": ["sums"], "include_path": str(tasks)})
    end = bench.go(run)
    assert end.outcome == "completed", end
    report = bench.report(run)
    assert {one.model: one.value for one in report.results} == {"good/m": 1.0, "bad/m": 0.0}
    (compared,) = report.comparisons
    assert (compared.verdict, compared.source, compared.dataset) == ("worse", "benchmark", "sums")
    assert report.results[0].source == "benchmark" and end.metrics is not None
    asked = len(server.asked)
    assert bench.go(run).outcome == "completed" and len(server.asked) == asked == 20


def test_what_keeps_a_benchmark_away_loses_nothing_else(bench: Any, tasks: Path) -> None:
    bench.endpoint("good", good)
    fetched_too_late(tasks)
    rows = [{"prompt": "What is 2 + 2?", "reference": "4"}]
    run = bench.make("e", models=["good/m"], data=[bench.data("d", rows)],
                     benchmarks={"tasks": ["later"], "include_path": str(tasks)})
    end = bench.go(run)
    assert end.outcome == "failed" and end.code.startswith("benchmark_")
    report = bench.report(run)
    assert report.results[0].value == 1.0 and any("Benchmarks of" in one for one in report.notes)
    (tasks / "later.jsonl").write_text((tasks / "sums.jsonl").read_text())
    assert bench.go(run).outcome == "completed"
    assert {one.source for one in bench.report(run).results} == {"data", "benchmark"}
