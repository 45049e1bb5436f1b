"""``python -m tests.matrix [--part I/N] [--minutes M] [--again]``: tries the matrix.

The plan is made once for the sources as they are (minutes, no model). Its cases are trained in
children of ``CHUNK`` each, so that none inherits much from those before it, and each outcome goes
to a file at once: a run that was broken off, or that does a part, is gone on with by the next.
Cases that failed are tried again. Writes docs/matrix.md; ends with 1 when a case failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.matrix.plan import ROOT, Plan, Planner, kept_plan, key_of
from tests.matrix.report import DOCUMENT, document
from tests.matrix.space import Values

CHUNK = 40
LONGEST_S = 60 * CHUNK


def make_plan(seed: int) -> Plan:
    """Draw, repair and complete the cases."""
    from tests.matrix.cases import Bench

    with tempfile.TemporaryDirectory(prefix="finestra-matrix-") as folder:
        at_home(Path(folder))
        return Planner(Bench(Path(folder)).check, seed, say).make()


def work(source: Path, target: Path) -> None:
    """Try the cases of a file in this process; a line a case goes to the target."""
    from tests.matrix.cases import Bench

    with tempfile.TemporaryDirectory(prefix="finestra-matrix-") as folder, \
            target.open("a", encoding="utf-8") as out:
        at_home(Path(folder))
        bench = Bench(Path(folder))
        for values in json.loads(source.read_text(encoding="utf-8")):
            found = bench.try_out(values)
            out.write(json.dumps(found.document(), ensure_ascii=False) + "\n")
            out.flush()
        bench.close()


def at_home(folder: Path) -> None:
    """Let this process keep its runs in a folder of its own."""
    os.environ["FINESTRA_HOME"], os.environ["FINESTRA_RUNS"] = str(folder), f"{folder}/runs"


def in_child(cases: list[Values], outcomes: Path) -> list[dict[str, Any]]:
    """Try cases in a child; one that dies or hangs fails the case it was at."""
    with tempfile.TemporaryDirectory(prefix="finestra-matrix-") as folder:
        source, target = Path(folder, "cases.json"), Path(folder, "outcomes.jsonl")
        source.write_text(json.dumps(cases), encoding="utf-8")
        target.touch()
        errors = Path(folder, "errors")
        with errors.open("w") as said:
            child = subprocess.Popen([sys.executable, "-m", "tests.matrix", "--work", str(source),
                                      str(target)], cwd=ROOT, stdout=said, stderr=said)
        found = follow(child, target, outcomes)
        if len(found) < len(cases):
            lost = {"kind": "failed", "values": cases[len(found)], "seconds": 0.0,
                    "message": f"the child died ({child.returncode}): "
                               f"{errors.read_text(errors='replace')[-1500:]}"}
            found.append(lost)
            record(outcomes, lost)
    return found


def follow(child: subprocess.Popen[bytes], target: Path, outcomes: Path) -> list[dict[str, Any]]:
    """Copy a child's outcomes while it works; end it when it takes too long."""
    found: list[dict[str, Any]] = []
    begin = time.monotonic()
    while True:
        over = child.poll() is not None
        lines = target.read_text(encoding="utf-8").split("\n")[:-1]
        for line in lines[len(found):]:
            found.append(json.loads(line))
            record(outcomes, found[-1])
        if over:
            return found
        if time.monotonic() - begin > LONGEST_S:
            child.kill()
        time.sleep(0.5)


def record(outcomes: Path, one: dict[str, Any]) -> None:
    """Keep an outcome, and say it when it is a failure."""
    with outcomes.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"key": key_of(one["values"]), **one}, ensure_ascii=False) + "\n")
    if one["kind"] == "failed":
        say(f"FAILED {json.dumps(one['values'], ensure_ascii=False)}\n{one['message']}")


def read_outcomes(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last outcome of each case by its key."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {one["key"]: one for one in map(json.loads, lines)}


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def main() -> int:
    """Run the matrix; returns the exit status."""
    given = arguments()
    if given.work:
        work(*given.work)
        return 0
    given.folder.mkdir(parents=True, exist_ok=True)
    plan = kept_plan(given.folder, given.seed, lambda: make_plan(given.seed))
    outcomes = given.folder / "outcomes.jsonl"
    if given.again:
        outcomes.unlink(missing_ok=True)
    known = read_outcomes(outcomes)
    number, parts = map(int, given.part.split("/"))
    open_cases = [values for values in plan.cases[number - 1::parts]
                  if known.get(key_of(values), {}).get("kind") != "trained"]
    begin, tried = time.monotonic(), 0
    while tried < len(open_cases) and time.monotonic() - begin < given.minutes * 60:
        tried += len(in_child(open_cases[tried:tried + given.chunk], outcomes))
        say(f"{tried} of {len(open_cases)} tried")
    known = read_outcomes(outcomes)
    text = document(plan, known, given.seed)
    DOCUMENT.write_text(text, encoding="utf-8")
    say(text)
    failed = [one for one in known.values() if one["kind"] == "failed"]
    return 1 if plan.silent or any(key_of(v) in {one["key"] for one in failed}
                                   for v in plan.cases) else 0


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--part", default="1/1", help="such as 2/4: every fourth case")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="begin no child later")
    parser.add_argument("--again", action="store_true", help="forget the outcomes so far")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chunk", type=int, default=CHUNK, help="cases a child")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "matrix",
                        help="where plan and outcomes are kept")
    parser.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
