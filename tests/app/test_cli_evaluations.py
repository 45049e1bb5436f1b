"""``finestra evaluations``: the newest scores of all, and what training has cost."""

import csv
import io

import pytest

from tests.app.conftest import TUNED
from tests.app.evaluations.written import compared, evaluation, line


@pytest.fixture
def done(fake_studio):
    """Two evaluations: base and run together, and the run alone at a later time."""
    both = {"starter": [line(1, 1), line(2, 0)], TUNED: [line(1, 0), line(2, 0)]}
    first = evaluation(fake_studio.home.runs, "20261122-both-dddddd", both,
                       comparisons=[compared("starter", TUNED, -0.5, verdict="worse")])
    later = evaluation(fake_studio.home.runs, "20261122-alone-eeeeee", {TUNED: [line(1, 1)]})
    fake_studio.reconcile()
    return first.id, later.id


def test_nothing_was_evaluated_yet(words):
    status, out, _ = words("evaluations", "scores")
    assert status == 0 and "finestra evaluate" in out
    status, out, _ = words("evaluations", "forgetting", TUNED)
    assert status == 0 and f"--model {TUNED}" in " ".join(out.split())


def test_all_scores_stand_together(words, script, done, tmp_path):
    status, out, _ = words("evaluations", "scores")
    assert status == 0 and "starter" in out and TUNED in out
    file = tmp_path / "all.csv"
    status, document = script("evaluations", "scores", "--csv", str(file))
    assert status == 0 and document["files"] == [str(file)]
    assert {one["model"] for one in document["cells"]} == {"starter", TUNED}
    lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
    assert {(one["model"], one["run"]) for one in lines} >= {("starter", done[0])}
    status, refused = script("evaluations", "scores", "--csv", str(file))
    assert status != 0 and refused["error"]["code"] == "file_exists"
    status, only = script("evaluations", "scores", "--run", done[1])
    assert status == 0 and {one["model"] for one in only["cells"]} == {TUNED}
    status, unknown = script("evaluations", "scores", "--run", "nothing-of-that-name")
    assert status != 0 and unknown["error"]["code"] == "unknown_run"


def test_what_training_has_cost(words, script, done):
    """The run is found by a part of its id; what both answered is compared row by row."""
    status, document = script("evaluations", "forgetting", "aaaaaa")
    (kept,) = document["kept"]
    assert status == 0 and document["model"] == TUNED and document["base"] == "starter"
    assert kept["paired"] and kept["runs"] == [done[0]] and kept["difference"] == -0.5
    _, out, _ = words("evaluations", "forgetting", "aaaaaa")
    assert kept["verdict"] in out and "-50.0%" in out
    _, other = script("evaluations", "forgetting", "aaaaaa", "--run", done[1])
    assert other["kept"] == []
