"""Rows of an evaluation: the worst and the most changed first, and only what was asked for."""

import json
import os

import pytest

from app.evaluations import predictions
from app.evaluations.reading import RowQuery, histogram, report_of, rows
from app.runs import RunError
from tests.app.evaluations.written import evaluation, line, mistaken, result

BASE, TUNED = "starter", "20261121-tuned-aaaaaa"


@pytest.fixture
def two(tmp_path):
    """Two models at five rows: row 2 is gained, row 4 lost, row 5 counts nowhere."""
    first = [line(1, 1), line(2, 0), line(3, 0), line(4, 1), line(5, None)]
    second = [line(1, 1), line(2, 1), line(3, 0, mistake="cut"), line(4, 0, "Twelve eggs"),
              line(5, None)]
    return evaluation(tmp_path, "compared", {BASE: first, TUNED: second},
                      mistakes=[mistaken(TUNED, "cut", [3])])


def numbers(page):
    return [one.row for one in page.rows]


def asked(run, **values):
    return numbers(rows(run, RowQuery(**values)))


def test_the_worst_of_the_second_model_come_first_and_what_has_no_score_last(two):
    page = rows(two, RowQuery())
    assert (page.total, numbers(page)) == (5, [3, 4, 1, 2, 5])
    assert (page.dataset, page.metric, page.models) == ("sums", "numeric", (BASE, TUNED))
    assert [(one.model, one.score) for one in page.rows[1].answers] == [(BASE, 1), (TUNED, 0)]
    assert page.rows[0].answers[1].mistake == "cut"
    assert asked(two, models=(BASE,)) == [2, 3, 1, 4, 5]


def test_the_most_changed_come_first(two):
    assert asked(two, order="changed") == [2, 4, 1, 3, 5]
    assert asked(two, order="row") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("only", "found"), [
    ("right", [1, 2]), ("wrong", [3, 4]), ("gained", [2]), ("lost", [4])])
def test_only_some_rows(two, only, found):
    assert asked(two, only=only, order="row") == found


def test_nothing_is_gained_by_one_model_alone(two):
    assert asked(two, only="gained", models=(TUNED,)) == []


def test_kinds_of_mistakes_and_texts_are_found(two):
    assert asked(two, mistake="cut") == [3]
    assert asked(two, search="tWELVE") == [4]
    assert asked(two, search="question 2") == [2]
    assert asked(two, search="nowhere") == []
    assert [one.kind for one in report_of(two).mistakes] == ["cut"]


def test_a_page_is_a_part(two):
    page = rows(two, RowQuery(order="row", offset=1, limit=2))
    assert (page.total, numbers(page)) == (5, [2, 3])
    assert asked(two, offset=9) == []


def test_where_less_is_better_the_worst_is_the_highest(tmp_path):
    run = evaluation(tmp_path, "likely", {BASE: [line(1, 3.0), line(2, 9.0)],
                                          TUNED: [line(1, 5.0), line(2, 4.0)]},
                     results=[result(one, 3.0, higher_is_better=False) for one in (BASE, TUNED)])
    assert asked(run, models=(BASE,)) == [2, 1]
    assert asked(run, only="gained") == [2]
    assert asked(run, only="lost") == [1]


def test_long_texts_are_cut_and_strange_ones_stay_text(tmp_path):
    said = "\x00<b>\u202e" + "y" * 100_000
    run = evaluation(tmp_path, "odd", {BASE: [
        line(1, 0, said, reference=["a", "b"], prompt=None, finish_reason="length")]})
    row = rows(run, RowQuery(longest=50)).rows[0]
    assert row.cut and row.answers[0].prediction == said[:50] and row.prompt == ""
    assert row.reference == '["a", "b"]'
    assert json.loads(json.dumps(rows(run, RowQuery()).document()))["rows"][0]["row"] == 1


def test_torn_lines_and_halves_of_characters_are_passed_or_read(tmp_path):
    run = evaluation(tmp_path, "torn", {BASE: [line(1, 1), line(2, 0)]})
    file = run.dir / "eval" / "predictions-01.jsonl"
    with file.open("ab") as out:
        out.write(b"[1]\n" + json.dumps(line(3, 0, "\ud83d half")).encode() + b"\n")
        out.write(b'{"row": 4, "data')
    assert asked(run, order="row") == [1, 2, 3]
    assert asked(run, search="HALF") == [3]


def test_a_file_that_changes_is_read_again(tmp_path):
    run = evaluation(tmp_path, "again", {BASE: [line(1, 1)]})
    assert asked(run) == [1]
    file = run.dir / "eval" / "predictions-01.jsonl"
    file.write_text("".join(json.dumps(line(row, 1)) + "\n" for row in (1, 2)))
    assert asked(run) == [1, 2]
    assert asked(run, search="Question 3") == []
    file.write_text("".join(json.dumps(line(row, 1)) + "\n" for row in (1, 2, 3)))
    assert asked(run, search="Question 3") == [3]


def test_the_next_page_of_what_was_found_reads_no_file_again(two, monkeypatch):
    """All of a file is read for its index and for a text that is new, and never for a page."""
    read = []
    whole = predictions._lines
    monkeypatch.setattr(predictions, "_lines", lambda now: read.append(now) or whole(now))
    assert asked(two, search="QUESTION", order="row", limit=2) == [1, 2]
    assert len(read) == 4
    assert asked(two, search="question", order="row", offset=2, limit=2) == [3, 4]
    assert asked(two, search="question", only="lost") == [4]
    assert len(read) == 4


def test_numbers_and_depths_that_nothing_holds_are_no_scores(tmp_path):
    run = evaluation(tmp_path, "vast", {BASE: [line(1, 1), line(2, 0)]})
    with (run.dir / "eval" / "predictions-01.jsonl").open("a") as out:
        out.write(json.dumps(line(3, 10**400)) + "\n")
        out.write('{"row": 4, "dataset": "sums", "prompt": ' + "[" * 100_000 + "]" * 100_000 + "}")
    found = rows(run, RowQuery(order="row")).rows
    assert [(one.row, one.answers[0].score) for one in found] == [(1, 1.0), (2, 0.0), (3, None)]


def test_a_file_that_is_gone_or_a_link_has_no_rows(tmp_path):
    run = evaluation(tmp_path, "gone", {BASE: [line(1, 1)]})
    file = run.dir / "eval" / "predictions-01.jsonl"
    os.rename(file, tmp_path / "elsewhere")
    with pytest.raises(RunError) as raised:
        asked(run)
    assert raised.value.code == "not_evaluated"
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError):
        asked(run)


@pytest.mark.parametrize("query", [
    {"dataset": "other"}, {"metric": "other"}, {"models": ("other",)}, {"models": ("../x", BASE)}])
def test_what_was_not_evaluated_is_said(two, query):
    with pytest.raises(RunError) as raised:
        rows(two, RowQuery(**query))
    assert raised.value.code == "not_evaluated" and raised.value.advice


def test_scores_are_counted(two):
    found = histogram(two, bins=2)
    assert found.edges == (0.0, 0.5, 1.0)
    assert found.counts == {BASE: [2, 2], TUNED: [2, 2]}


def test_scores_beyond_one_widen_the_bins(tmp_path):
    run = evaluation(tmp_path, "wide", {BASE: [line(1, -1.0), line(2, 9.0), line(3, None)]})
    found = histogram(run, bins=10)
    assert (found.edges[0], found.edges[-1]) == (-1.0, 9.0)
    assert found.counts[BASE] == [1, *[0] * 8, 1]
    json.dumps(found.document(), allow_nan=False)
