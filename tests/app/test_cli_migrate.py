"""``finestra import`` and ``finestra script``."""

import ast
import json

import pytest
import yaml

from app import cli
from trainer.contract.config import load_yaml, parse


@pytest.fixture
def finestra(home, monkeypatch, capsys):
    monkeypatch.setenv("FINESTRA_HOME", str(home))

    def run(*argv):
        monkeypatch.setattr("sys.argv", ["finestra", *map(str, argv)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    return run


def test_import_prints_one_document(finestra, tmp_path):
    file = tmp_path / "sft.yaml"
    file.write_text("stage: sft\nmodel_name_or_path: a/b\ndataset: sample_chat\nlora_rank: 4\n")
    status, out = finestra("import", file, "--json", "--output", tmp_path / "run.yaml")
    document = json.loads(out)
    assert status == 0 and document["config"]["tuner"]["r"] == 4
    assert {"key", "action", "reason"} <= set(document["report"][0])
    assert parse(load_yaml((tmp_path / "run.yaml").read_text())).tuner.r == 4


def test_import_prints_yaml_for_people(finestra, tmp_path):
    file = tmp_path / "sft.yaml"
    file.write_text("stage: sft\nmodel_name_or_path: a/b\ndataset: sample_chat\n")
    status, out = finestra("import", file)
    assert status == 0 and parse(yaml.safe_load(out)).model.name_or_path == "a/b"


@pytest.mark.parametrize("text", ["export_dir: x\nmodel_name_or_path: a/b\n", "stage: [",
                                  "do_predict: true\nmodel_name_or_path: a\ndataset: b\n"])
def test_import_of_what_does_not_train_fails(finestra, tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    status, out = finestra("import", file, "--json")
    assert status == 1 and json.loads(out)
    assert finestra("import", tmp_path / "missing.yaml")[0] == 1


def test_script_of_a_config(finestra, tmp_path):
    file, target = tmp_path / "run.yaml", tmp_path / "train.py"
    file.write_text("objective: dpo\ndata: {train: [sample_preferences]}\n")
    assert finestra("script", file, "--output", target)[0] == 0
    assert "DPOTrainer" in target.read_text()
    status, out = finestra("script", file, "--json")
    assert status == 0 and ast.parse(json.loads(out)["script"])
    assert finestra("script", "no-such-run", "--json")[0] == 1
