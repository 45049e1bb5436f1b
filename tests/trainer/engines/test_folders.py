"""What names mean by the folders of a home alone."""

import pytest

from trainer.contract.files import write_json
from trainer.contract.rundir import RunDir
from trainer.engines.errors import EngineError
from trainer.engines.folders import base_folder, find_run, resolver_of


def a_run(runs, run_id="r-1", text="name: mine\nobjective: dpo\n", state=""):
    run = RunDir(runs / run_id)
    run.path.mkdir(parents=True)
    run.config.write_text(text)
    if state:
        write_json(run.state, {"state": state})
    return run


def test_a_run_is_what_its_folder_says(tmp_path):
    a_run(tmp_path, state="stopped")
    found = find_run(tmp_path, "r-1")
    assert found is not None
    assert (found.name, found.objective, found.state) == ("mine", "dpo", "stopped")


@pytest.mark.parametrize("run_id", ["none", "../x", "", "a/b"])
def test_what_is_no_run_is_none(tmp_path, run_id):
    assert find_run(tmp_path, run_id) is None


def test_a_run_without_a_studio_has_ended_when_it_has_weights(tmp_path):
    run = a_run(tmp_path)
    assert find_run(tmp_path, "r-1").state == "unfinished"
    run.adapter.mkdir()
    assert find_run(tmp_path, "r-1").state == "completed"


def test_a_broken_config_loses_nothing_else(tmp_path):
    a_run(tmp_path, text="name: [", state="failed")
    found = find_run(tmp_path, "r-1")
    assert found.name == "r-1" and found.state == "failed"


def test_other_kinds_have_their_kind(tmp_path):
    a_run(tmp_path, text="kind: merge\nname: m\n")
    assert find_run(tmp_path, "r-1").objective == "merge"


def test_bases_are_the_starter_and_absolute_folders(tmp_path):
    assert (base_folder("starter") / "config.json").is_file()
    assert base_folder(str(tmp_path)) is None
    file = tmp_path / "x.gguf"
    assert base_folder(str(file)) is None
    file.write_bytes(b"GGUF")
    assert base_folder(str(file)) == file
    assert base_folder("no/such-model") is None
    assert base_folder("~nobody-of-this-name/model") is None


def test_a_resolver_tells_what_it_does_not_know(tmp_path):
    with pytest.raises(EngineError, match="no model"):
        resolver_of(tmp_path).resolve("no/such-model")
    assert resolver_of(tmp_path).resolve("starter").kind == "base"
