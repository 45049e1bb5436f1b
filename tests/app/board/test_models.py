"""The Models page: its lists, its downloads, what deleting says, and where Train begins."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import board
from app.board.pages import _models_html
from app.board.pages.models import FILTERS, ModelsPage
from app.board.pages.train import TrainPage
from app.datajobs import Job
from app.models import Kept, Offer
from app.models_delete import Losses
from app.models_files import FolderFacts
from app.models_needs import Need, Room
from app.models_shelf import OnDisk
from app.models_uses import User
from app.runs import RunState
from app.studio import Studio
from tests.app.board.test_html import NASTY, is_clean
from tests.app.models_hub import write_model
from trainer.contract.catalogue import find

ROOM = Room("GPU-1", NASTY, "cuda", "bfloat16", 24 * 2**30)
NEEDS = (Need("lora", 20 * 2**30, True, False), Need("full", 90 * 2**30, False, True))
USER = User("r-1", NASTY, RunState.COMPLETED)


def on_disk(**changes):
    facts = FolderFacts(family=NASTY, parameters=7_620_000_000, dtype=NASTY, quantization=NASTY,
                        context=4096, problem=("weights_broken", NASTY, NASTY))
    base = OnDisk(NASTY, NASTY, "added", "base", Path("/m"), facts, 15_000_000_000, base=NASTY,
                  template=NASTY, licence=NASTY, used_by=(USER,) * 3, checkpoints=2,
                  checkpoint_bytes=2000)
    return replace(base, **changes)


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    opened = Studio.open(tmp_path / "home")
    yield opened
    opened.close()


def test_models_of_nasty_names_are_text():
    one = on_disk()
    lost = Losses(NASTY, 1, (USER,), (USER,), (one,), False, None)
    failed = Job("1", "fetch_model", NASTY, "failed", error=("x", NASTY, NASTY))
    for html in (_models_html.here("en", [Kept(one, NEEDS)], ROOM),
                 _models_html.here("zh", [Kept(replace(one, origin="run", what="adapter"), ())],
                                   ROOM),
                 _models_html.losing("en", one, lost),
                 _models_html.losing("zh", one, replace(lost, forbidden=("x", NASTY, NASTY))),
                 _models_html.work("en", [failed]),
                 _models_html.work("zh", [Job("1", "fetch_model", NASTY, "working")]),
                 _models_html.work("en", [Job("1", "fetch_model", NASTY, "done",
                                              result={"name": NASTY})])):
        assert is_clean(html), html


def test_a_row_says_what_fits_and_offers_what_can_be_done():
    sound = on_disk(facts=FolderFacts(family="qwen3", parameters=600_000_000))
    html = _models_html.here("en", [Kept(sound, NEEDS)], ROOM)
    assert 'data-method="lora" data-fits="true"' in html
    assert 'data-method="full" data-fits="false"' in html and "90 GiB" in html
    assert "./train?model=" in html and 'data-do="delete:' in html and "600 M" in html
    shipped = _models_html.here("en", [Kept(replace(sound, origin="shipped"), NEEDS)], ROOM)
    assert 'data-do="delete:' not in shipped
    half = _models_html.here("en", [Kept(replace(sound, facts=FolderFacts(
        problem=("model_incomplete", "x", "y"))), ())], ROOM)
    assert 'data-do="download:' in half and "./train" not in half


def test_the_catalogue_shows_its_first_rows_and_what_stands_in_the_way():
    offers = [Offer(find(name), NEEDS, False) for name in (
        "google/gemma-2-2b-it", "microsoft/Phi-3-mini-4k-instruct", "openai/gpt-oss-20b",
        "Qwen/Qwen3-30B-A3B")]
    html = _models_html.catalogue("en", offers, ROOM, False)
    assert html.count('role="listitem"') == 4 and "data-do=\"all:" not in html
    assert ">gated<" in html and "runs code of its own" in html and "stored quantized" in html
    assert "3.3 B active" in html and "template gemma2" in html
    assert html.count("./train?model=") == 2, "not what cannot be trained"
    many = _models_html.catalogue("zh", offers * 30, ROOM, False)
    assert many.count('role="listitem"') == _models_html.FIRST and "显示全部 120 个" in many
    assert "ModelScope 下载" in many and 'data-do="download:ms:Qwen/Qwen3-30B-A3B"' in many
    assert _models_html.catalogue("en", offers * 30, ROOM, True).count('role="listitem"') == 120
    assert "No model fits" in _models_html.catalogue("en", [], ROOM, False)


def test_a_download_is_shown_with_its_progress():
    job = Job("1", "fetch_model", "team/model", "working", 2e9, 8e9, started_at=1.0)
    html = _models_html.work("en", [job])
    assert "2.0 GB of 8.0 GB" in html and 'aria-valuenow="25"' in html
    assert 'data-do="cancel:1"' in html
    again = replace(job, id="2", asked_at=5.0)
    failed = replace(job, state="failed", error=("model_busy", "m", "a"))
    assert "f-bad" not in _models_html.work("en", [failed, again]), "it was started again"
    assert "模型站正忙" in _models_html.work("zh", [failed])
    ended = replace(failed, ended_at=100.0)
    assert _models_html.work("en", [ended], 200.0)
    assert _models_html.work("en", [ended], 100.0 + _models_html.TOLD_S) == ""


def request(**query):
    return SimpleNamespace(query_params=query)


def test_the_page_is_small_and_has_its_elements(studio):
    for locale in ("en", "zh"):
        config = board.build(studio, locale).get_config_file()
        by_id = {c["id"]: c["props"].get("elem_id") for c in config["components"]}
        found = {by_id[key] for key in config["page"]["models"]["components"]}
        assert len(found) <= 150
        assert {"models-tabs", "models-table", "models-work", "models-source", "models-go",
                "models-losing", "models-delete-confirm", "models-delete-cancel", "data-do",
                *(f"models-{name}" for name in FILTERS)} <= found


@pytest.fixture
def page(studio):
    board.with_a_loop(lambda: board.build(studio))
    made = ModelsPage(studio, "en")
    return made


def test_the_address_says_what_is_shown(page):
    view, everything, tabs, adding, *filters = page._load(request(
        view="catalogue", family="qwen3", search="8b", all="1"))
    assert (view, everything) == ("catalogue", "1")
    assert 'id="models-catalogue" aria-current="page"' in tabs
    assert [one["value"] for one in filters] == ["8b", "qwen3", "", "", ""]
    assert page._load(request(view="<script>"))[0] == "here"
    family = page._load(request())[5]
    assert [value for _, value in family["choices"]] == ["", "qwen3"], "what is here"
    assert adding["visible"]


def test_the_list_is_drawn_when_there_is_a_reason(page, studio):
    drawn, work, seen = page._draw("here", "", "", "", "", "", "", "")
    assert 'data-model="starter"' in drawn and work == ""
    again = page._draw("here", "", seen, "", "", "", "", "")
    assert again[2] == seen and not isinstance(again[0], str), "nothing new"
    drawn, _, later = page._draw("here", "", seen, "nothing like it", "", "", "", "")
    assert "No model fits" in drawn and later != seen
    drawn, _, _ = page._draw("catalogue", "", seen, "Qwen3-8B", "", "", "", "")
    assert 'data-model="Qwen/Qwen3-8B"' in drawn


def test_a_model_that_comes_or_goes_elsewhere_is_a_reason(page, studio):
    empty = page._draw("here", "", "", "", "", "", "", "")
    added = write_model(studio.home.models / "mine")
    drawn, _, seen = page._draw("here", "", empty[2], "", "", "", "", "")
    assert str(added) in drawn
    added.rename(studio.home.trash / "mine")
    drawn, _, _ = page._draw("here", "", seen, "", "", "", "", "")
    assert isinstance(drawn, str) and str(added) not in drawn


def test_a_model_is_deleted_after_asking(page, studio):
    added = write_model(studio.home.models / "mine")
    said, asking, losing, doomed, really, _ = page._act(f"delete:{added}#1")
    assert said == "" and asking["visible"] and really["visible"] and doomed == str(added)
    assert "Delete mine?" in losing and "No run names it." in losing
    before = page._draw("here", "", "", "", "", "", "", "")
    said, hidden, seen = page._delete(doomed)
    assert seen == "", "the list is drawn anew"
    drawn, _, _ = page._draw("here", "", before[2], "", "", "", "", "")
    assert str(added) in before[0] and isinstance(drawn, str) and str(added) not in drawn, \
        "also where a tick that was under way has put back what was seen"
    assert "mine is deleted" in said and not hidden["visible"] and not added.exists()
    _, asking, losing, _, really, _ = page._act("delete:starter#2")
    assert "comes with the studio" in losing and not really["visible"] and asking["visible"]
    assert "There is no model" in page._act("delete:gone#3")[0]


def test_downloads_begin_and_end_on_the_page(page, studio, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert page._act("download:team/model#1")[0] == ""
    (job,) = studio.library.jobs.of()
    ended = studio.library.jobs.wait(job.id, 20)
    assert ended.error[0] == "model_offline"
    _, work, _ = page._draw("here", "", "", "", "", "", "", "")
    assert "could not be downloaded" in work and "HF_HUB_OFFLINE" in work
    assert "not the name of a model" in page._fetch("no name")[0]
    assert "Nothing is named" in page._fetch(" ")[0]
    assert page._act("all:#5")[5] == "1"
    assert "no such work" in page._act("cancel:none#6")[0]


def test_train_begins_with_the_model_of_the_address(studio):
    said, _, filling = TrainPage(studio, "en")._load("", request(model="Qwen/Qwen3-0.6B"))
    assert "starts from Qwen3-0.6B" in said
    assert "Qwen/Qwen3-0.6B" in filling
    from html import unescape

    told = json.loads(unescape(filling.partition('data-filled="')[2].partition('"')[0]))
    assert told["values"]["model.name_or_path"] == "Qwen/Qwen3-0.6B"
    assert told["values"]["name"] == "Qwen3-0.6B"
