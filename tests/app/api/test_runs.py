import json

import pytest
import yaml

from tests.app.api.conftest import CONFIG


def error(answer, status, code):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"]["code"] == code, body
    assert set(body["error"]) == {"code", "message", "field", "advice"}
    return body


@pytest.mark.faults
def test_a_run_from_start_to_end(rest, monkeypatch):
    created = rest.post("/api/runs", json=CONFIG)
    assert created.status_code == 201
    run_id = created.json()["id"]
    done = rest.wait(run_id, "completed")
    assert done["config"]["training"]["max_steps"] == 10
    assert done["progress"]["step"] == 10
    listed = rest.get("/api/runs").json()["runs"]
    assert [run["id"] for run in listed] == [run_id]
    series = rest.get(f"/api/runs/{run_id}/metrics").json()["series"]
    assert [step for step, _ in series["loss"]] == list(range(1, 11))
    samples = rest.get(f"/api/runs/{run_id}/samples").json()["samples"]
    assert samples[0]["output"] == "o"
    found = rest.get(f"/api/runs/{run_id}/checkpoints").json()["checkpoints"]
    assert [(c["name"], c["problem"]) for c in found] == [("checkpoint-10", ""),
                                                          ("checkpoint-5", "")]


def test_the_config_may_be_wrapped(rest):
    assert rest.post("/api/runs", json={"config": CONFIG}).status_code == 201


def test_the_same_key_makes_one_run(rest):
    headers = {"Idempotency-Key": "k1"}
    first = rest.post("/api/runs", json=CONFIG, headers=headers).json()["id"]
    assert rest.post("/api/runs", json=CONFIG, headers=headers).json()["id"] == first
    assert len(rest.get("/api/runs").json()["runs"]) == 1


def test_every_problem_of_a_config_is_told_and_nothing_is_stored(rest):
    wrong = {**CONFIG, "tuner": {"r": 0}, "training": {"learning_rate": "abc"}, "colour": "red"}
    body = error(rest.post("/api/runs", json=wrong), 422, "greater_than_equal")
    assert {p["field"] for p in body["problems"]} == {
        "tuner.r", "training.learning_rate", "colour"}
    assert rest.get("/api/runs").json()["runs"] == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "/proc/self/environ"])
def test_paths_outside_the_roots_are_refused(rest, path):
    wrong = {**CONFIG, "data": {"train": [path]}}
    answer = rest.post("/api/runs", json=wrong)
    assert answer.status_code == 422
    assert rest.get("/api/runs").json()["runs"] == []


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b'"x"', b'{"a": NaN}'])
def test_a_body_that_is_no_config_is_refused(rest, body):
    answer = rest.post("/api/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"]


def test_a_dry_run_says_what_would_happen_and_starts_nothing(shelf):
    found = shelf.post("/api/runs/dry-run", json=CONFIG)
    assert found.status_code == 200
    assert found.json()["problems"] == []
    assert found.json()["config"]["data"]["train"]
    wrong = shelf.post("/api/runs/dry-run", json={**CONFIG, "tuner": {"r": 0}})
    assert wrong.status_code == 200
    assert wrong.json()["problems"][0]["field"] == "tuner.r"
    assert [run["id"] for run in shelf.get("/api/runs").json()["runs"]] == [shelf.done]


ON_A_RUN = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/resume"),
            ("GET", "/config"), ("GET", "/clone"), ("GET", "/metrics"), ("GET", "/metrics.csv"),
            ("GET", "/log"), ("GET", "/log/download"), ("GET", "/samples"),
            ("GET", "/checkpoints"), ("GET", "/events")]


@pytest.mark.parametrize("run_id", ["nobody", "..%2f..", "%2e%2e", "a%00b", "a" * 65, "%ef%bc%8e"])
def test_an_unknown_run_is_not_found(shelf, run_id):
    for method, tail in ON_A_RUN:
        body = {"json": {}} if method in {"PATCH", "POST"} else {}
        answer = shelf.client.request(method, f"/api/runs/{run_id}{tail}", **body)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] in {"unknown_run", "not_found"}


@pytest.mark.faults
def test_stop_resume_and_delete_follow_the_states(rest, monkeypatch, tmp_path):
    gate = tmp_path / "gate"
    monkeypatch.setenv("FAKE_HOLD", f"7:{gate}")
    run_id = rest.start()
    rest.wait(run_id, "running")
    error(rest.delete(f"/api/runs/{run_id}"), 409, "active")
    error(rest.post(f"/api/runs/{run_id}/resume"), 409, "not_resumable")
    assert rest.post(f"/api/runs/{run_id}/stop").status_code == 202
    rest.wait(run_id, "stopped")
    error(rest.post(f"/api/runs/{run_id}/stop"), 409, "not_active")
    answer = rest.post(f"/api/runs/{run_id}/resume", json={"checkpoint": "checkpoint-99"})
    error(answer, 404, "unknown_checkpoint")
    gate.touch()
    assert rest.post(f"/api/runs/{run_id}/resume").status_code == 202
    assert rest.wait(run_id, "completed")["attempts"] == 2
    series = rest.get(f"/api/runs/{run_id}/metrics").json()["series"]["loss"]
    assert [step for step, _ in series] == list(range(1, 11))
    assert rest.delete(f"/api/runs/{run_id}").status_code == 204
    error(rest.get(f"/api/runs/{run_id}"), 404, "unknown_run")


def test_a_checkpoint_is_a_checkpoints_name(shelf):
    run_id = shelf.finished()
    for checkpoint in ("../x", "checkpoint-", "checkpoint-1/..", "", 5):
        answer = shelf.post(f"/api/runs/{run_id}/resume", json={"checkpoint": checkpoint})
        assert answer.status_code == 422


def test_name_tags_and_notes_can_be_changed_and_nothing_else(shelf):
    run_id = shelf.finished()
    changed = shelf.patch(f"/api/runs/{run_id}", json={
        "name": "better", "tags": ["b", "a", "a"], "notes": "<script>alert(1)</script>"})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["tags"]) == ("better", ["a", "b"])
    assert changed.json()["config"]["name"] == "a try"
    for wrong in ({"state": "queued"}, {"tags": "x"}, {"name": ""}, {"notes": "x" * 10_001}):
        assert shelf.patch(f"/api/runs/{run_id}", json=wrong).status_code == 422


@pytest.mark.faults
def test_the_list_can_be_searched(rest):
    run_id = rest.finished()
    rest.patch(f"/api/runs/{run_id}", json={"tags": ["green"]})
    for query, count in (("search=TRY", 1), ("search=nothing", 0), ("tag=green", 1),
                         ("tag=red", 0), ("state=completed", 1), ("state=failed", 0)):
        assert len(rest.get(f"/api/runs?{query}").json()["runs"]) == count
    error(rest.get("/api/runs?state=lost"), 422, "enum")


@pytest.mark.faults
def test_a_clone_is_a_config_that_can_be_started(rest):
    run_id = rest.finished()
    values = rest.get(f"/api/runs/{run_id}/clone").json()["config"]
    assert values["name"] == "a try copy"
    assert rest.post("/api/runs", json=values).status_code == 201


def test_the_config_comes_as_yaml(shelf):
    run_id = shelf.finished()
    answer = shelf.get(f"/api/runs/{run_id}/config")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(answer.text)["training"]["max_steps"] == 10
    saved = shelf.get(f"/api/runs/{run_id}/config?download=true")
    assert saved.headers["content-disposition"] == f'attachment; filename="{run_id}.yaml"'


@pytest.mark.faults
def test_a_failed_run_names_its_reason(rest, monkeypatch):
    monkeypatch.setenv("FAKE_KILL_AT", "3")
    run_id = rest.start()
    assert "signal 9" in rest.wait(run_id, "failed")["reason"]


@pytest.mark.faults
def test_nan_is_null(rest, monkeypatch):
    monkeypatch.setenv("FAKE_NAN_AT", "4")
    answer = rest.get(f"/api/runs/{rest.finished()}/metrics?name=loss")
    assert json.loads(answer.text)["series"]["loss"][3] == [4, None]


@pytest.mark.faults
def test_series_can_be_chosen_and_thinned(rest, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "200")
    run_id = rest.finished()
    found = rest.get(f"/api/runs/{run_id}/metrics?name=loss&max_points=20").json()["series"]
    assert list(found) == ["loss"] and len(found["loss"]) <= 20
    assert rest.get(f"/api/runs/{run_id}/metrics?max_points=1").status_code == 422
    both = rest.get(f"/api/runs/{run_id}/metrics?name=loss&max_points=20&smooth=0.9").json()
    assert both["series"] == found and len(both["smoothed"]["loss"]) == 20
    assert both["smoothed"]["loss"][0] == found["loss"][0]
    assert rest.get(f"/api/runs/{run_id}/metrics?smooth=1").status_code == 422


def test_unknown_addresses_and_methods_are_documents_too(shelf):
    error(shelf.get("/api/nothing"), 404, "not_found")
    error(shelf.get("/api/runs/"), 404, "not_found")
    error(shelf.client.put("/api/runs", json={}), 405, "method")
    error(shelf.post("/api/runs", content="x", headers={"Content-Type": "text/plain"}), 415,
          "content_type")


@pytest.mark.faults
def test_each_action_leaves_one_line_in_the_audit(rest):
    run_id = rest.finished()
    rest.post(f"/api/runs/{run_id}/stop")
    rest.delete(f"/api/runs/{run_id}")
    lines = [json.loads(line) for line in rest.studio.home.audit.read_text().splitlines()]
    assert [(line["action"], line["ok"]) for line in lines] == [
        ("create", True), ("stop", False), ("delete", True)]
