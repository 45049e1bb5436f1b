"""Models by what was measured of them, before and after, and tables of it."""

import csv
import dataclasses
import io
import json

import pytest

from app.evaluations.reading import document, forgetting, matrix, report_of, to_csv, to_markdown
from app.runs import RunError, RunState
from tests.app.evaluations.written import compared, evaluation, line, result

BASE, TUNED = "starter", "20261121-tuned-aaaaaa"


@pytest.fixture
def two(tmp_path):
    """A base and what was made of it, at two rows."""
    return evaluation(tmp_path, "first", {BASE: [line(1, 0), line(2, 0)],
                                          TUNED: [line(1, 1), line(2, 0)]},
                      comparisons=[compared(BASE, TUNED, 0.5)])


def test_models_by_what_was_measured(two):
    found = matrix([two])
    column, = found.columns
    base, tuned = (found.cell(model, column) for model in (BASE, TUNED))
    assert found.models == (BASE, TUNED) and (column.dataset, column.metric) == ("sums", "numeric")
    assert (base.value, base.change, base.best) == (0.0, None, False)
    assert (tuned.value, tuned.low, tuned.high, tuned.n, tuned.best) == (0.5, 0.4, 0.6, 4, True)
    assert (tuned.change.against, tuned.change.verdict) == (BASE, "better")


def test_the_newest_evaluation_wins_and_older_ones_fill_up(two, tmp_path):
    newer = evaluation(tmp_path, "second", {TUNED: [line(1, 1), line(2, 1)]}, created_at=2.0)
    third = evaluation(tmp_path, "third", {}, created_at=3.0, results=[
        result(TUNED, 0.2, dataset="arc_easy", metric="acc", source="benchmark")])
    found = matrix([two, newer, third])
    assert [one.source for one in found.columns] == ["benchmark", "data"]
    assert found.cell(TUNED, found.columns[1]).value == 1.0
    assert found.cell(TUNED, found.columns[1]).run == "second"
    assert found.cell(BASE, found.columns[1]).value == 0.0
    assert found.cell(BASE, found.columns[0]) is None


def test_without_a_report_there_is_nothing(two, tmp_path):
    (two.dir / "eval" / "report.json").write_text("{")
    assert matrix([two]).columns == () and to_csv([two]).count("\n") == 1
    for state, words in ((RunState.RUNNING, "yet"), (RunState.STOPPED, "nothing")):
        with pytest.raises(RunError, match=words) as raised:
            report_of(dataclasses.replace(two, state=state))
        assert raised.value.code == "no_evaluation"
    with pytest.raises(RunError, match="no evaluation"):
        report_of(dataclasses.replace(two, objective="sft"))


def test_the_document_names_files_and_is_json(two):
    found = json.loads(json.dumps(document(two), allow_nan=False))
    assert found["results"][1] == {
        "model": TUNED, "dataset": "sums", "metric": "numeric", "value": 0.5, "low": 0.4,
        "high": 0.6, "n": 4, "left_out": 0, "share": True, "higher_is_better": True, "detail": "",
        "source": "data"}
    assert {"dataset", "metric", "a", "b", "difference", "low", "high", "p_value"} <= set(
        found["comparisons"][0])
    assert found["predictions"][BASE] == str(two.dir / "eval" / "predictions-01.jsonl")


def test_a_csv_has_no_formulas(tmp_path):
    evil = "=cmd|' /C calc'!A0"
    run = evaluation(tmp_path, "evil", {evil: [line(1, 1)], "-1+1": [line(1, 0)]},
                     comparisons=[compared(evil, "-1+1", -1.0)])
    read = list(csv.DictReader(io.StringIO(to_csv([run]))))
    assert [one["model"] for one in read] == ["'" + evil, "'-1+1"]
    assert (read[1]["difference"], read[1]["verdict"]) == ("-1.0", "worse")
    assert read[0]["difference"] == "" and float(read[0]["value"]) == 1.0


def test_markdown_is_a_table_and_texts_stay_texts(two, tmp_path):
    text = to_markdown([two])
    assert "| starter | 0.0% [-10.0%, 10.0%] n=4 |" in text
    assert "+50.0% better |" in text
    run = evaluation(tmp_path, "evil", {"a|b <img src=x>": [line(1, 1)]})
    assert "a\\|b \\<img src=x\\>" in to_markdown([run])


def test_what_was_forgotten_comes_first(tmp_path):
    tasks = ("arc", "gsm", "mmlu")
    run = evaluation(tmp_path, "bench", {}, models=[BASE, TUNED], results=[
        result(model, 0.5 + (at - 1) * 0.2 * (model == TUNED), dataset=task)
        for at, task in enumerate(tasks) for model in (BASE, TUNED)], comparisons=[
        compared(BASE, TUNED, (at - 1) * 0.2, dataset=task, p_value=chance)
        for at, (task, chance) in enumerate(zip(tasks, (0.001, 1.0, 0.03), strict=True))])
    found = forgetting([run], TUNED, BASE)
    assert [(one.dataset, one.verdict) for one in found] == [
        ("arc", "worse"), ("gsm", "unclear"), ("mmlu", "unclear")]
    assert found[0].paired and found[0].p_adjusted == pytest.approx(0.003)
    assert found[2].p_adjusted == pytest.approx(0.06)
    assert (found[0].before, found[0].after) == (0.5, pytest.approx(0.3))


def test_a_comparison_is_turned_so_that_training_comes_second(tmp_path):
    run = evaluation(tmp_path, "turned", {TUNED: [line(1, 1)], BASE: [line(1, 0)]},
                     comparisons=[compared(TUNED, BASE, -1.0)])
    one, = forgetting([run], TUNED, BASE)
    assert (one.difference, one.verdict) == (1.0, "better")
    assert (one.low, one.high) == (pytest.approx(0.95), pytest.approx(1.05))


def test_two_evaluations_are_compared_by_their_intervals(tmp_path):
    def measured(name, model, value, **more):
        return evaluation(tmp_path, name, {}, models=[model], results=[
            result(model, value, low=value - 0.02, high=value + 0.02, n=1000, **more)])

    before = measured("before", BASE, 0.6)
    one, = forgetting([before, measured("after", TUNED, 0.5)], TUNED, BASE)
    assert (one.verdict, one.paired, one.runs) == ("worse", False, ("before", "after"))
    assert one.p_value < 1e-6 and one.low < one.difference < one.high < 0
    one, = forgetting([before, measured("near", TUNED, 0.59)], TUNED, BASE)
    assert one.verdict == "unclear"
    other = measured("other", TUNED, 0.1, detail="5 examples")
    assert forgetting([before, other], TUNED, BASE) == []


def test_where_less_is_better_more_is_forgotten(tmp_path):
    run = evaluation(tmp_path, "likely", {}, models=[BASE, TUNED], results=[
        result(model, value, metric="perplexity", higher_is_better=False, share=False)
        for model, value in ((BASE, 8.0), (TUNED, 9.0))], comparisons=[
        compared(BASE, TUNED, 1.0, metric="perplexity", p_value=0.001)])
    one, = forgetting([run], TUNED, BASE)
    assert one.verdict == "worse"
