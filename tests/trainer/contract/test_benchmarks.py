"""Which benchmarks are offered, and when a task folder is code."""

from pathlib import Path

import pytest

from tests.source_tree import ROOT
from trainer.contract.benchmarks import (
    BENCHMARKS,
    benchmark_problems,
    folder_problem,
    read_task_folder,
)
from trainer.contract.kinds.evaluate import BenchmarkConfig

PLAIN = "task: colours\ndataset_path: json\ndoc_to_text: 'See https://a.test/ {{x}}'\n"


def tasks(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def wanted(folder: Path, sha256: str | None = None) -> BenchmarkConfig:
    return BenchmarkConfig(tasks=["colours"], include_path=str(folder), sha256=sha256)


def test_each_benchmark_is_in_the_documentation_as_it_is():
    assert [one.name for one in BENCHMARKS] == ["mmlu", "ceval", "cmmlu", "gsm8k", "ifeval",
                                                "hellaswag", "arc", "truthfulqa"]
    text = (ROOT / "docs" / "evaluating.md").read_text(encoding="utf-8")
    for one in BENCHMARKS:
        tasks = ", ".join(f"`{task}`" for task in one.tasks)
        [row] = [line for line in text.splitlines() if line.startswith(f"| {one.title} | ")]
        assert row.startswith(f"| {one.title} | {tasks} | {one.num_fewshot or 0} | ")
        assert f" | {one.rows:,} | " in row


def test_plain_tasks_need_no_consent(tmp_path):
    folder = tasks(tmp_path / "t", a__yaml=PLAIN, b__yaml="include: a.yaml\ntask: two\n",
                   c__yaml="include: _base\ntask: three\n", _base="num_fewshot: 1\n",
                   notes__md="!function x.y", rows__jsonl='{"x": "!function"}\n')
    assert read_task_folder(folder).code == ()
    assert folder_problem(wanted(folder)) is None


@pytest.mark.parametrize("text", [
    "process_docs: !function utils.run",
    "fewshot_config: {sampler: !function utils.run}",
    "task: [{task: x, process_docs: !function os.system}]",
    "x: !!python/object/apply:os.system [id]",
    "%TAG ! tag:yaml.org,2002:\n---\nx: !python/name:os.system",
    "class: thing", "use_prompt: 'promptsource:x'", "metric_list: [{metric: x, hf_evaluate: true}]",
    "dataset_kwargs: {trust_remote_code: true}", "unsafe_code: true",
    "include: ../other.yaml", "include: [a.yaml, /etc/x.yaml]", "include: rows.txt",
    "dataset_kwargs: {data_files: 'https://a.test/x.jsonl'}",
    "dataset_kwargs: {data_files: {test: 'zip://a::https://a.test/x.zip'}}",
    "dataset_kwargs: {data_files: 'file:///etc/passwd'}", "a: [", "a: *b"])
def test_what_runs_code_or_fetches_is_seen(tmp_path, text):
    folder = tasks(tmp_path / "t", a__yaml=PLAIN, b__yaml=text, rows__txt="x: !function a.b")
    assert read_task_folder(folder).code
    assert folder_problem(wanted(folder)).code == "benchmark_consent"


def test_consent_holds_for_the_folder_as_it_was_read(tmp_path):
    folder = tasks(tmp_path / "t", a__yaml="process_docs: !function utils.run",
                   utils__py="def run(rows): return rows\n")
    refused = folder_problem(wanted(folder))
    assert "utils.py: Python" in refused.message and "a.yaml: !function" in refused.message
    agreed = wanted(folder, refused.params["sha256"])
    assert folder_problem(agreed) is None
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "utils.pyc").write_bytes(b"x")
    assert folder_problem(agreed) is None
    (folder / "utils.py").write_text("def run(rows): return []\n")
    assert folder_problem(agreed).code == "benchmark_changed"


def test_names_count_as_well_as_contents(tmp_path):
    one = read_task_folder(tasks(tmp_path / "a", a__py="x", b__py="y"))
    other = read_task_folder(tasks(tmp_path / "b", a__py="y", b__py="x"))
    assert one.sha256 != other.sha256


def test_links_are_code_and_linked_folders_are_refused(tmp_path):
    folder = tasks(tmp_path / "t", a__yaml=PLAIN)
    (folder / "b.jsonl").symlink_to(tmp_path / "t" / "a.yaml")
    assert read_task_folder(folder).code == ("b.jsonl: a link",)
    (folder / "deep").symlink_to(tmp_path)
    assert folder_problem(wanted(folder)).code == "benchmark_folder"


def test_a_folder_that_is_not_there_is_told(tmp_path):
    problem = folder_problem(wanted(tmp_path / "none"))
    assert problem.code == "benchmark_folder" and "none" in problem.message
    assert folder_problem(wanted(Path("~nobody-of-that-name/x"))).code == "benchmark_folder"


def test_without_tasks_nothing_is_looked_at(tmp_path):
    assert benchmark_problems(BenchmarkConfig(include_path=str(tmp_path / "none"))) == []


def test_a_missing_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.contract.benchmarks.PACKAGE", "no_such_package_here")
    problem = benchmark_problems(BenchmarkConfig(tasks=["gsm8k"]))[0]
    assert problem.code == "benchmark_package" and "finestra[bench]" in problem.advice
