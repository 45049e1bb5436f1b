"""``finestra data``: one document for scripts, a few lines for people, nothing changed unasked."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli
from tests.trainer.data.hub_stub import hub_stub
from trainer.contract.places import starter

ROWS = [{"question": f"What is {n} + {n}?", "answer": f"It is {n + n}."} for n in range(30)]


def lines(rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


@pytest.fixture
def finestra(home, monkeypatch, capsys):
    """Run the command line over an empty home; returns (status, standard output, error)."""
    monkeypatch.setenv("FINESTRA_HOME", str(home))

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["finestra", "data", *map(str, argv)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def script(finestra):
    """The same, with --json: returns (status, document)."""
    def run(*argv):
        status, text, _ = finestra(*argv, "--json")
        return status, json.loads(text)

    return run


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.jsonl"
    path.write_text(lines(ROWS))
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(lines([ROWS[0], *['{"question": "q"}'] * 25, "{torn", *ROWS]))
    return path


def test_check_is_the_document_of_the_contract(script, good, bad):
    status, document = script("check", good)
    assert status == 0 and (document["rows"], document["usable"]) == (30, 30)
    assert document["shape"] == "question_answer"
    assert document["mapping"]["prompt"] == "question"
    assert document["problems"] == [] and document["problem_counts"] == {}
    assert set(document["tokens"]) == {"p50", "p95", "max", "over_max_length"}
    assert document["tokens"]["p50"] > 2
    assert sum(rows for _, _, rows in document["lengths"]["histogram"]) == 30

    status, document = script("check", bad)
    assert status == 1 and (document["rows"], document["usable"]) == (57, 31)
    first = document["problems"][0]
    assert {"row", "column", "code", "message", "severity"} == set(first)
    assert (first["row"], first["severity"]) == (2, "error")
    assert len([p for p in document["problems"] if p["severity"] == "error"]) == 26
    assert [p["row"] for p in document["problems"] if p["code"] == "not_json"] == [27]


def test_people_see_the_first_of_each_kind(finestra, bad):
    status, text, _ = finestra("check", bad)
    assert status == 1 and "31 of 57 rows can be used" in text
    assert "missing_column: 25 rows" in text and "not_json: 1 row" in text
    assert text.count("has no 'answer'") == 20 and "5 more" in text
    assert len(text.splitlines()) < 80


@pytest.mark.faults
def test_a_mapping_an_objective_and_a_length(script, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(lines([{"tonart": "a", "klang": "b"}]))
    status, document = script("check", path)
    assert status == 1 and document["error"]["code"] == "unknown_shape"
    mapping = ("--map", "prompt=tonart", "--map", "response=klang")
    status, document = script("check", path, *mapping)
    assert status == 0 and document["usable"] == 1
    assert document["mapping"]["prompt"] == "tonart"
    status, document = script("check", path, *mapping, "--max-length", 3)
    assert status == 0 and document["tokens"]["over_max_length"] == 1
    status, document = script("check", path, *mapping, "--objective", "dpo")
    assert status == 1 and document["error"]["message"]
    status, document = script("check", path, "--map", "nonsense")
    assert status == 1 and document["error"]["code"] == "mapping"
    status, document = script("preview", path, *mapping)
    assert status == 0 and "a" in document["text"]


@pytest.mark.faults
def test_a_named_template_and_a_folder_with_only_a_tokenizer(script, good, tmp_path):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(starter() / name, folder / name)
    status, document = script("preview", good, "--row", 3, "--model", folder,
                              "--template", "chatml")
    assert status == 0
    assert "<|im_start|>user\nWhat is 2 + 2?<|im_end|>" in document["text"]
    assert "".join(s["text"] for s in document["segments"]) == document["text"]
    trained = "".join(s["text"] for s in document["segments"] if s["trained"])
    assert trained.startswith("It is 4.<|im_end|>")
    assert len(document["input_ids"]) == len(document["labels"])
    assert script("check", good, "--model", folder, "--template", "chatml")[1]["tokens"]["p50"]
    status, document = script("check", good, "--template", "no-such")
    assert status == 1 and document["error"]["code"]
    status, document = script("check", good, "--model", tmp_path / "nothing")
    assert status == 1 and document["error"]["code"]


def test_training_rows_in_the_evaluation_set_are_found(script, finestra, good, tmp_path):
    held = tmp_path / "held.jsonl"
    held.write_text(lines([ROWS[3], {"question": "new", "answer": "one"}]))
    status, document = script("check", held, "--against", good, "--no-tokens")
    assert status == 0 and document["leaks"]["leaked"] == 1
    assert document["tokens"] == {"p50": None, "p95": None, "max": None, "over_max_length": None}
    assert "1 of 2 rows stand in" in finestra("check", held, "--against", good)[1]


@pytest.mark.faults
def test_preview_of_prompts_and_texts_with_a_class(script, finestra):
    status, text, _ = finestra("preview", "sample_questions")
    assert status == 0 and "none of them learned: the model answers it" in text
    assert "reference: 30" in text and "⟦" not in text
    status, document = script("preview", "sample_chat", "--objective", "distillation")
    assert (document["objective"], document["rows"], document["trained_tokens"]) == (
        "distillation", "prompts", 0)
    status, text, _ = finestra("preview", "sample_classes", "--objective", "classification")
    assert status == 0 and "its class is" in text and "class: food" in text
    assert "<|im_start|>" not in text
    status, document = script("check", "sample_classes", "--objective", "classification")
    assert (status, document["rows"]) == (0, 600)
    assert document["lengths"]["objective"] == "classification"
    status, document = script("check", "sample_questions", "--objective", "sft")
    assert status != 0 and "Choose objective: grpo, rloo or distillation" in json.dumps(document)


def test_preview_shows_what_is_learned(script, finestra, good, bad):
    status, text, _ = finestra("preview", good, "--row", 2)
    assert status == 0 and "⟦It is 2." in text and "tokens" in text
    status, document = script("preview", good, "--row", 2, "--train-on-prompt")
    assert status == 0 and all(s["trained"] for s in document["segments"])
    for source, row in ((bad, 2), (good, 31)):
        status, document = script("preview", source, "--row", row)
        assert status == 1 and str(row) in document["error"]["message"]
    status, text, _ = finestra("preview", "sample_preferences")
    assert status == 0 and "--- chosen" in text and "--- rejected" in text


@pytest.mark.faults
def test_a_dataset_lives_through_its_versions(script, finestra, bad, home):
    before = bad.read_bytes()
    status, document = script("add", bad, "--name", "mine", "--copy")
    assert status == 0 and document["name"] == "mine"
    assert Path(document["path"]).is_relative_to(home)
    status, document = script("fix", "mine", "--drop-bad", "--deduplicate", "exact")
    assert status == 0 and (document["rows_in"], document["rows_out"]) == (57, 30)
    assert document["version"] == 2 and document["dropped"]["duplicate"] == 1
    assert script("check", "mine")[0] == 0 and script("check", "mine@1")[0] == 1
    status, document = script("versions", "mine")
    assert [v["current"] for v in document["versions"]] == [False, True]
    status, document = script("split", "mine", "--size", "1", "--seed", "7")
    assert (document["train_rows"], document["eval_rows"]) == (29, 1)
    assert document["eval"] == "mine-eval"
    assert script("restore", "mine", "1")[1]["version"] == 4
    assert script("check", "mine")[1]["rows"] == 57
    assert "mine@4" in finestra("versions", "mine")[1]

    status, document = script("delete", "mine")
    assert status == 1 and document["error"]["code"] == "not_confirmed"
    assert script("delete", "mine", "--yes") == (0, {"deleted": "mine"})
    assert script("check", "mine")[1]["error"]["code"] == "unknown_dataset"
    assert script("check", "mine-eval")[0] == 0
    assert bad.read_bytes() == before
    actions = [json.loads(line) for line in (home / "audit.jsonl").read_text().splitlines()]
    assert [a["action"] for a in actions][:4] == ["add_dataset", "fix_dataset", "split_dataset",
                                                  "restore_dataset"]
    assert all(a["ok"] for a in actions[:4])


def test_adding_leaves_files_where_they_are(script, good, home):
    status, document = script("add", good)
    assert status == 0 and document == {"name": "good", "path": str(good)}
    assert [p for p in (home / "data").iterdir() if p.suffix == ".jsonl"] == []
    assert script("delete", "good", "--yes")[0] == 0 and good.exists()


def test_llamafactorys_folder_in_one_step(script, finestra, tmp_path, good):
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copyfile(good, folder / "a.jsonl")
    (folder / "dataset_info.json").write_text(json.dumps(
        {"a": {"file_name": "a.jsonl",
               "columns": {"prompt": "question", "response": "answer"}}}))
    assert script("add", folder) == (0, {"added": ["a"], "problems": []})
    (folder / "dataset_info.json").write_text(json.dumps(
        {"a": {"file_name": "a.jsonl"}, "b": {"file_name": "gone.jsonl"}}))
    status, document = script("add", folder, "--folder")
    assert status == 1 and document["added"] == ["a-2"]
    assert "gone.jsonl" in document["problems"][0]["message"]
    status, document = script("add", tmp_path, "--folder")
    assert status == 1 and document["error"]["code"] == "no_dataset_info"


def test_exports(script, good, tmp_path):
    path = tmp_path / "out.csv"
    assert script("export", good, path) == (0, {"path": str(path), "rows": 30})
    assert path.read_text().splitlines()[:2] == ["question,answer", "What is 0 + 0?,It is 0."]
    assert script("export", good, path)[1]["error"]["code"] == "file_exists"
    assert script("export", good, path, "--force")[0] == 0


@pytest.mark.parametrize("argv", [
    ("fix", "sample_chat"), ("fix", "nobody", "--drop-bad"),
    ("fix", "sample_chat", "--deduplicate", "magic"), ("fix", "sample_chat", "--include", "("),
    ("split", "sample_chat", "--size", "0"), ("split", "sample_chat", "--size", "500000"),
    ("delete", "sample_chat", "--yes"), ("restore", "sample_chat", "1"), ("versions", "nobody"),
    ("add", "/no/such.jsonl"), ("add", "sample_chat"), ("export", "sample_chat", "x.pdf"),
    ("check", ""), ("check", "a/b.jsonl"), ("preview", "sample_chat", "--row", "0"), ("check",)])
def test_every_refusal_is_a_document_with_a_status(script, argv):
    status, document = script(*argv)
    assert status in (1, 2)
    assert document["error"]["message"] and document["error"]["code"]


def test_a_hub_dataset_that_cannot_come_is_said_kindly(script, home, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for verb in ("check", "preview", "add"):
        status, document = script(verb, "team/questions")
        assert status == 1 and document["error"]["code"] == "hub_data_offline"
        assert "HF_HUB_OFFLINE" in document["error"]["advice"]


@pytest.mark.faults
def test_a_hub_dataset_is_fetched_added_and_read_offline(script, home, monkeypatch):
    from huggingface_hub import close_session, constants

    (home).mkdir(mode=0o700, exist_ok=True)
    (home / "secrets.json").write_text('{"HF_TOKEN": "hf_secret"}')
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_stub() as stub:
        stub.repos["team/questions"] = {"train.jsonl": lines(ROWS).encode(),
                                        "test.jsonl": lines(ROWS[:3]).encode()}
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", stub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                            stub.url + "/{repo_id}/resolve/{revision}/{filename}")
        status, document = script("add", "team/questions", "--split", "test")
        close_session()
    assert status == 0 and document["name"] == "questions"
    signs = {(method, path): headers.get("Authorization", headers.get("authorization"))
             for method, path, headers in stub.asked}
    assert set(signs.values()) == {"Bearer hf_secret"}, signs
    assert "HF_TOKEN" not in os.environ
    status, document = script("check", "questions")
    assert status == 0 and document["rows"] == 3
    assert script("preview", "questions", "--row", 3)[0] == 0
    assert script("check", "team/questions", "--split", "test")[1]["rows"] == 3
    entry = json.loads((home / "data" / "dataset_info.json").read_text())["questions"]
    assert entry == {"hf_hub_url": "team/questions", "split": "test"}
    assert "hf_secret" not in (home / "audit.jsonl").read_text()


@pytest.mark.faults
def test_control_characters_of_a_dataset_stay_out_of_the_terminal(finestra, tmp_path):
    path = tmp_path / "e.jsonl"
    path.write_text(lines([{"question": "q", "answer": ""}, {"\x1b[31mquestion": "x" * 9999},
                           ROWS[0], {"question": "\x1b]0;title\x07 [red]hi[/red]",
                                     "answer": "a"}]))
    _, text, error = finestra("check", path)
    _, shown, _ = finestra("preview", path, "--row", 4)
    assert "\x1b]0" not in text + error + shown and "\x1b[31m" not in text + error
    assert "[red]hi[/red]" in shown


@pytest.mark.faults
def test_ctrl_c_ends_a_check_cleanly(tmp_path, home):
    path = tmp_path / "pipe.jsonl"
    row = lines(ROWS)
    with path.open("w") as file:
        for _ in range(40_000):
            file.write(row)
    # A test runner in the background of a shell ignores SIGINT, and its children with it.
    listening = ("import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
                 "runpy.run_module('app', run_name='__main__')")
    process = subprocess.Popen(
        [sys.executable, "-c", listening, "data", "check", str(path), "--no-tokens"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FINESTRA_HOME": str(home)})
    try:
        reports = home / "cache" / "reports"
        while process.poll() is None and not (reports.is_dir() and any(reports.iterdir())):
            pass
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in error
    assert not any(reports.iterdir())
