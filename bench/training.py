"""From Start to the first step, and from a step to its point on the page."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.report import Number
from bench.servers import studio
from trainer.contract.events import MetricsEvent, from_line
from trainer.contract.rundir import RunDir

STEPS = 60
CONFIG = {
    "name": "bench",
    "model": {"name_or_path": "starter"},
    "data": {"train": ["sample_instructions"]},
    "training": {"max_steps": STEPS, "eval_steps": None, "save_steps": None},
    "evaluation": {"exact_match": False, "samples": 0},
}


def written(folder: Path) -> dict[int, float]:
    """Return when the trainer wrote each step's loss: step -> Unix seconds."""
    times: dict[int, float] = {}
    attempt = RunDir(folder).latest()
    if attempt is None or not attempt.events.exists():
        return times
    for line in attempt.events.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        event = from_line(line)
        if isinstance(event, MetricsEvent) and event.values.get("loss") is not None:
            times.setdefault(event.step, event.time)
    return times


def follow(client: httpx.Client, run_id: str, page: Any, limit_s: float,
           ) -> tuple[dict[int, float], dict[int, float], str]:
    """Ask REST and the page until the run has ended.

    Returns:
        (when REST had each step, when the page showed it, the state at the end).

    Raises:
        RuntimeError: The run has not ended within the limit.
    """
    by_rest: dict[int, float] = {}
    by_page: dict[int, float] = {}
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        series = client.get(f"/api/runs/{run_id}/metrics", params={"name": "loss"}).json()
        now = time.time()
        for step, _ in series["series"].get("loss", []):
            by_rest.setdefault(step, now)
        by_page.setdefault(shown_step(page), time.time())
        state = client.get(f"/api/runs/{run_id}").json()["state"]
        if state in {"completed", "failed", "stopped", "interrupted"}:
            return by_rest, by_page, state
        time.sleep(0.05)
    raise RuntimeError(f"the run has not ended within {limit_s:.0f} s")


def shown_step(page: Any) -> int:
    """Return the last step whose point the page's loss curve has drawn, 0 when none.

    The loss is logged at every step, so the curve's points are as many as the steps.
    """
    return int(page.evaluate("""() => Number(
        document.querySelector('#run-charts [data-chart=loss]')?.dataset.points ?? 0)"""))


def delays(seen: dict[int, float], times: dict[int, float]) -> list[float]:
    """Return for each shown step the seconds since it was written.

    A page that jumps from step 3 to step 6 has shown 4 and 5 with 6.
    """
    waits = []
    for step, when in sorted(times.items()):
        shown = [at for other, at in seen.items() if other >= step]
        if shown:
            waits.append(max(0.0, min(shown) - when))
    return waits


@contextmanager
def chromium() -> Iterator[Any]:
    """Open one page in the system's Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.e2e.browser import launch

    with sync_playwright() as playwright:
        browser = launch(playwright)
        try:
            yield browser.new_page()
        finally:
            browser.close()


def spread(waits: list[float]) -> str:
    """Return median and largest of some waits."""
    return f"{statistics.median(waits):.2f} s median, {max(waits):.2f} s at most"


def measure(folder: Path) -> list[Number]:
    """Train a few steps through the server with a page open.

    Raises:
        RuntimeError: The run failed, so that there is nothing to measure.
    """
    with studio(folder / "training") as server, chromium() as page, \
            httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        begin = time.time()
        run = client.post("/api/runs", json=CONFIG).raise_for_status().json()
        page.goto(f"{server.url}run?id={run['id']}")
        by_rest, by_page, state = follow(client, run["id"], page, 300)
        times = written(Path(run["dir"]))
    if state != "completed" or len(times) != STEPS:
        raise RuntimeError(f"the run ended as {state} after {len(times)} steps")
    rest, page_waits = delays(by_rest, times), delays(by_page, times)
    first = min(times.values()) - begin
    pace = (len(times) - 1) / (max(times.values()) - min(times.values()))
    return [
        Number("Start to first training step", f"{first:.1f} s", "<= 15 s", first <= 15),
        Number("a step's point over REST", spread(rest), "<= 2 s", max(rest) <= 2),
        Number("a step's point on the page", spread(page_waits), "<= 2 s", max(page_waits) <= 2),
        Number("training steps meanwhile", f"{pace:.1f} per s"),
    ]
