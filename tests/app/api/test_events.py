"""Event streams from a real server on a free port."""

import contextlib
import json
import time
from pathlib import Path

import httpx
import pytest

from app.api import events
from app.runs import Run, RunState
from tests.app.api.conftest import CONFIG

pytestmark = pytest.mark.faults


@contextlib.contextmanager
def listen(live, run_id):
    """Yield an iterator over (event, data)."""
    def read(lines):
        event = data = ""
        for line in lines:
            if line.startswith("event: "):
                event = line[7:]
            if line.startswith("data: "):
                data = line[6:]
            if not line and data:
                yield event, json.loads(data)
                event = data = ""

    url = f"{live.address}/api/runs/{run_id}/events"
    with httpx.stream("GET", url, timeout=20, trust_env=False) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read(answer.iter_lines())


def post(live, path, **options):
    return httpx.post(live.address + path, trust_env=False, **options)


def test_a_stream_tells_everything_once_then_what_is_new(live, monkeypatch, tmp_path):
    gate = tmp_path / "gate"
    monkeypatch.setenv("FAKE_HOLD", f"6:{gate}")
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    steps, states = [], []
    with listen(live, run_id) as messages:
        for event, data in messages:
            assert event == "update"
            steps += [step for step, _ in data["series"].get("loss", [])]
            states.append(data["run"]["state"])
            if steps and steps[-1] == 5:
                gate.touch()
            if states[-1] == "completed":
                break
    assert steps == list(range(1, 11))
    with listen(live, run_id) as messages:
        _, first = next(messages)
    assert first["reset"] is True
    assert [step for step, _ in first["series"]["loss"]] == list(range(1, 11))


def test_a_resumed_curve_has_each_step_once(live, monkeypatch, tmp_path, studio):
    monkeypatch.setenv("FAKE_CRASH_AT", "8")
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    curve = {}
    with listen(live, run_id) as messages:
        for _, data in messages:
            if data["reset"]:
                curve.clear()
            curve.update(data["series"].get("loss", []))
            if data["run"]["state"] == "failed":
                break
        assert sorted(curve) == list(range(1, 8))
        monkeypatch.delenv("FAKE_CRASH_AT")
        assert post(live, f"/api/runs/{run_id}/resume").status_code == 202
        for _, data in messages:
            if data["reset"]:
                curve.clear()
            points = data["series"].get("loss", [])
            assert not {step for step, _ in points} & set(curve)
            curve.update(points)
            if data["run"]["state"] == "completed":
                break
    assert sorted(curve) == list(range(1, 11))


class OneRun:
    """A studio with one run whose points a test sets."""

    def __init__(self):
        self.points, self.mark = [], 0

    def put(self, *points):
        self.points, self.mark = list(points), self.mark + 1

    def watermark(self, run_id):
        return self.mark

    def run(self, run_id):
        return Run(run_id, run_id, RunState.RUNNING, Path(run_id))

    def series(self, run_id):
        return {"loss": self.points}


def test_points_that_were_measured_again_are_sent_again():
    studio, cursor = OneRun(), events.Cursor()
    studio.put((1, 1.0), (2, 0.9), (3, 0.8))
    assert cursor.update(studio, "r")["series"]["loss"] == studio.points
    assert cursor.update(studio, "r") is None
    studio.put((1, 1.0), (2, 0.9), (3, 0.8), (4, 0.7))
    news = cursor.update(studio, "r")
    assert (news["reset"], news["series"]) == (False, {"loss": [(4, 0.7)]})
    for again in ([(1, 1.0), (2, 0.9)], [(1, 1.0), (2, 0.5), (3, 0.4), (4, 0.3)], []):
        studio.put(*again)
        news = cursor.update(studio, "r")
        assert (news["reset"], news["series"].get("loss", [])) == (True, again)
        studio.put((1, 1.0), (2, 0.9), (3, 0.8))
        cursor.update(studio, "r")


def test_a_deleted_run_ends_its_stream(live):
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    with listen(live, run_id) as messages:
        for event, data in messages:
            if event == "gone":
                break
            if data["run"]["state"] == "completed":
                httpx.delete(f"{live.address}/api/runs/{run_id}", trust_env=False)
        assert event == "gone"
        assert list(messages) == []


def test_leaving_frees_the_stream(live):
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    with listen(live, run_id) as messages:
        next(messages)
        assert live.app.state.api.state.streams == 1
    deadline = time.monotonic() + 10
    while live.app.state.api.state.streams and time.monotonic() < deadline:
        time.sleep(0.02)
    assert live.app.state.api.state.streams == 0


def test_too_many_streams_are_refused(live, monkeypatch):
    monkeypatch.setattr(events, "MAX_STREAMS", 0)
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    answer = httpx.get(f"{live.address}/api/runs/{run_id}/events", trust_env=False)
    assert answer.status_code == 503


def test_a_quiet_stream_says_that_it_is_there(live, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    url = f"{live.address}/api/runs/{run_id}/events"
    with httpx.stream("GET", url, timeout=20, trust_env=False) as answer:
        assert any(line == ": still here" for line in answer.iter_lines())


def test_a_stream_does_not_keep_the_server_from_ending(live, studio):
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    with listen(live, run_id) as messages:
        next(messages)
        live.should_exit = True
        live.thread.join(10)
        assert not live.thread.is_alive()


def test_other_sites_get_no_stream(live):
    run_id = post(live, "/api/runs", json=CONFIG).json()["id"]
    url = f"{live.address}/api/runs/{run_id}/events"
    for headers in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 403
    assert httpx.get(url, headers={"Host": "evil.test"}, trust_env=False).status_code == 421
