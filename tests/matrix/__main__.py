"""``python -m tests.matrix [--cases N] [--seed S]``: tries the matrix, prints what is covered.

Cases are tried in children of ``CHUNK`` each, so that none inherits much from those before it.
Writes docs/matrix.md when all of it was tried. Ends with 1 when a case failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from tests.matrix.space import Values, pairs_of, rows

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 40
DOCUMENT = ROOT / "docs" / "matrix.md"


def work(source: Path, target: Path) -> None:
    """Try the cases of a file in this process; a line a case goes to the target."""
    from tests.matrix.cases import Bench

    with tempfile.TemporaryDirectory(prefix="finestra-matrix-") as folder, \
            target.open("a", encoding="utf-8") as out:
        os.environ["FINESTRA_HOME"] = folder
        os.environ["FINESTRA_RUNS"] = f"{folder}/runs"
        bench = Bench(Path(folder))
        for values in json.loads(source.read_text(encoding="utf-8")):
            found = bench.try_out(values)
            out.write(json.dumps(found.document(), ensure_ascii=False) + "\n")
            out.flush()


def in_children(cases: list[Values], folder: Path) -> list[dict[str, Any]]:
    """Try the cases, a chunk a child; a child that dies fails the case it was at."""
    found: list[dict[str, Any]] = []
    while len(found) < len(cases):
        chunk = cases[len(found):len(found) + CHUNK]
        source, target = folder / "cases.json", folder / f"outcomes-{len(found)}.jsonl"
        source.write_text(json.dumps(chunk), encoding="utf-8")
        target.touch()
        done = subprocess.run([sys.executable, "-m", "tests.matrix", "--work", str(source),
                               str(target)], cwd=ROOT, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
        if len(lines) < len(chunk):
            lines.append({"kind": "failed", "values": chunk[len(lines)], "refusals": [],
                          "message": f"the child died ({done.returncode}): "
                          f"{done.stderr[-1500:]}", "seconds": 0.0})
        found += lines
        tell(found[-len(lines):], len(found), len(cases))
    return found


def tell(fresh: list[dict[str, Any]], done: int, total: int) -> None:
    """Print how far it is, and each case that failed."""
    kinds = Counter(one["kind"] for one in fresh)
    print(f"{done}/{total}: {dict(kinds)}", flush=True)
    for one in fresh:
        if one["kind"] == "failed":
            print(json.dumps(one["values"], ensure_ascii=False), one["message"], sep="\n",
                  flush=True)


def summary(cases: list[Values], found: list[dict[str, Any]]) -> str:
    """Return what was covered, as the lines of a Markdown list."""
    asked = set().union(*map(pairs_of, cases))
    trained = set().union(*(pairs_of(one["values"]) for one in found if one["kind"] == "trained"))
    kinds = Counter(one["kind"] for one in found)
    codes = Counter(code for one in found for _, _, code in one["refusals"])
    seconds = sum(one["seconds"] for one in found)
    return "\n".join([
        f"- {len(cases):,} configs, {len(asked):,} pairs of choices asked for",
        f"- {kinds['trained']:,} trained two steps, {kinds['refused']:,} refused with a reason, "
        f"{kinds['failed']:,} failed; {seconds / 60:.0f} minutes",
        f"- {len(trained & asked):,} of these pairs were trained "
        f"({len(trained & asked) / max(1, len(asked)):.0%}), {len(trained - asked):,} others "
        "besides; the rest were refused (what is refused is put back to its default, then the "
        "config is tried again)",
        "- refusals by code: " + ", ".join(f"`{code}` {n}" for code, n in codes.most_common())])


def main() -> int:
    """Run the matrix; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--cases", type=int, help="only the first so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(*given.work)
        return 0
    cases = list(islice(rows(given.seed), given.cases))
    with tempfile.TemporaryDirectory(prefix="finestra-matrix-") as folder:
        found = in_children(cases, Path(folder))
    text = summary(cases, found)
    print(text)
    if given.cases is None:
        DOCUMENT.write_text(
            "# The matrix\n\nEvery pair of choices of the Train form, as `make test-matrix` last "
            f"tried them (seed {given.seed}; starter, sample data, CPU).\n\n{text}\n",
            encoding="utf-8")
    return 1 if any(one["kind"] == "failed" for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
