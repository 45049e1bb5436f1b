"""``finestra models``: lists, one model, download, delete."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.home import Home
from tests.app.models_hub import write_model
from tests.app.test_models_fetch import BIG, stub  # noqa: F401  a fixture
from trainer.contract.models import ModelError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return Home.open()


def run(*words, code=0, given=None):
    done = CliRunner().invoke(app, ["models", *words], input=given)
    assert done.exit_code == code, done.output
    return done


def refused(*words):
    done = CliRunner().invoke(app, ["models", *words])
    assert isinstance(done.exception, ModelError), done.output
    return done.exception


def test_what_is_here(home):
    added = write_model(home.models / "mine")
    found = json.loads(run("list", "--json").stdout)
    assert [one["name"] for one in found["models"]] == ["starter", str(added)]
    assert found["models"][1]["licence"] == "mit" and found["device"]["total_bytes"]
    assert [one["label"] for one in json.loads(run("list", "--search", "mine", "--json").stdout)[
        "models"]] == ["mine"]
    assert "starter" in run("list").stdout
    shown = json.loads(run("show", "starter", "--json").stdout)
    assert shown["losses"]["forbidden"]["code"] == "model_shipped"
    assert "qwen3" in run("show", "starter").stdout
    assert refused("show", "nothing").code == "unknown_model"


def test_the_catalogue(home):
    found = json.loads(run("catalogue", "--family", "phi3", "--json").stdout)["models"]
    assert "microsoft/phi-4" in [one["id"] for one in found]
    assert {one["family"] for one in found} == {"phi3"}
    words = run("catalogue", "--search", "phi-3-mini").stdout
    assert "Phi-3-mini-4k-instruct" in words and "own_code" in words
    assert refused("catalogue", "--fits", "magic").code == "model_option"
    assert refused("catalogue", "--access", "free").code == "model_option"


def test_a_download_and_its_end(home, stub):  # noqa: F811
    found = json.loads(run("download", "team/model", "--json").stdout)
    assert found["name"] == "team/model" and found["size_bytes"] > BIG
    assert json.loads(run("show", "team/model", "--json").stdout)["parameters"] == BIG // 2
    assert refused("download", "team/none").code == "model_not_found"
    assert refused("download", "no name").code == "model_hub_name"
    run("delete", "team/model", "--yes")
    assert refused("show", "team/model").code == "unknown_model"


def test_deleting_asks_first(home):
    added = write_model(home.models / "mine")
    assert refused("delete", str(added), "--json").code == "not_confirmed"
    run("delete", str(added), given="n\n", code=1)
    assert added.is_dir()
    run("delete", str(added), given="y\n")
    assert not added.exists()
    assert refused("delete", "starter", "--yes").code == "model_shipped"
