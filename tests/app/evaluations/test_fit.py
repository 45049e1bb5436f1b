"""What is told of an evaluation before it is queued."""

import hashlib
import json
import os
import shutil

import pytest

from app.devices import DeviceProbe
from app.home import Home
from app.preflight import Preflight
from trainer.contract.commits import commit
from trainer.contract.config import parse
from trainer.contract.files import write_json
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir
from trainer.engines.kinds import Availability, LlamaCpp, Vllm

ROWS = [{"prompt": f"What is {n} + {n}?", "response": str(2 * n)} for n in range(1, 6)]


@pytest.fixture
def place(tmp_path):
    return Home.open(tmp_path / "home")


@pytest.fixture
def check(place):
    """Check an evaluation, as the command line or as a page."""
    made = Preflight(place, DeviceProbe(list))

    def look(origin="cli", **values):
        return made.check({"kind": "evaluate", "models": ["starter"], **values}, origin=origin)

    yield look
    made.data.close()


@pytest.fixture
def rows(tmp_path):
    """Five questions with answers."""
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def whole(place, name, state="completed", **values):
    """A run that has trained every weight."""
    run = RunDir(place.runs / name)
    run.create(parse({"name": name, "tuner": {"type": "full"}, **values}), {"state": state})
    shutil.copytree(starter(), run.model)
    return run


def codes(found):
    return {(problem.field, problem.code) for problem in found.problems}


def told(found):
    return {choice.field: choice for choice in found.choices}


def test_rows_and_questions_are_counted(check, place, rows):
    whole(place, "tuned")
    found = check(models=["starter", "tuned"], data=[rows], max_samples=3)
    assert found.problems == []
    assert [choice.value for choice in found.choices if choice.field == "data"] == ["6 questions"]
    assert "3 rows" in told(found)["data.0"].reason
    assert told(found)["time"].value == "not known"
    json.dumps(found.document(), allow_nan=False)


def test_rows_that_cannot_be_asked_are_counted(check, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (*ROWS, {"prompt": ""})))
    found = check(data=[str(path)])
    assert found.problems == []
    assert "1 cannot be asked" in told(found)["data.0"].reason
    assert told(found)["data"].value == "5 questions"


def house(place):
    """An endpoint with one model."""
    write_json(place.root / "endpoints.json", [{
        "name": "house", "base_url": "http://127.0.0.1:9/v1", "key": "k", "models": ["llama-3"],
        "created_at": 0.0, "created_by": "local"}])


@pytest.mark.parametrize(("models", "wrong"), [
    (["nobody"], {("models.0", "unknown_model")}),
    (["starter", "waiting"], {("models.1", "not_completed")}),
    (["scores"], {("models.0", "gives_scores")}),
    (["tuned/checkpoint-9"], {("models.0", "unknown_model")}),
    (["tuned/checkpoint-8"], {("models.0", "bad_checkpoint")}),
    (["tuned/other.gguf"], {("models.0", "unknown_model")}),
    (["house/unknown"], {("models.0", "unknown_model")}),
    (["house/llama-3"], set()), (["tuned", "starter"], set())])
def test_every_model_has_to_be_one_that_answers(check, place, rows, models, wrong):
    run = whole(place, "tuned")
    (run.checkpoints / "checkpoint-8").mkdir(parents=True)
    whole(place, "waiting", "queued")
    whole(place, "scores", objective="reward")
    house(place)
    found = check(models=models, data=[rows])
    assert codes(found) == wrong
    assert all(problem.advice for problem in found.problems)


def test_a_damaged_file_of_endpoints_is_told(check, place, rows):
    (place.root / "endpoints.json").write_text("{")
    assert codes(check(data=[rows])) == {("models.0", "damaged_file")}


def test_one_model_by_two_names_is_told(check, place, rows):
    found = check(models=["starter", str(starter())], data=[rows])
    assert found.problems == []
    assert "the same model as 'starter'" in told(found)["models.1"].reason


def test_likelihoods_are_not_asked_of_endpoints(check, place, rows):
    house(place)
    found = check(models=["house/llama-3"], data=[rows], metrics=["likelihood"])
    assert codes(found) == {("metrics", "likelihood_cannot")}
    found = check(models=["starter", "house/llama-3"], data=[rows], metrics=["likelihood"])
    assert found.problems == [] and "not of 'house/llama-3'" in told(found)["metrics"].reason


def test_paths_become_absolute(check, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schema.json").write_text("{}")
    (tmp_path / "tasks").mkdir()
    found = check(data=["sums.jsonl", {"name": "sample_instructions", "max_samples": 2}],
                  metrics=[{"name": "json", "json_schema": "schema.json"}],
                  benchmarks={"include_path": "tasks"})
    config = found.config.dump()
    assert config["data"][0] == rows and config["data"][1]["name"] == "sample_instructions"
    assert config["models"] == ["starter"]
    assert config["metrics"][0]["json_schema"] == str(tmp_path / "schema.json")
    assert config["benchmarks"]["include_path"] == str(tmp_path / "tasks")


def test_pages_name_only_what_lies_under_the_roots(check, place, rows, tmp_path):
    named = {"models": ["starter", str(tmp_path)], "data": [rows, "sample_instructions"],
             "metrics": [{"name": "python", "path": "/etc/passwd"}, "exact_match",
                         {"name": "embedding", "model": "../x"},
                         {"name": "json", "json_schema": "/etc/shadow"}],
             "benchmarks": {"tasks": ["x"], "include_path": "/etc"},
             "judge": {"model": "/etc/hostname"}}
    found = check("web", **named)
    assert {code for _, code in codes(found)} == {"path_outside_roots"}
    assert {field for field, _ in codes(found)} == {
        "models.1", "data.0", "metrics.0.path", "metrics.2.model", "metrics.3.json_schema",
        "benchmarks.include_path", "judge.model"}
    inside = shutil.copy(rows, place.data / "mine.jsonl")
    assert check("web", data=[str(inside)]).problems == []
    os.symlink("/etc", place.data / "out")
    assert codes(check("web", data=[str(place.data / "out" / "passwd")])) == {
        ("data.0", "path_outside_roots")}


def test_data_that_cannot_be_read_are_told(check, rows, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    found = check(data=["no_such_name", str(empty), rows, rows])
    assert {field for field, _ in codes(found)} == {"data.0", "data.1", "data.3"}
    assert ("data.3", "data_twice") in codes(found)


def test_metrics_want_right_answers_where_there_are_none(check, tmp_path):
    path = tmp_path / "open.jsonl"
    path.write_text('{"prompt": "Tell me a story."}\n{"prompt": "Another one."}\n')
    found = check(data=[str(path)], metrics=["exact_match", {"name": "regex", "pattern": "x"}])
    assert codes(found) == {("metrics.0", "no_reference")}


def test_code_runs_only_with_consent(check, rows, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text("def score(prompts, predictions, references):\n    return [1.0]\n")
    use = {"name": "python", "path": str(code)}
    assert codes(check(data=[rows], metrics=[use, "code"])) == {
        ("metrics.0.sha256", "metric_consent"), ("metrics.1.consent", "code_consent")}
    use["sha256"] = hashlib.sha256(code.read_bytes()).hexdigest()
    assert check(data=[rows], metrics=[use]).problems == []
    code.write_text("import os\n")
    assert codes(check(data=[rows], metrics=[use])) == {("metrics.0.sha256", "metric_changed")}


def test_what_metrics_name_has_to_be_there(check, rows):
    found = check(data=[rows], metrics=[{"name": "embedding", "model": "/no/such"},
                                        {"name": "json", "json_schema": "/no/such.json"}])
    assert codes(found) == {("metrics.0.model", "unknown_model"),
                            ("metrics.1.json_schema", "schema_unreadable")}
    assert check(data=[rows], metrics=[{"name": "embedding", "model": "starter"}]).problems == []


def test_what_is_not_installed_is_told_with_its_command(check, rows, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    found = check(data=[rows], metrics=["rouge", "bleu"], benchmarks={"tasks": ["gsm8k"]})
    assert codes(found) == {("metrics.0", "metric_package"), ("metrics.1", "metric_package"),
                            ("benchmarks.tasks", "benchmark_package")}
    assert all("pip install" in problem.advice for problem in found.problems)


def test_the_engine_that_is_asked_for_has_to_be_there(check, rows, monkeypatch):
    monkeypatch.setattr(Vllm, "available", lambda self: Availability(
        "vllm", False, "No vLLM.", "make vllm"))
    found = check(data=[rows], engine="vllm")
    assert codes(found) == {("engine", "engine_not_installed")}
    assert found.problems[0].scope == "machine" and "make vllm" in found.problems[0].advice
    assert check(data=[rows]).problems == []


def test_the_engine_that_is_asked_for_has_to_be_able(check, place, rows, monkeypatch):
    monkeypatch.setattr(Vllm, "available", lambda self: Availability("vllm", True))
    folder = whole(place, "tuned", data={"template": "chatml"}).checkpoints / "checkpoint-8"
    shutil.copytree(starter(), folder)
    commit(folder, 8)
    found = check(models=["tuned", "tuned/checkpoint-8"], data=[rows], engine="vllm")
    assert codes(found) == {("models.1", "engine_cannot")}
    assert "chatml" in found.problems[0].message


def test_gguf_files_are_asked_through_llama(check, place, rows, monkeypatch):
    file = place.models / "small.gguf"
    file.write_bytes(b"GGUF")
    monkeypatch.setattr(LlamaCpp, "available", lambda self: Availability(
        "llama.cpp", False, "No llama.", "pip install 'finestra[llama]'"))
    assert codes(check(models=[str(file)], data=[rows])) == {("models.0", "engine_not_installed")}


def test_the_judge_has_to_be_known_and_its_cost_is_told(check, place, rows):
    whole(place, "tuned")
    judge = {"model": "starter", "price_in": 1.0, "price_out": 2.0}
    found = check(models=["starter", "tuned"], data=[rows], judge=judge)
    assert found.problems == []
    assert told(found)["judge.model"].value.startswith("10 questions")
    assert "both orders" in told(found)["judge.model"].reason
    found = check(models=["starter", "tuned"], data=[rows], judge={"model": "nobody"})
    assert codes(found) == {("judge.model", "unknown_model")}


def test_questions_of_benchmarks_are_told(check):
    wish = {"tasks": ["gsm8k"], "limit": 100}
    assert told(check(benchmarks=wish))["benchmarks.tasks"].value == "100 questions"
    found = told(check(benchmarks={"tasks": ["gsm8k", "of_my_own"]}))
    assert found["benchmarks.tasks"].value == "gsm8k, of_my_own"
    assert "every question" in found["benchmarks.tasks"].reason
