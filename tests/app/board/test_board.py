"""The board as a whole: light, mounted in both languages, pages small."""

import json
import re
import sys
from html import unescape
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app import board
from app.board import presets
from app.board.pages.run import RunPage
from app.board.pages.train import TrainPage, _kept
from app.studio import Studio
from trainer.contract.config import all_fields, parse
from trainer.data.reading.sources import ENDINGS

ELEMENTS = {
    "": ["runs-search", "runs-state", "runs-table", "runs-compare"],
    "train": ["train-values", "train-ask", "train-fill", "train-upload", "train-start",
              "train-reset", "train-import",
              "train-yaml-in", "train-yaml-fill", "train-fit", "train-problems"],
    "run": ["run-hero", "run-stop", "run-resume", "run-delete", "run-delete-confirm",
            "run-delete-cancel", "run-health", "run-charts", "run-samples", "run-checkpoints",
            "run-log-search", "run-log-follow", "run-chat-card", "run-chat-open"],
    "data": ["data-table", "data-add", "data-add-way", "data-add-source", "data-add-go", "data-do",
             "data-hero", "data-work", "data-problems", "data-recognised", "data-lengths",
             "data-row", "data-row-back", "data-row-next", "data-row-bad", "data-row-view",
             "data-view-name_or_path", "data-view-template", "data-view-max_length",
             "data-view-train_on_prompt", "data-view-mask_history", "data-map-prompt",
             "data-map-role_tag", "data-mapping-save", "data-mapping-reset", "data-effect",
             "data-fix-go", "data-split-go", "data-versions", "data-check", "data-delete",
             "data-delete-confirm", "data-delete-cancel"],
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    opened = Studio.open(tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(studio):
    return {locale: board.build(studio, locale) for locale in ("en", "zh")}


@pytest.fixture(scope="module")
def client(studio):
    app = FastAPI()
    board.mount(app, studio)
    with TestClient(app, base_url="http://127.0.0.1") as opened:
        yield opened


def test_pages_are_small_and_have_their_elements(pages):
    for blocks in pages.values():
        config = blocks.get_config_file()
        by_id = {c["id"]: c["props"].get("elem_id") for c in config["components"]}
        for name, wanted in ELEMENTS.items():
            found = config["page"][name]["components"]
            assert len(found) <= 150
            assert set(wanted) <= {by_id[key] for key in found}


def test_both_languages_have_the_same_events(pages):
    """A page that stays open while the language is switched elsewhere goes on working."""
    def shape(blocks):
        return [(len(d["inputs"]), len(d["outputs"]), d["queue"])
                for d in blocks.get_config_file()["dependencies"]]
    assert shape(pages["en"]) == shape(pages["zh"])


def test_nothing_is_offered_as_an_api(pages):
    assert all(d["api_visibility"] == "private"
               for d in pages["en"].get_config_file()["dependencies"])


@pytest.mark.parametrize("path", ["/", "/train", "/run?id=x"])
def test_pages_answer_in_the_visitors_language(client, path):
    english = client.get(path, headers={"accept-language": "en"})
    chinese = client.get(path, headers={"cookie": "finestra_locale=zh"})
    assert english.status_code == chinese.status_code == 200
    assert '<html\n\tlang="en"' in english.text and 'lang="zh-CN"' in chinese.text
    assert english.headers["cache-control"] == "no-store"
    assert "新建运行" in chinese.text or "检查点" in chinese.text or "运行" in chinese.text
    assert not re.search(r'(?:src|href)="https?://', english.text)


def test_assets_are_served(client):
    head = client.get("/").text
    for address in re.findall(r'\./(board-assets/[\w.]+\?v=\w+)', head):
        assert client.get("/" + address).status_code == 200


def test_the_quickstart_comes_first_and_every_recipe_is_valid():
    names = presets.names()
    assert names[0] == "quickstart"
    for name in names:
        parse(presets.read(name))
    assert presets.read("../quickstart") is None and presets.read("nothing") is None


def test_an_unfinished_form_is_kept_for_its_own_address():
    values = {path: "" for path in all_fields()}
    draft = json.dumps({"address": {"clone": "", "preset": "q"}, "values": values})
    assert _kept(draft, {"clone": "", "preset": "q"}) == values
    assert _kept(draft, {"clone": "", "preset": ""}) is None
    for broken in ("", "[]", "{", '{"address": {"clone": "", "preset": "q"}, "values": {}}'):
        assert _kept(broken, {"clone": "", "preset": "q"}) is None


def test_start_twice_makes_one_run_and_a_wrong_form_makes_none(tmp_path):
    fake = Path(__file__).resolve().parents[2] / "fake_trainer.py"
    studio = Studio.open(tmp_path, trainer_argv=[sys.executable, str(fake)])
    studio.tick = lambda: None
    page = TrainPage(studio, "en")
    from app.board.forms import show_all

    sent = json.dumps(show_all({"name": "twice"}))
    first, _ = page._start("key", sent)
    again, _ = page._start("key", sent)
    assert first == again and len(studio.runs()) == 1
    wrong = json.dumps(show_all({"training": {"learning_rate": "abc"}}))
    going, problems = page._start("key", wrong)
    assert going == "" and "abc" in problems and len(studio.runs()) == 1
    run_page = RunPage(studio, "en")
    run_page.panels = {}
    parts = run_page._tick(first, "", "", True)
    assert "next in line" in parts[0] and parts[-1]
    unchanged = run_page._tick(first, parts[-1], "", True)
    assert not [part for part in unchanged if isinstance(part, str)]
    assert "There is no run" in run_page._tick("gone", "", "", True)[1]
    studio.close()


def test_an_upload_gets_a_free_name_and_the_page_says_which(studio, tmp_path):
    page = TrainPage(studio, "en")
    path = tmp_path / "my data (1).jsonl"
    path.write_text('{"question": "q", "answer": "a"}\n')
    for name in ("my-data-1", "my-data-1-2"):
        said, filling = page._add(str(path), json.dumps({"data.train": ["sample_instructions"]}))
        assert f"Added as {name}." in said
        told = json.loads(unescape(re.search(r'data-filled="([^"]*)"', filling)[1]))
        assert told["values"] == {"data.train": [name]}
        assert name in [value for _, value in told["known"]["choices"]["data.train"]]


def test_the_advice_of_an_error_is_shown_once(studio, tmp_path):
    path = tmp_path / "empty.jsonl"
    path.touch()
    said, _ = TrainPage(studio, "en")._add(str(path), "")
    assert said.count("Choose a file with rows.") == 1


def test_the_page_takes_what_can_be_read(pages):
    (button,) = [block for block in pages["en"].blocks.values()
                 if getattr(block, "elem_id", "") == "train-upload"]
    assert button.file_types == list(ENDINGS)
