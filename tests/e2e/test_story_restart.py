"""The server dies while a run trains; the page comes back with the same run, whole."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import refresh_after_a_restart
from tests.e2e.server import Server

pytestmark = pytest.mark.browser

CONFIG = {
    "name": "survivor",
    "data": {"train": ["sample_instructions"], "max_length": 128},
    "training": {"max_steps": 40, "eval_steps": None, "save_steps": 20},
    "evaluation": {"samples": 0},
}


def test_killed_server_leaves_no_gap_and_no_double_point(page: Page, server: Server, picture):
    run_id = server.api.post("/runs", json=CONFIG).raise_for_status().json()["id"]
    page.goto(f"{server.url}/run?id={run_id}")
    server.until("the run has taken some steps", lambda: len(server.points(run_id)) >= 3, 120)
    server.kill()
    before = server.home / "runs" / run_id / "attempts" / "001" / "events.jsonl"
    size = before.stat().st_size
    server.until("the trainer goes on without a server", lambda: before.stat().st_size > size)

    server.start()
    assert [run["id"] for run in server.api.get("/runs").json()["runs"]] == [run_id]
    refresh_after_a_restart(page)
    expect(page.locator("#run-hero [data-state=completed]")).to_be_visible(timeout=120_000)
    points = server.points(run_id)
    assert [step for step, _ in points] == list(range(1, 41))
    assert server.run(run_id)["attempts"] == 1
    chart = page.locator("#run-charts [data-chart=loss]")
    expect(chart).to_have_attribute("data-points", "40")
    picture("after")
