import json

import pytest

from app.home import Home, HomeError
from app.names import new_run_id, slug
from trainer.contract.rundir import is_safe_name


def test_folders_are_private_and_secrets_more_so(tmp_path):
    home = Home.open(tmp_path / "a" / "home")
    for folder in (home.root, home.runs, home.data, home.models, home.tmp, home.trash):
        assert folder.stat().st_mode & 0o777 == 0o700
    home.write_secrets({"HF_TOKEN": "x", "PATH": "/evil", "SWANLAB_API_KEY": ""})
    assert home.secrets.stat().st_mode & 0o777 == 0o600
    assert home.read_secrets() == {"HF_TOKEN": "x"}
    home.append_audit("look", "中", "ann")
    assert home.audit.stat().st_mode & 0o777 == 0o600


def test_each_action_leaves_one_line_without_secrets(tmp_path):
    home = Home.open(tmp_path)
    with home.audited("make", "", "ann") as said:
        said["run"], said["detail"] = "中" * 300, "hf_" + "a" * 20
    with pytest.raises(ValueError, match="token"), home.audited("make", "two", "ann"):
        raise ValueError("token=abcdef0123")
    lines = [json.loads(line) for line in home.audit.read_text().splitlines()]
    assert [(one["run"], one["who"], one["ok"], one["detail"]) for one in lines] == [
        ("中" * 200, "ann", True, "[secret]"),
        ("two", "ann", False, "ValueError: token=[secret]")]
    assert len({one["id"] for one in lines}) == 2


def test_the_home_of_nobody_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HomeError, match="does not have"):
        Home.open("~nobody-of-this-name/home")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path / "env"))
    assert Home.open().root == tmp_path / "env"
    assert Home.open(tmp_path / "given").root == tmp_path / "given"
    monkeypatch.delenv("FINESTRA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.open().root == tmp_path / ".finestra"


def test_a_home_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="FINESTRA_HOME"):
        Home.open(tmp_path / "file" / "home")


@pytest.mark.parametrize("name", ["Support Bot!", "名前", "../../etc", "x" * 300, "", "-", "é ü"])
def test_ids_are_safe_names(name):
    assert is_safe_name(new_run_id(name)) and new_run_id(name) != new_run_id(name)


def test_slugs_say_what_they_name():
    assert slug("Support Bot, v2") == "support-bot-v2" and slug("Ünïcödé") == "unicode"
    assert slug("名前") == "" and len(slug("x" * 99)) == 32
