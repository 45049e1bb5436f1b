"""What runs that do not train look like: on their own page, among all runs, among all models."""

import json

import pytest

from app.board.i18n import reason_text
from app.board.pages import _export_run, _models_html, _parity_html, _run_html
from app.board.pages._parts import progress_words, shown_fraction, trains
from app.board.pages.run import RunPage
from app.board.pages.runs import table_html
from app.runs import Progress, RunState
from tests.app.board.test_html import NASTY, a_run, is_clean
from trainer.contract.events import WarningEvent
from trainer.contract.rundir import RunDir


def candidate(text, **values):
    return {"id": 1, "text": text, "by_reference": -0.1, "by_artefact": -0.2, **values}


def prompt(text="What is it?", **changes):
    return {"text": text, "reference": "A red house.", "artefact": "A red house.", "prompt": None,
            "answer": None, "mean": 0.01, "largest": 0.2, "tokens": 3, **changes}


def side(program="llama.cpp", verdict="same", prompts=(), **changes):
    found = list(prompts)
    return {"program": program, "version": "1.2", "computes": "float32", "verdict": verdict,
            "reasons": [], "advice": "", "mean": 0.0123 if found else None,
            "largest": 0.25 if found else None, "bound": {}, "prompts": found,
            "prompts_same": sum(one["prompt"] is None for one in found),
            "answers_same": sum(one["answer"] is None for one in found), **changes}


def report(*artefacts):
    return {"version": 1, "run": "r", "checkpoint": "", "notes": [], "prompts": 8,
            "reference": "base and adapter as trained, computed in float32",
            "prompts_from": "data", "max_new_tokens": 32, "artefacts": [
                {"kind": "merged" if name == "merged" else "gguf", "format": {
                    "merged": "stored"}.get(name, name.removeprefix("gguf-")), "name": name,
                 "sides": sides, "verdict": "same"}
                for name, sides in artefacts]}


NEAR = {"at": 2, "reference": candidate("red"), "artefact": candidate("blue"), "margin": 0.004,
        "explained": True}
PARTED = prompt(artefact="A blue house.", answer=NEAR)


def an_export(run_id="x-1", **changes):
    return a_run(id=run_id, name="mine export", objective="export", method="merged, gguf-q8_0",
                 model="r-1", latest={}, **changes)


def write(folder, pieces, formats, parity=None):
    """Write an export's folder as the engine leaves it."""
    place = RunDir(folder).export
    for paths in pieces.values():
        for path in paths:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(b"x" * 2000)
    index = {"version": 1, "run": "x", "source": "r-1", "made_at": 1.0, "formats": formats,
             "pieces": {name: {"path": paths[0], "bytes": 2000 * len(paths), "notes": [],
                               "files": [[path, 2000, "0"] for path in paths]}
                        for name, paths in pieces.items()}}
    (place / "export.json").write_text(json.dumps(index))
    if parity:
        (place / "parity.json").write_text(json.dumps(parity))
    return place


def test_verdicts_are_chips_with_words_and_both_answers_are_shown():
    html = _parity_html.parity("en", report(
        ("gguf-q8_0", [side(verdict="close", prompts=[prompt(), PARTED])]),
        ("merged", [side("Transformers", prompts=[prompt()]),
                    side("vLLM", "not run", reasons=["vLLM cannot serve it: no"],
                         advice="make vllm")])))
    assert 'data-verdict="close"' in html and "the same but for rounding" in html
    assert "1 of 2" in html and "2 of 2" in html and "0.0123" in html and "at most 0.2500" in html
    assert "A <mark>red house.</mark>" in html and "A <mark>blue house.</mark>" in html
    assert "finds both about as likely (0.004 apart)" in html
    lacking = html[html.index("f-lacking"):]
    assert "<code>make vllm</code>" in lacking and "Merged model, vLLM" in lacking
    assert "Transformers" not in lacking
    assert _parity_html.parity("en", None) == _parity_html.parity("en", report()) == ""


@pytest.mark.parametrize(("answer", "words"), [
    ({**NEAR, "explained": False, "margin": 1.5}, "is surer (1.500 apart)"),
    ({**NEAR, "artefact": None, "margin": None}, "ends before token 2"),
    ({**NEAR, "reference": None, "margin": None}, "goes on at token 2")])
def test_where_answers_part_is_said(answer, words):
    one = prompt(artefact="A red", answer=answer)
    html = _parity_html.parity("en", report(("gguf-q8_0", [side(
        verdict="different", prompts=[one])])))
    assert words in html and "f-different-verdict" in html


def test_prompts_that_became_others_are_said_in_chinese():
    one = prompt(prompt={"at": 4, "reference": "<s>", "artefact": "<a>"})
    html = _parity_html.parity("zh", report(("gguf-q8_0", [side(
        verdict="different", prompts=[one], reasons=[
            "8 of 8 prompts become other tokens: tokenizer or chat template is not the one of "
            "training."])])))
    assert "第 4 个 token" in html and "“&lt;s&gt;”" in html and "8 个提示中有 8 个" in html


def test_a_report_of_nasty_words_is_text():
    bad = prompt(NASTY, reference=NASTY, artefact=NASTY[:9], prompt={
        "at": 0, "reference": NASTY, "artefact": NASTY}, answer={
        **NEAR, "reference": candidate(NASTY), "artefact": candidate(NASTY)})
    found = report((NASTY, [side(NASTY, "different", [bad], reasons=[NASTY], version=NASTY,
                                 computes=NASTY), side(NASTY, "not run", reasons=[NASTY],
                                                       advice=NASTY)]))
    found |= {"notes": [NASTY], "prompts_from": NASTY, "reference": NASTY}
    assert is_clean(_parity_html.parity("en", found))
    run = an_export(state=RunState.COMPLETED)
    piece = {"format": NASTY, "path": NASTY, "bytes": 1, "files": [NASTY, NASTY],
             "notes": [NASTY], "parity": None}
    assert is_clean(_export_run.written("en", run, {
        "pieces": [piece, {**piece, "files": [NASTY]}], "formats": [], "dir": NASTY}))


def test_the_reasons_of_the_judge_are_said_in_chinese():
    from trainer.export.parity_bounds import bound_of
    from trainer.export.parity_judge import Reference, Said, judge

    bound = bound_of("f16")
    assert bound is not None
    mine = [Said([1, 2], [3, 4], [-0.1, -0.2], [{3: -0.1, 5: -3.0}, {4: -0.2}])] * 2
    reference = Reference(["a", "b"], mine, (9,), lambda ids: " ".join(map(str, ids)))
    sides = [Said([1, 2], [5, 4], [-9.0, -0.2], [{3: -9.0, 5: -0.1}, {4: -0.2}]),
             Said([7], error="no template")]
    reasons = judge(reference, sides, [], bound).reasons
    near = [Said([1, 2], [3, 4], [-0.1, float("nan")], [{3: -0.1}, {4: -0.2}])] * 2
    reasons += judge(reference, near, [9], bound).reasons
    reasons += judge(reference, [Said([1, 2], [3, 4])] * 2, [9], bound).reasons
    assert len(reasons) >= 6
    for reason in reasons:
        assert reason_text("zh", reason) != reason, reason


def test_progress_is_counted_in_parts(tmp_path):
    run = an_export(progress=Progress("converting", 1, 4, None, 3_000_000, 6_000_000, "bytes"))
    assert not trains(run)
    assert progress_words("en", run) == "converting · 3.0 MB / 6.0 MB · 1 of 4 parts done"
    assert shown_fraction(run) == pytest.approx(0.375)
    ended = an_export(state=RunState.STOPPED, progress=Progress("converting", 2, 4))
    assert "2" in progress_words("zh", ended) and "部分" in progress_words("zh", ended)
    hero = _run_html.hero("en", run, (None, None), 0)
    assert "of 4 parts" in hero and "loss" not in hero
    stopped = _run_html.health("en", ended, [], resume_step=0, result=None)
    assert "keeps the parts" in stopped


def test_what_the_cards_say_is_no_warning_as_well():
    warnings = [WarningEvent(code="parity_not_run", message="vLLM is not here"),
                WarningEvent(code="export_anew", message="anew")]
    html = _run_html.health("en", an_export(state=RunState.COMPLETED), warnings, resume_step=0,
                            result=None)
    assert "vLLM" not in html and "exported anew" in html
    assert "vLLM" in _run_html.health("en", an_export(), warnings, resume_step=0, result=None)


def test_a_training_run_leads_to_export_and_merge():
    html = _run_html.links("en", a_run(id="r-1"))
    assert 'href="./export?model=r-1"' in html and 'href="./merge?models=r-1"' in html
    assert "run-merge" not in _run_html.links("en", a_run(id="r-1", method="full"))
    assert "run-export" not in _run_html.links("en", a_run(id="r-1", objective="reward"))
    own = _run_html.links("en", an_export())
    assert 'href="./export?clone=x-1"' in own and "metrics.csv" not in own and "script" not in own


def test_a_config_is_shown_without_what_is_default():
    html = _run_html.config("en", "kind: export\nname: a\nsource: starter\nformats: [gguf-q8_0]\n"
                                  "dtype: stored\n")
    brief = html.partition('id="run-yaml-whole"')[0]
    assert "gguf-q8_0" in brief and "kind: export" in brief and "dtype" not in brief


def exported(studio, parity=None):
    run = studio.create({"kind": "export", "name": "mine", "source": "starter",
                         "formats": ["gguf-q8_0", "gguf-f16"], "parity": {"enabled": False}})
    write(run.dir, {"gguf-q8_0": ["gguf/a-q8_0.gguf"], "gguf-f16": ["gguf/a-f16.gguf"],
                    "ollama": ["gguf/Modelfile"]}, ["gguf-q8_0", "gguf-f16"], parity)
    with studio.store.write() as writer:
        for state in (RunState.STARTING, RunState.RUNNING, RunState.COMPLETED):
            writer.transition(run.id, state)
        writer.update(run.id, latest={"bytes": 6e6, "parity_same": 2.0, "parity_different": 0.0})
    return studio.run(run.id)


def test_the_page_of_an_export_shows_files_and_verdicts_and_nothing_of_training(studio):
    run = exported(studio, report(("gguf-q8_0", [side(prompts=[prompt()])])))
    page = RunPage(studio, "en")
    page.panels = {}
    parts, _ = page._parts(run, {}, "", True)
    written = parts["written"]
    assert f'href="./api/runs/{run.id}/export/gguf/a-q8_0.gguf"' in written
    assert "GGUF Q8_0" in written and "ollama create" in written
    assert 'data-verdict="same"' in written
    assert "written-chat" not in written, "there is no merged model in it"
    assert parts["samples"] == parts["chat"] == parts["cannot"] == ""
    chat = page._buttons(run, 0)[3]
    assert chat["visible"] is False


def test_a_merged_model_can_be_asked_and_trained_on():
    run = an_export(state=RunState.COMPLETED)
    found = {"pieces": [], "formats": ["merged"], "dir": "/x"}
    html = _export_run.written("en", run, found)
    assert "./chat?models=x-1" in html and "./train?model=x-1" in html


def test_a_merge_says_what_it_was_made_of(tmp_path):
    run = an_export(state=RunState.COMPLETED)
    html = _export_run.merged("en", run, {
        "sources": ["r-1", NASTY], "weights": [1.0, 0.5], "method": "ties", "rank": 16,
        "bytes": 5e6, "similarities": [{"between": ["r-1", NASTY], "cosine": 0.25}],
        "notes": [NASTY]})
    assert is_clean(html) and "TIES" in html and "× 0.5" in html and "0.25" in html
    assert 'href="./run?id=r-1"' in html and "written-chat" in html


def test_among_all_runs_an_export_shows_its_size_and_verdict(studio):
    exported(studio)
    html = table_html(studio, "en", "", "")
    assert "6.0 MB" in html and "the same" in html and "<polyline" not in html
    assert "f-pick" not in html, "there is nothing to compare it with"
    assert "Export · gguf-q8_0, gguf-f16 · starter" in html
    assert "No run" not in table_html(studio, "en", "", "", "export")
    assert 'class="f-row"' not in table_html(studio, "en", "", "", "merge")


def test_among_all_models_an_export_shows_its_formats(studio):
    run = exported(studio)
    found = next(one.model for one in studio.library.here() if one.model.name == run.id)
    assert (found.what, found.formats) == ("export", ("gguf-q8_0", "gguf-f16"))
    assert found.size_bytes >= 6000 and found.document()["formats"] == ["gguf-q8_0", "gguf-f16"]
    html = _models_html.here("en", studio.library.here(), studio.library.room())
    row = html[html.index(f'data-model="{run.id}"'):]
    assert "GGUF Q8_0" in row and "./train?model" not in row.partition('role="listitem"')[0]
    starter = html[html.index('data-model="starter"'):].partition('role="listitem"')[0]
    assert './export?model=starter"' in starter
    losses = studio.library.losses("starter")
    assert run.id not in [user.id for user in losses.active]
