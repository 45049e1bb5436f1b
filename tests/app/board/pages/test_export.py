"""The Export and Merge pages: what stands in them, what they say, what they queue."""

import json
import re
import shlex
from html import unescape
from types import SimpleNamespace

import pytest

from app import board
from app.board.i18n.methods import exporting
from app.board.pages import _export_form, export, merge
from app.board.pages._export_page import from_browser
from app.board.pages.export import ExportPage
from app.board.pages.merge import MergePage
from app.cli_export import _weighted
from app.runs import RunState
from tests.app.board.test_html import NASTY, Reader
from trainer.contract.config import apply_overrides, load_yaml
from trainer.contract.kinds import parse_any
from trainer.contract.kinds.export import FORMATS, ExportConfig
from trainer.contract.kinds.merge import MergeConfig, MergeMethod

RUN = {"name": "mine", "model": {"name_or_path": "starter"},
       "data": {"train": ["sample_instructions"]}, "training": {"max_steps": 2}}


def completed(studio, **changes):
    """A run that has ended, by its row alone; nothing was trained."""
    run = studio.create({**RUN, **changes})
    with studio.store.write() as writer:
        for state in (RunState.STARTING, RunState.RUNNING, RunState.COMPLETED):
            writer.transition(run.id, state)
    return studio.run(run.id)


def request(**query):
    return SimpleNamespace(query_params=query)


def told(html, key="state"):
    return json.loads(unescape(re.search(rf'data-{key}="([^"]*)"', html)[1]))


def filled(page, **query):
    return told(page._load(request(**query))[2], "filled")


def check(page, raws):
    """Return (problems, whether Start may be pressed, about, the same elsewhere)."""
    problems, start, about, same = page._check(json.dumps(raws))
    return problems, start["interactive"], about, same


def test_the_page_has_a_row_for_every_format_and_method():
    named = [name for names in export.GROUPS.values() for name in names]
    assert sorted(named) == sorted(FORMATS)
    assert {name for names in merge.METHODS.values() for name in names} == set(
        MergeMethod.__args__)


@pytest.mark.parametrize(("locale", "kind"), [("en", "export"), ("zh", "export"), ("en", "merge"),
                                              ("zh", "merge")])
def test_every_field_has_words_and_an_element(studio, locale, kind):
    page = {"export": ExportPage, "merge": MergePage}[kind](studio, locale)
    drawn = "".join(body for _, body in page.cards())
    paths = re.findall(r'data-path="([\w.]+)"', drawn)
    own = {path for path in exporting.KIND_FIELDS if path.startswith(kind)}
    config = {"export": ExportConfig, "merge": MergeConfig}[kind]
    assert own == {f"{kind}.{path}" for path in fields_of(config) - {"kind"}} - {"export.seed"}
    assert {f"{kind}.{path}" for path in paths} == own
    for path in paths:
        title, about = page.form.words(path)
        assert title in unescape(drawn) and about in unescape(drawn)
        assert locale == "en" or re.search(r"[\u4e00-\u9fff]", title + about)


def fields_of(config, path=""):
    """Every field of a config by its path; sections are their fields."""
    found = set()
    for name, info in config.model_fields.items():
        inner = hasattr(info.annotation, "model_fields")
        found |= fields_of(info.annotation, f"{path}{name}.") if inner else {path + name}
    return found


def test_pages_are_small_and_have_their_elements(studio):
    config = board.build(studio, "en").get_config_file()
    by_id = {c["id"]: c["props"].get("elem_id") for c in config["components"]}
    for kind in ("export", "merge"):
        found = {by_id[key] for key in config["page"][kind]["components"]}
        assert len(found) <= 60
        assert {f"{kind}-start", f"{kind}-problems", f"{kind}-same", "kind-values", "kind-fill",
                "kind-form"} <= found


def test_a_base_in_gguf_is_ready_with_sizes_command_and_yaml(studio):
    page = ExportPage(studio, "en")
    raws = filled(page, model="starter")["values"]
    assert raws["source"] == "starter" and raws["formats"] == ["gguf-q8_0"]
    problems, ready, about, same = check(page, raws)
    assert ready, problems
    state = told(problems)
    assert state["sizes"]["gguf-f16"].startswith("about ") and "MB" in about
    assert "nothing to write" in state["said"]["merged"]
    assert "max_shard_size_gb" in state["hidden"] and "ollama" not in state["hidden"]
    command = shlex.split(unescape(re.search(r'id="export-command">([^<]*)<', same)[1]))
    assert command == ["finestra", "export", "starter", "\n", "-f", "gguf-q8_0"]
    config = parse_any(load_yaml(unescape(re.search(r'id="export-yaml">([^<]*)<', same)[1])))
    assert config.name == "starter export" and config.formats == ["gguf-q8_0"]


def test_problems_stand_beside_what_they_are_about(studio):
    page = ExportPage(studio, "zh")
    raws = {**filled(page, model="starter")["values"], "formats": ["gguf-q8_0"],
            "deployment": True, "parity.prompts": "many", "push.repo": "no name"}
    problems, ready, _, _ = check(page, raws)
    beside = told(problems)["problems"]
    assert not ready and {"parity.prompts", "push.repo"} <= set(beside)
    raws = {**raws, "parity.prompts": "8", "push.repo": ""}
    beside = told(check(page, raws)[0])["problems"]
    assert list(beside) == ["deployment"] and "部署文件夹" in beside["deployment"][0]
    assert "formats" in told(check(page, {**raws, "formats": []})[0])["problems"]


def test_a_format_that_needs_a_part_says_how_to_install_it(studio, monkeypatch):
    monkeypatch.setattr("app.kindfit.find_spec", lambda name: None)
    page = ExportPage(studio, "en")
    raws = {**filled(page, model="starter")["values"], "formats": ["gguf-q4_k_m"]}
    problems, ready, _, _ = check(page, raws)
    state = told(problems)
    assert not ready and state["said"]["gguf-q4_k_m"] == "not installed"
    commands = [command for lines in state["notes"].values() for _, command, _ in lines]
    assert "pip install 'finestra[llama]'" in commands
    assert any("llmcompressor" in command for command in commands)


def test_without_a_model_the_page_only_asks_for_one(studio):
    page = ExportPage(studio, "en")
    raws = {**filled(page)["values"], "source": " "}
    problems, ready, about, same = check(page, raws)
    assert "Choose a model first." in problems and not ready and about == same == ""


def test_results_and_bases_can_be_chosen(studio):
    run = completed(studio)
    page = ExportPage(studio, "en")
    assert "starter" in [value for _, value in filled(page)["known"]["source"]]
    assert filled(page)["values"]["source"] == run.id, "the newest result"
    assert filled(page)["values"]["formats"] == ["merged", "gguf-q8_0"]
    problems, ready, _, _ = check(page, filled(page)["values"])
    assert not ready and "no finished model" in problems


def test_start_twice_makes_one_run_and_a_clone_brings_everything_back(studio):
    page = ExportPage(studio, "en")
    raws = {**filled(page, model="starter")["values"], "parity.prompts": "3", "name": "small one"}
    first, _ = page._start("key", json.dumps(raws))
    assert first and page._start("key", json.dumps(raws))[0] == first
    assert len(studio.runs()) == 1 and studio.run(first).objective == "export"
    again = filled(page, clone=first)["values"]
    assert again == {**raws, "name": "small one copy"}
    going, problems = page._start("key", json.dumps({**raws, "dtype": "int3"}))
    assert going == "" and "dtype" in problems and len(studio.runs()) == 1


def test_the_command_says_the_same_as_the_form(studio):
    page = ExportPage(studio, "en")
    odd = ExportConfig.model_validate({
        "name": "it's 1", "source": "/a b/c", "formats": ["merged", "fp8"], "dtype": "float16",
        "deployment": True, "device": "cpu", "parity": {"enabled": False}, "calibration_rows": 9,
        "push": {"repo": "me/it", "private": False, "folder": "/x y"}, "model_card": False})
    words = [word for word in shlex.split(page.command(odd)) if word.strip()]
    assert words[:7] == ["finestra", "export", "/a b/c", "-f", "merged", "-f", "fp8"]
    values = apply_overrides({"kind": "export", "source": "/a b/c", "formats": ["merged", "fp8"]},
                             words[7:])
    assert parse_any(values) == odd
    plain = odd.model_copy(update={"name": "123"})
    assert 'name="123"' in shlex.split(page.command(plain)), "no number"


def test_two_adapters_are_merged(studio):
    first, second = completed(studio), completed(studio, name="other")
    page = MergePage(studio, "en")
    raws = filled(page, models=f"{first.id},{second.id}")["values"]
    assert [one["name"] for one in raws["sources"]] == [first.id, second.id]
    raws["sources"][1]["weight"] = "0.3"
    problems, _, _, same = check(page, raws)
    beside = told(problems)["problems"]
    assert set(beside) == {"sources.0.name", "sources.1.name"}, "nothing was trained"
    words = [word for word in shlex.split(unescape(
        re.search(r'id="merge-command">([^<]*)<', same)[1])) if word.strip()]
    assert words[4:] == [f"method={raws['method']}"]
    assert [_weighted(word)["name"] for word in words[2:4]] == [first.id, second.id]
    assert words[3] == f"{second.id}=0.3"
    config = parse_any(load_yaml(unescape(re.search(r'id="merge-yaml">([^<]*)<', same)[1])))
    assert isinstance(config, MergeConfig) and config.name == "mine + other merge"


@pytest.mark.parametrize(("method", "what", "shown"), [
    ("linear", "adapters", set()), ("ties", "adapters", {"density", "majority_sign_method"}),
    ("dare_linear_svd", "adapters", {"density", "svd_rank", "seed"}),
    ("task_arithmetic", "models", {"base", "dtype"}), ("linear", "models", {"dtype"}),
    ("dare_ties", "models", {"base", "density", "dtype", "seed"})])
def test_only_settings_that_mean_something_are_shown(method, what, shown):
    off = set(merge.hidden({"method": method, "what": what}))
    assert {"base", "density", "majority_sign_method", "svd_rank", "dtype", "seed"} - off == shown


def test_the_words_of_a_merge_that_cannot_be(studio):
    page = MergePage(studio, "en")
    one = {"name": "starter", "weight": "1"}
    raws = {**filled(page)["values"], "sources": [one, one]}
    assert "Choose two models" in check(page, {**raws, "sources": [one]})[0]
    assert list(told(check(page, raws)[0])["problems"]) == ["sources"]
    other = {"name": "/nowhere/at/all", "weight": "-1"}
    ties = {**raws, "sources": [one, other], "what": "models", "method": "ties"}
    assert list(told(check(page, ties)[0])["problems"]) == ["base"]
    assert told(check(page, ties)[0])["options"]["method"] == [
        "linear", "slerp", "task_arithmetic", "ties", "dare_ties"]
    slerp = {**ties, "method": "slerp", "sources": [one, other, {"name": "x", "weight": "z"}]}
    assert "sources.2.weight" in told(check(page, slerp)[0])["problems"]


def test_what_a_page_is_sent_is_text(studio):
    page = ExportPage(studio, "en")
    raws = {**filled(page, model=NASTY)["values"], "name": NASTY, "push.folder": NASTY}
    for html in (page._load(request(model=NASTY))[2], check(page, raws)[0],
                 _export_form.same("en", "export", NASTY, NASTY),
                 MergePage(studio, "en")._load(request(models=NASTY))[2]):
        reader = Reader()
        reader.feed(html)
        assert not reader.bad, html
    assert from_browser("[1]") is None and from_browser("{") is None
    assert page._check("") is not None
