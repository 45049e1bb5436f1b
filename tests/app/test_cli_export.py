"""``finestra export`` and ``finestra merge``: names, settings, what is refused, what is shown."""

import json
import sys

import pytest

from app import cli
from app.cli_export import _weighted
from tests.app.test_kindfit import run_of
from trainer.contract.files import write_json
from trainer.contract.rundir import RunDir


@pytest.fixture
def script(fake_studio, home, monkeypatch, capsys):
    """Run the command line over a home with three runs; returns (status, document)."""
    for name in ("20261121-bot-aaaaaa", "20261121-other-bbbbbb", "20261122-bot-cccccc"):
        run_of(fake_studio.home, name)
    fake_studio.reconcile()
    monkeypatch.setenv("FINESTRA_HOME", str(home))

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["finestra", *argv, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, json.loads(capsys.readouterr().out)

    return run


def test_a_part_of_an_id_is_enough_and_settings_are_fields(script):
    status, found = script("export", "aaaaaa", "-f", "gguf-q8_0", "-f", "merged",
                           "dtype=bfloat16", "push.folder=out", "--dry-run")
    config = found["config"]
    assert status == 0 and config["source"] == "20261121-bot-aaaaaa"
    assert config["name"] == "20261121-bot-aaaaaa export" and config["dtype"] == "bfloat16"
    assert config["formats"] == ["gguf-q8_0", "merged"]
    assert config["push"]["folder"].startswith("/")


def test_without_formats_it_is_merged_and_a_checkpoint_keeps_its_name(script):
    status, found = script("export", "bbbbbb/checkpoint-4", "--dry-run")
    assert status == 1 and found["error"]["code"] == "unknown_checkpoint"
    assert found["config"]["source"] == "20261121-other-bbbbbb/checkpoint-4"
    assert found["config"]["formats"] == ["merged"]


def test_an_unclear_name_is_not_guessed(script):
    status, found = script("export", "20261121", "--dry-run")
    assert status == 1 and found["error"]["code"] == "ambiguous_run"


@pytest.mark.parametrize(("argv", "code"), [
    (("export", "aaaaaa", "-f", "gguf-q9"), "literal_error"),
    (("export", "aaaaaa", "dtyp=x"), "unknown_field_close"),
    (("export", "nothing-here"), "base_not_here"), (("export", "aaaaaa", "odd"), "override_syntax"),
    (("merge", "aaaaaa"), "too_short"), (("merge", "aaaaaa", "bbbbbb=0", "aaaaaa"), "source_twice"),
    (("merge", "aaaaaa", "bbbbbb", "method=nothing"), "literal_error")])
def test_what_is_wrong_ends_with_its_code(script, argv, code):
    status, found = script(*argv, "--dry-run")
    assert status == 1 and found["error"]["code"] == code


def test_weights_and_settings_of_a_merge(script):
    status, found = script("merge", "aaaaaa=0.7", "bbbbbb=-3e-1", "method=ties", "density=0.3",
                           "--dry-run")
    config = found["config"]
    assert status == 0 and (config["method"], config["density"]) == ("ties", 0.3)
    assert [(one["name"], one["weight"]) for one in config["sources"]] == [
        ("20261121-bot-aaaaaa", 0.7), ("20261121-other-bbbbbb", -0.3)]


def test_a_weight_is_a_number_after_the_last_sign():
    assert _weighted("a=0.5") == {"name": "a", "weight": "0.5"}
    assert _weighted("/x/r=2/b") == {"name": "/x/r=2/b"} and _weighted("a") == {"name": "a"}


def test_what_was_written_is_shown_with_how_it_compares(fake_studio, home, monkeypatch, capsys):
    run_of(fake_studio.home, "out")
    run = RunDir(fake_studio.home.runs / "out")
    run.export.mkdir()
    write_json(run.export / "export.json", {
        "source": "bot", "made_at": 1.0, "formats": ["gguf-q8_0"], "pieces": {"gguf-q8_0": {
            "path": "gguf/a.gguf", "files": [["gguf/a.gguf", 7, "00"]], "bytes": 7_000_000,
            "notes": ["a note"]}}})
    side = {"program": "llama.cpp", "verdict": "close", "prompts": [{}, {}], "prompts_same": 2,
            "answers_same": 1, "mean": 0.0123, "reasons": ["a near tie"], "advice": ""}
    write_json(run.export / "parity.json", {"artefacts": [{"format": "q8_0", "verdict": "close",
                                                           "sides": [side]}]})
    fake_studio.reconcile()
    monkeypatch.setenv("FINESTRA_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["finestra", "runs", "show", "out", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    found = json.loads(capsys.readouterr().out)["export"]
    assert found["pieces"][0]["parity"]["sides"][0]["answers_same"] == 1
    assert found["pieces"][0]["files"] == ["gguf/a.gguf"]

    from app.cli_export import _show

    _show(found)
    told = capsys.readouterr()
    assert "1 of 2 same" in told.out and "close" in told.out and "7.0 MB" in told.out
    assert "a note" in told.err and "a near tie" in told.err
