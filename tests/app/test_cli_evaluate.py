"""``finestra evaluate``: names, options, what is refused, what is shown and written."""

import pytest

from app import cli
from tests.app.conftest import TUNED
from tests.app.evaluations.written import compared, evaluation, line, mistaken
from trainer.contract.files import write_json

BASE = ("-m", "starter", "-d", "sample_instructions")


@pytest.fixture
def done(fake_studio):
    """An evaluation that has ended: row 2 is gained, row 3 lost."""
    run = evaluation(fake_studio.home.runs, "20261122-done-dddddd", {
        "starter": [line(1, 1), line(2, 0), line(3, 1, "\x1b[31m[bold]twelve")],
        TUNED: [line(1, 1), line(2, 1), line(3, 0, "eleven")]},
        comparisons=[compared("starter", TUNED, 0.0, verdict="unclear", p_adjusted=1.0)],
        mistakes=[mistaken(TUNED, "content", [3])], notes=["a note [/x]"])
    fake_studio.reconcile()
    return run.id


def test_options_are_fields_of_the_config(script):
    status, found = script(
        "evaluate", *BASE, "--metric", "numeric", "--metric", "{name: regex, pattern: 'x,y'}",
        "--limit", "7", "--max-new-tokens", "9", "--engine", "transformers", "--dry-run",
        "generation.temperature=0.5", "seed=3")
    config = found["config"]
    assert status == 0 and config["models"] == ["starter"]
    assert config["metrics"] == [{"name": "numeric"}, {"name": "regex", "pattern": "x,y"}]
    assert (config["max_samples"], config["engine"], config["seed"]) == (7, "transformers", 3)
    assert config["generation"]["max_new_tokens"] == 9
    assert config["generation"]["temperature"] == 0.5
    assert config["name"] == "starter on sample_instructions"
    assert config["benchmarks"]["limit"] is None


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "~nobody-of-this-name/x.gguf",
                                  "x" * 5000], ids=["home", "file", "long"])
def test_a_model_that_no_path_can_be_is_an_error_in_words(script, name):
    status, found = script("evaluate", "-m", name, "-d", "sample_instructions", "--dry-run")
    assert status == 1 and found["problems"][0]["field"] == "models.0"


def test_a_part_of_an_id_is_enough(script):
    status, found = script("evaluate", *BASE, "-m", "aaaaaa", "-m", "bbbbbb/checkpoint-4",
                           "--judge", "aaaaaa", "--rubric", "correctness", "--dry-run")
    config = found["config"]
    assert config["models"] == ["starter", TUNED, "20261121-other-bbbbbb/checkpoint-4"]
    assert config["judge"]["model"] == TUNED and config["judge"]["rubric"] == "correctness"
    assert status == 1 and found["problems"][0]["field"] == "models.2"


def test_benchmarks_have_a_limit_of_their_own_and_short_names(script):
    _, found = script("evaluate", "-m", "starter", "-b", "arc", "-b", "gsm8k", "--limit", "5",
                           "--num-fewshot", "2", "--dry-run")
    config = found["config"]
    assert config["benchmarks"]["tasks"] == ["arc_challenge", "arc_easy", "gsm8k"]
    assert (config["benchmarks"]["limit"], config["benchmarks"]["num_fewshot"]) == (5, 2)
    assert config["data"] == []


def test_the_limit_is_that_of_a_files_benchmarks_too(script, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("kind: evaluate\nmodels: [starter]\nbenchmarks: {tasks: [gsm8k], limit: 9}\n")
    _, found = script("evaluate", str(file), "--limit", "5", "--dry-run")
    assert (found["config"]["max_samples"], found["config"]["benchmarks"]["limit"]) == (5, 5)
    _, found = script("evaluate", str(file), "--limit", "5", "benchmarks.limit=3", "--dry-run")
    assert found["config"]["benchmarks"]["limit"] == 3


def test_an_endpoint_goes_before_a_run(script, fake_studio):
    write_json(fake_studio.home.root / "endpoints.json", [{
        "name": TUNED, "base_url": "http://127.0.0.1:9/v1", "key": "", "models": ["a"],
        "created_at": 0.0, "created_by": "local"}])
    _, found = script("evaluate", "-m", f"{TUNED}/a", "-d", "sample_instructions", "--dry-run")
    assert found["config"]["models"] == [f"{TUNED}/a"] and found["problems"] == []


def test_a_file_is_the_same_config(script, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("kind: evaluate\nname: mine\nmodels: [starter, aaaaaa]\n"
                    "data: [sample_instructions]\nmetrics: [contains]\n")
    _, found = script("evaluate", str(file), "max_samples=4", "--metric", "numeric", "--dry-run")
    config = found["config"]
    assert (config["name"], config["max_samples"]) == ("mine", 4)
    assert config["models"] == ["starter", TUNED] and config["metrics"] == [{"name": "numeric"}]
    file.write_text("kind: export\n")
    status, found = script("evaluate", str(file))
    assert status == 1 and found["error"]["code"] == "not_an_evaluation"


@pytest.mark.parametrize(("argv", "code"), [
    ((), "missing"), (("-m", "starter"), "nothing_to_ask"),
    ((*BASE, "--metric", "nothing"), "literal_error"),
    ((*BASE, "--metric", "{name: [}"), "metric_syntax"),
    ((*BASE, "-m", "nobody"), "unknown_model"), ((*BASE, "-m", "20261121"), "ambiguous_run"),
    ((*BASE, "--worst", "1", "--changed", "1"), "usage"),
    ((*BASE, "--detach", "--csv", "a.csv"), "usage"), ((*BASE, "--csv", "."), "file_exists"),
    ((*BASE, "models=starter"), "list_type"), ((*BASE, "benchmarks=[gsm8k]"), "model_type"),
    ((*BASE, "odd=1"), "unknown_field"), ((*BASE, "--limit", "0"), "usage"),
    (("-m", "starter", "-d", "no_such_data"), "unknown_dataset")])
def test_what_is_wrong_ends_with_its_code(script, argv, code):
    status, found = script("evaluate", *argv)
    assert status != 0 and found["error"]["code"] == code


def test_it_waits_in_the_queue_like_any_run(script):
    status, found = script("evaluate", *BASE, "--detach", "--name", "later")
    assert status == 0 and found["name"] == "later"
    assert (found["results"], found["comparisons"], found["predictions"]) == ([], [], {})
    status, shown = script("runs", "show", found["id"])
    assert status == 0 and shown["config"]["kind"] == "evaluate" and shown["evaluation"] is None
    assert script("runs", "clone", found["id"])[1]["config"]["models"] == ["starter"]


def test_a_run_that_ends_without_a_report_says_so(script):
    status, found = script("evaluate", *BASE)
    assert status == 0 and found["state"] == "completed" and found["results"] == []


def test_scores_are_shown_with_intervals_and_verdicts(words, done):
    status, out, err = words("evaluate", "--show", "dddddd")
    assert status == 0 and "66.7%" in out and "unclear" in out and "95 %" in out
    assert "a note [/x]" in err and "1 wrong, content" in err


def test_rows_are_shown_as_text(words, done):
    status, out, _ = words("evaluate", "--show", "dddddd", "--worst", "1", "-m", "aaaaaa")
    assert status == 0 and "1 of 3 rows" in out and "eleven" in out and "twelve" not in out
    _, out, _ = words("evaluate", "--show", "dddddd", "--changed", "2")
    assert "[bold]twelve" in out and "\x1b" not in out and "row 2" in out and "row 1" not in out


def test_scripts_get_the_same(script, done):
    status, found = script("evaluate", "--show", "dddddd", "--worst", "2")
    assert status == 0 and found["id"] == done
    assert [one["value"] for one in found["results"]] == [pytest.approx(2 / 3)] * 2
    assert [one["row"] for one in found["rows"]["rows"]] == [3, 1]
    assert script("runs", "show", done)[1]["evaluation"]["models"] == ["starter", TUNED]
    status, found = script("evaluate", "--show", "dddddd", "--worst", "1", "-d", "other")
    assert status == 1 and found["error"]["code"] == "not_evaluated"
    status, found = script("evaluate", "--show", TUNED)
    assert status == 1 and found["error"]["code"] == "no_evaluation"


def test_tables_are_written_once(words, done, tmp_path):
    csv, md = tmp_path / "a.csv", tmp_path / "a.md"
    argv = ("evaluate", "--show", "dddddd", "--csv", str(csv), "--md", str(md))
    assert words(*argv)[0] == 0
    assert csv.read_text().startswith("model,dataset,metric,value") and "| starter |" in \
        md.read_text()
    status, _, err = words(*argv)
    assert status == 1 and "already" in err
    assert words(*argv, "--force")[0] == 0


def test_one_call_evaluates_shows_rows_and_writes_tables(script, words, done, tmp_path, fake_studio,
                                                          monkeypatch):
    ended = fake_studio.run(done)
    monkeypatch.setattr(cli, "follow_run", lambda studio, run: ended)
    csv = tmp_path / "a.csv"
    status, found = script("evaluate", *BASE, "--csv", str(csv), "--worst", "1")
    assert status == 0 and [one["row"] for one in found["rows"]["rows"]] == [3]
    assert csv.read_text().count("\n") == 3
    status, out, err = words("evaluate", *BASE, "--csv", str(csv), "--force", "--changed", "1")
    assert status == 0 and "row 2" in out and f"written: {csv}" in err
    status, found = script("evaluate", *BASE, "--md", str(tmp_path / "no" / "a.md"))
    assert status == 1 and "a.md" in found["error"]["message"] and ".tmp" not in str(found)


def test_an_evaluation_can_be_deleted(script, done):
    assert script("runs", "delete", done, "--yes") == (0, {"id": done, "deleted": True})
