"""Runs the test suites one after the other, each with a time budget, and adds them up.

``python -m tests.suites [NAME ...]``; without a name, all but ``long``. A suite that runs no test
or fails makes the exit status 1; the others still run. A suite over its budget is only named, so
that a busy machine fails nothing; one that takes ``HANG_FACTOR`` times as long hangs and is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
HANG_FACTOR = 5
APART = ("training", "faults", "serving", "browser")


@dataclass(frozen=True)
class Suite:
    """Tests chosen by marker, and the seconds they should take on two idle cores.

    With several ``workers`` pytest-xdist deals whole files out to that many processes.
    """

    name: str
    budget_s: int
    workers: int = 1

    @property
    def markers(self) -> str:
        """Return the pytest -m expression; a test belongs to the last suite that claims it."""
        if self.name == "long":
            return "long"
        if self.name == "unit":
            return " and ".join(f"not {name}" for name in (*APART, "long"))
        later = APART[APART.index(self.name) + 1:]
        return " and ".join([self.name, *(f"not {name}" for name in (*later, "long"))])

    @property
    def spread(self) -> list[str]:
        """Return pytest's options for several workers."""
        return ["-n", str(self.workers), "--dist", "loadfile"] if self.workers > 1 else []


# Training has most to do: a few real steps of each objective, method, optimizer and recipe.
SUITES = (
    Suite("unit", 180, workers=2), Suite("training", 600), Suite("faults", 240),
    Suite("serving", 120), Suite("browser", 360), Suite("long", 3600),
)


def run_suite(suite: Suite, report: Path) -> int:
    """Run one suite in its own process group; return pytest's status, 124 when it hangs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-m", suite.markers, *suite.spread,
         f"--junit-xml={report}"],
        cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        return process.wait(timeout=suite.budget_s * HANG_FACTOR)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return 124


def count(report: Path) -> Counter[str]:
    """Return passed, failed and skipped of a JUnit report; nothing when there is none."""
    if not report.exists():
        return Counter()
    totals: Counter[str] = Counter()
    for node in ElementTree.parse(report).iter("testsuite"):
        number = {key: int(node.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        failed = number["failures"] + number["errors"]
        totals["failed"] += failed
        totals["skipped"] += number["skipped"]
        totals["passed"] += number["tests"] - failed - number["skipped"]
    return totals


def explain(status: int, suite: Suite, counts: Counter[str]) -> str:
    """Return what went wrong with a suite in a few words, or ''."""
    if status == 124:
        return f"hung: ended after {suite.budget_s * HANG_FACTOR} s"
    if status == 5 or (status == 0 and not counts["passed"]):
        return "ran no test"
    return f"pytest ended with {status}" if status else ""


def main(names: list[str]) -> int:
    """Run the named suites and print one closing line; return the exit status."""
    unknown = set(names) - {suite.name for suite in SUITES}
    if unknown:
        print(f"Unknown suite: {', '.join(sorted(unknown))}. "
              f"There are: {', '.join(suite.name for suite in SUITES)}.", file=sys.stderr)
        return 2
    chosen = [s for s in SUITES if s.name in names or (not names and s.name != "long")]
    totals: Counter[str] = Counter()
    lines = []
    with tempfile.TemporaryDirectory(prefix="finestra-tests-") as folder:
        for suite in chosen:
            print(f"== {suite.name} (about {suite.budget_s} s at most)", flush=True)
            started = time.monotonic()
            report = Path(folder) / f"{suite.name}.xml"
            status = run_suite(suite, report)
            counts = count(report)
            wrong = explain(status, suite, counts)
            if wrong and not counts["failed"]:
                counts["failed"] = 1
            totals += counts
            took = time.monotonic() - started
            slow = f" (over its budget of {suite.budget_s} s)" if took > suite.budget_s else ""
            lines.append(f"{suite.name:9} {took:5.0f} s  {wrong or 'ok'}{slow}")
    print("\n".join(["", *lines]))
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
