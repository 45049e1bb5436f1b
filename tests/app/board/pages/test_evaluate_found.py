"""What the Evaluate page shows of results: scores, verdicts, mistakes and rows as text."""

import json
import re
from dataclasses import replace
from functools import partial
from html import unescape
from types import SimpleNamespace

import pytest

from app.board.pages import _evaluate_html, _evaluate_one
from app.board.pages._evaluate_found import Shown
from app.board.pages._evaluate_html import address, chance_text, change_text, whisker
from app.board.pages._evaluate_rows import Look
from app.board.pages._export_page import model_label
from app.evaluations.reading import Cell, Change
from app.runs import Progress, Run, RunError, RunState
from tests.app.board.test_html import NASTY, Reader
from tests.app.evaluations.written import (
    DATASET,
    METRIC,
    compared,
    evaluation,
    line,
    mistaken,
    result,
)
from trainer.contract.kinds.evaluation import Answered, Judged, read_report
from trainer.contract.rundir import RunDir


class Desk:
    """A studio of a few runs."""

    def __init__(self, *runs):
        self._runs = runs

    def runs(self, state=None):
        return [run for run in self._runs if state in (None, str(run.state))]

    def run(self, run_id):
        found = next((run for run in self._runs if run.id == run_id), None)
        if found is None:
            raise RunError("unknown_run", "none")
        return found

    def datasets(self):
        return [SimpleNamespace(name=DATASET)]


def answers(*scores, said=""):
    return [line(at, score, said=said and f"{said} {at}") for at, score in enumerate(scores, 1)]


@pytest.fixture
def found(tmp_path):
    run = evaluation(
        tmp_path, "ev", {"base": answers(1, 0, 0, 1), "tuned": answers(1, 1, 1, 0)},
        comparisons=[compared("base", "tuned", 0.25)],
        mistakes=[mistaken("tuned", "content", [4]), mistaken("base", "cut", [2, 3])],
        judged=[Judged(model="tuned", against="base", dataset=DATASET, value=0.6, wins=2, ties=1,
                       losses=1, n=4, unreadable=1, agreement=0.5, votes=4, calls=8, cost=0.25)],
        answered=[Answered(model="base", engine="vllm", rows=4, seconds=2.0, kept=2)],
        notes=["mind the rows", "mind the gap"])
    return Shown(Desk(run), "en", partial(model_label, Desk(run), "en")), run


def drawn(shown, run, **look):
    return shown.one(run, Look.of({"run": run.id, **look}), [run])


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.bad == []
    return " ".join(" ".join(reader.words).split())


def numbers(html):
    return [int(row) for row in re.findall(r'class="f-case" data-row="(\d+)"', html)]


def test_one_evaluation_has_all_that_was_found(found):
    shown, run = found
    live, top, rows = drawn(shown, run)
    assert live == ""
    assert top.count("f-best") == 1 and top.count("f-note") == 1
    for identity in ("evaluate-matrix", "evaluate-comparisons", "evaluate-judged",
                     "evaluate-csv", "evaluate-json", "evaluate-md"):
        assert f'id="{identity}"' in top
    assert 'data-sum="better"' in top and 'data-verdict="better"' in top and "▲" in top
    words = read(top)
    for said in ("75 %", "+25.0 points", "p = 0.02", "2 won, 1 even, 1 lost", "50 % of 4 votes",
                 "2 kept of an earlier attempt", "mind the rows", "mind the gap"):
        assert said in words
    assert 'id="evaluate-mistakes"' in rows and 'id="evaluate-histogram"' in rows


def test_tables_have_heads_with_scope(found):
    shown, run = found
    _, top, rows = drawn(shown, run)
    tables = re.findall(r"<table.*?</table>", top + rows, re.DOTALL)
    assert len(tables) >= 4
    for one in tables:
        assert re.search(r'<th scope="row"', one)
        assert not re.search(r"<th(?! scope)[ >]", one)


def test_of_a_dataset_that_is_a_file_its_name_is_shown():
    for path in ("/home/ann/real/questions.jsonl", "~/real/questions.jsonl"):
        mark = _evaluate_html.data_mark(path)
        assert mark == f'<span title="{path}">questions.jsonl</span>'
    assert _evaluate_html.data_mark("lab/questions") == "lab/questions"
    assert NASTY not in _evaluate_html.data_mark(f"/{NASTY}")


def test_rows_come_most_changed_first_with_what_became_of_them(found):
    shown, run = found
    _, _, rows = drawn(shown, run)
    assert numbers(rows)[-1] == 1 and 'data-moved="gained"' in rows
    assert numbers(drawn(shown, run, only="lost")[2]) == [4]
    assert numbers(drawn(shown, run, only="gained", order="row")[2]) == [2, 3]
    assert numbers(drawn(shown, run, mistake="content")[2]) == [4]
    assert numbers(drawn(shown, run, q="QUESTION 3")[2]) == [3]
    assert numbers(drawn(shown, run, a="tuned", b="base", mistake="content")[2]) == [2, 3]
    assert f'./data?name={DATASET}&amp;row=4' in rows
    assert "No row is like that." in drawn(shown, run, q="nothing of it")[2]
    assert "Back to all rows" in drawn(shown, run, dataset="other")[2]


def test_a_count_of_mistakes_leads_to_its_rows_and_back(found):
    shown, run = found
    link = unescape(re.search(r'href="([^"]*mistake=cut[^"]*)"', drawn(shown, run)[2])[1])
    assert "b=base" in link and f"run={run.id}" in link and "a=tuned" in link
    rows = drawn(shown, run, b="base", a="tuned", mistake="cut")[2]
    assert 'aria-current="true"' in rows and 'id="evaluate-clear"' in rows
    assert 'id="evaluate-clear"' not in drawn(shown, run, only="all", order="row")[2]


def test_pages_of_rows_keep_what_is_looked_at(tmp_path):
    run = evaluation(tmp_path, "ev", {"base": answers(*[0] * 45)})
    shown = Shown(Desk(run), "en", str)
    rows = drawn(shown, run, order="row", only="wrong", page="2")[2]
    assert numbers(rows) == list(range(21, 41)) and "Rows 21 to 40 of 45" in read(rows)
    following = unescape(re.search(r'id="evaluate-next" href="([^"]*)"', rows)[1])
    assert "page=3" in following and "only=wrong" in following and "order=row" in following
    assert "page" not in unescape(re.search(r'id="evaluate-previous" href="([^"]*)"', rows)[1])
    assert 'name="a"' not in rows and 'value="gained"' not in rows


def test_a_page_beyond_the_last_is_the_last(tmp_path):
    run = evaluation(tmp_path, "ev", {"base": [line(at, 0) for at in range(1, 24)]})
    for page in ("2", "99"):
        _, _, rows = drawn(Shown(Desk(run), "en", str), run, page=page)
        assert "Rows 21 to 23 of 23" in read(rows)


def test_what_models_write_is_text_everywhere(tmp_path):
    said = NASTY + "\x00" + "x" * 30_000
    lines = [line(1, 0, said=said, prompt=NASTY, reference=NASTY, mistake=NASTY)]
    run = evaluation(
        tmp_path, "ev", {NASTY: lines, "b": lines}, mistakes=[mistaken("b", NASTY, [1])],
        comparisons=[compared(NASTY, "b", -0.5, test=NASTY)], notes=[NASTY],
        results=[result(NASTY, 0.1, detail=NASTY), result("b", 0.2, dataset=NASTY, metric=NASTY)],
        judged=[Judged(model=NASTY, against="b", dataset=NASTY, value=None)],
        answered=[Answered(model=NASTY, engine=NASTY, version=NASTY, rows=1)])
    halves = json.dumps({**lines[0], "prediction": said + "\ud800"}) + "\n"
    (RunDir(run.dir).eval / "predictions-01.jsonl").write_text(halves)
    run = replace(run, name=NASTY, model=NASTY)
    shown = Shown(Desk(run), "zh", str)
    for part in (*drawn(shown, run, q="", mistake=""), *shown.all([run]), shown.brief(run)):
        read(part)
        part.encode()
    assert "这里只显示前" in drawn(shown, run)[2]


def test_an_evaluation_that_goes_on_has_a_bar_and_one_that_failed_its_reason(tmp_path):
    run = evaluation(tmp_path, "ev", {"base": answers(1)})
    (RunDir(run.dir).eval / "report.json").unlink()
    going = replace(run, state=RunState.RUNNING, progress=Progress("training", 3, 10, 40.0))
    live, top, rows = drawn(Shown(Desk(going), "en", str), going)
    assert 'role="progressbar"' in live and "40 s left" in read(live) and rows == ""
    assert "evaluate-csv" not in top
    failed = replace(run, state=RunState.FAILED)
    live, top, _ = drawn(Shown(Desk(failed), "en", str), failed)
    assert live == "" and "Why, and Resume" in top


def test_what_was_forgotten_is_told_beside_the_base(tmp_path):
    trained = Run("tuned", "my model", RunState.COMPLETED, tmp_path / "tuned", objective="sft",
                  model="base", created_at=1.0)
    both = dict(dataset="hellaswag", metric="acc,none", source="benchmark", n=500)
    run = evaluation(
        tmp_path, "ev", {"base": answers(1), "tuned": answers(1)},
        results=[result("base", 0.5, **both), result("tuned", 0.4, **both)],
        comparisons=[compared("base", "tuned", -0.1, source="benchmark", dataset="hellaswag",
                              metric="acc,none", n=500)])
    shown = Shown(Desk(run, trained), "en", partial(model_label, Desk(run, trained), "en"))
    top = read(drawn(shown, run)[1])
    assert "Was anything forgotten?" in top and "my model has lost at 1 of 1" in top
    assert "benchmark" in top and "Accuracy" in top


def test_scores_and_chances_as_people_write_them():
    assert change_text("en", -0.051, True) == "−5.1 points"
    assert change_text("en", 1.25, False) == "+1.25"
    assert [chance_text(p) for p in (None, 0.0004, 0.2, 1.0)] == [
        "—", "p < 0.001", "p = 0.2", "p = 1"]
    assert _evaluate_html.metric_text("en", "exact_match,strict-match") == (
        "Exact match (strict-match)")
    assert address("r 1", q="a&b", page="") == "./evaluate?run=r%201&q=a%26b"


def test_a_whisker_stays_within_its_line_and_says_its_numbers():
    cell = Cell(0.5, -1.0, 3.0, 4, 0, "", "r")
    drawn_line = whisker(cell, _evaluate_html.Scale(0.0, 1.0), "50 %")
    places = [float(x) for x in re.findall(r"[MH](\d+\.\d)", drawn_line)]
    assert places and all(0 <= place <= 120 for place in places)
    assert 'aria-label="50 %"' in drawn_line
    assert whisker(replace(cell, value=None), _evaluate_html.Scale(0, 1), "x") == ""
    flat = _evaluate_html.scale_of([replace(cell, value=2.0, low=None, high=None)], False)
    assert flat.low < 2 < flat.high
    assert _evaluate_html.scale_of([], False) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["better", "worse", "unclear"])
def test_a_verdict_is_told_by_sign_and_word(name):
    change = Change("base", 0.1, None, None, 0.5, 0.5, name)
    said = _evaluate_html.change("zh", change, True, "base")
    assert _evaluate_html.SIGNS[name] in said and re.search(r"更好|更差|不确定", said)


def test_all_evaluations_stand_in_one_table(tmp_path):
    older = evaluation(tmp_path, "older", {"base": answers(0)}, created_at=1.0)
    newer = evaluation(tmp_path, "newer", {"base": answers(1), "other": answers(1)}, created_at=2.0)
    shown = Shown(Desk(older, newer), "en", str.upper)
    _, table, listed = shown.all([newer, older])
    assert table.count('<th scope="col">') == 3 and "100 %" in table
    # Of equals none is the best one.
    assert "f-best" not in table
    assert f'data-metric="{METRIC}"' in table and './evaluate?run=older' in listed
    assert "BASE, OTHER" in read(listed)
    assert read_report(RunDir(newer.dir)) and "run-evaluation" in shown.brief(newer)
    assert _evaluate_one.live("en", newer) == ""
