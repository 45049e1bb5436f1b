"""What evaluations have found, over REST."""

import pytest

from tests.app.evaluations.written import compared, evaluation, line

MODELS = ("starter", "20261121-tuned-aaaaaa")


@pytest.fixture
def done(rest):
    """An evaluation that has ended, and its address."""
    first = [line(row, row % 2) for row in range(1, 6)]
    second = [line(row, 1, said="=1+1" if row == 2 else "") for row in range(1, 6)]
    run = evaluation(rest.studio.home.runs, "20261122-done-dddddd", dict(zip(
        MODELS, (first, second), strict=True)), comparisons=[compared(*MODELS, 0.4)])
    rest.studio.reconcile()
    return f"/api/runs/{run.id}"


def test_the_document_is_that_of_the_command_line(rest, done):
    found = rest.get(f"{done}/evaluation").json()
    assert [one["model"] for one in found["results"]] == list(MODELS)
    assert found["comparisons"][0]["verdict"] == "better"
    assert rest.get(done).json()["evaluation"] == found


def test_rows_are_asked_for_by_query(rest, done):
    page = rest.get(f"{done}/evaluation/rows").json()
    assert page["total"] == 5 and page["models"] == list(MODELS)
    page = rest.get(f"{done}/evaluation/rows", params={
        "model": list(MODELS), "only": "gained", "order": "changed", "limit": 1, "offset": 1,
        "dataset": "sums", "metric": "numeric", "longest": 3}).json()
    assert page["total"] == 2 and [one["row"] for one in page["rows"]] == [4]
    assert page["rows"][0]["answers"][1]["prediction"] == "ans" and page["rows"][0]["cut"]


@pytest.mark.parametrize("query", [
    {"order": "best"}, {"only": "some"}, {"limit": 0}, {"limit": 201}, {"offset": -1},
    {"odd": 1}, {"model": ["a", "b", "c"]}, {"longest": 10**9}])
def test_a_query_that_means_nothing_is_refused(rest, done, query):
    assert rest.get(f"{done}/evaluation/rows", params=query).status_code == 422


def test_what_was_not_evaluated_is_not_found(rest, done):
    answer = rest.get(f"{done}/evaluation/rows", params={"model": "../../etc"})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_evaluated"
    run_id = rest.finished()
    for path in ("evaluation", "evaluation.csv", "evaluation.md", "evaluation/rows",
                 "evaluation/histogram", "evaluation/predictions?model=starter"):
        answer = rest.get(f"/api/runs/{run_id}/{path}")
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "no_evaluation"


def test_scores_are_counted(rest, done):
    found = rest.get(f"{done}/evaluation/histogram", params={"bins": 2}).json()
    assert found["counts"] == {MODELS[0]: [2, 3], MODELS[1]: [0, 5]}


def test_tables_and_answers_are_attachments(rest, done):
    table = rest.get(f"{done}/evaluation.csv")
    assert table.headers["content-disposition"].endswith('dddddd-evaluation.csv"')
    assert table.text.count("\n") == 3
    assert "better" in rest.get(f"{done}/evaluation.md").text
    answers = rest.get(f"{done}/evaluation/predictions", params={"model": MODELS[1]})
    assert answers.headers["content-disposition"].startswith("attachment")
    assert answers.text.count("\n") == 5
    (rest.studio.run("20261122-done-dddddd").dir / "eval" / "predictions-02.jsonl").unlink()
    assert rest.get(f"{done}/evaluation/predictions",
                    params={"model": MODELS[1]}).status_code == 404


def test_several_evaluations_are_one_matrix(rest, done):
    later = evaluation(rest.studio.home.runs, "20261122-later-eeeeee", {
        MODELS[1]: [line(1, 0)]}, created_at=2.0)
    rest.studio.reconcile()
    found = rest.get("/api/evaluations").json()
    assert set(found["models"]) == set(MODELS)
    assert [(one["dataset"], one["metric"], one["share"]) for one in found["columns"]] == [
        ("sums", "numeric", True)]
    cells = {one["model"]: one for one in found["cells"]}
    assert (cells[MODELS[0]]["value"], cells[MODELS[1]]["value"]) == (0.6, 0.0)
    assert cells[MODELS[1]]["run"] == later.id and cells[MODELS[0]]["best"]
    one = rest.get("/api/evaluations", params={"run": "20261122-done-dddddd"}).json()
    cells = {cell["model"]: cell for cell in one["cells"]}
    assert cells[MODELS[1]]["change"]["verdict"] == "better"
    table = rest.get("/api/evaluations.csv")
    assert table.text.count("\n") == 3 and later.id in table.text
    assert table.headers["content-disposition"].endswith('"evaluations.csv"')
    assert "| starter |" in rest.get("/api/evaluations.md").text
    assert rest.get("/api/evaluations", params={"run": "../done"}).status_code == 404
    for wrong in ({"run": ["x"] * 101}, {"runs": "20261122-done-dddddd"}):
        assert rest.get("/api/evaluations", params=wrong).status_code == 422


def test_what_was_forgotten_is_asked_for_by_model_and_base(rest, done):
    asked = {"model": MODELS[1], "base": MODELS[0]}
    found = rest.get("/api/evaluations/forgetting", params=asked).json()
    one, = found.pop("kept")
    assert found == asked and (one["before"], one["after"], one["share"]) == (0.6, 1.0, True)
    assert (one["verdict"], one["paired"], one["runs"]) == (
        "better", True, ["20261122-done-dddddd"])
    turned = rest.get("/api/evaluations/forgetting", params={
        "model": MODELS[0], "base": MODELS[1]}).json()
    assert turned["kept"][0]["verdict"] == "worse"
    assert rest.get("/api/evaluations/forgetting", params={"model": "x"}).status_code == 422
    assert rest.get("/api/evaluations/forgetting",
                    params={**asked, "base": "other"}).json()["kept"] == []


def test_an_evaluation_is_queued_like_any_run(rest):
    config = {"kind": "evaluate", "name": "by rest", "models": ["starter"],
              "data": ["sample_instructions_heldout"], "max_samples": 2}
    found = rest.post("/api/runs/dry-run", json=config).json()
    assert found["problems"] == [] and found["config"]["generation"]["max_new_tokens"] == 256
    answer = rest.post("/api/runs", json=config)
    assert answer.status_code == 201 and answer.json()["objective"] == "evaluate"
    wrong = rest.post("/api/runs", json={**config, "models": ["/etc"]})
    assert wrong.status_code == 422
    assert wrong.json()["error"]["code"] == "path_outside_roots"
