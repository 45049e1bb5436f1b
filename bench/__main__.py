"""``python -m bench [board] [training] [demo]``, or of the parts that have a section of their own.

These are ``data``, ``train``, ``serve``, ``eval`` and ``scoring``. docs/benchmarks.md has a section
for the studio and one for each of them; a section is written only when all of it was measured. Ends
with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import board, compared, data, evaluating, gpu, scoring, serving, training
from bench.report import (
    DATA,
    EVALUATING,
    METHODS,
    ROOT,
    SCORING,
    SERVING,
    STUDIO,
    Number,
    section,
    table,
    with_section,
)

PARTS = ("board", "training", "demo")
# Each with its section and the command that writes it.
ALONE = {"data": (DATA, "make bench-data"), "train": (METHODS, "make bench-train"),
         "serve": (SERVING, "make bench-serve"), "eval": (EVALUATING, "make bench-eval"),
         "scoring": (SCORING, "make bench-eval")}
BENCHMARKS = ROOT / "docs" / "benchmarks.md"


def measure_demo(folder: Path) -> list[Number]:
    """Run the demo in an empty home.

    Raises:
        RuntimeError: It failed in another way than by too few right answers.
    """
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "app.demo", "--home", str(folder / "demo")],
                          cwd=ROOT, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    took = time.monotonic() - begin
    shares = re.findall(r"exact match (?:before|after) training:\s+([\d.]+)%", done.stdout)
    if len(shares) != 2:
        raise RuntimeError(f"the demo printed no result:\n{done.stdout[-2000:]}{done.stderr}")
    before, after = map(float, shares)
    return [
        Number("demo after set-up", f"{took:.0f} s", "<= 300 s", took <= 300),
        Number("held-out exact match before", f"{before:.1f} %", "< 20 %", before < 20),
        Number("held-out exact match after", f"{after:.1f} %", "> 80 %", after > 80),
    ]


def measure(part: str, folder: Path, rounds: int) -> list[Number]:
    """Measure one part."""
    if part == "board":
        return board.measure(folder, rounds)
    if part == "data":
        return data.measure(folder)
    if part == "train":
        return compared.measure(folder, min(rounds, 3)) + gpu.measure(folder)
    if part == "serve":
        return serving.measure(folder)
    if part == "eval":
        return evaluating.measure(folder)
    if part == "scoring":
        return scoring.measure()
    return training.measure(folder) if part == "training" else measure_demo(folder)


def write(title: str, numbers: list[Number], command: str) -> None:
    """Write one section of the document; the others stay."""
    today = datetime.date.today().isoformat()
    text = with_section(BENCHMARKS.read_text(encoding="utf-8"),
                        section(title, numbers, command, today))
    BENCHMARKS.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"of {', '.join(PARTS)}; or {' or '.join(ALONE)}")
    parser.add_argument("--rounds", type=int, default=5,
                        help="starts of each server; processes of each side of training, at most 3")
    options = parser.parse_args()
    if unknown := set(options.parts) - {*PARTS, *ALONE}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if os.getloadavg()[0] > 1:
        print("Other programs are busy on this machine; the numbers will be too large.",
              file=sys.stderr)
    numbers: list[Number] = []
    with tempfile.TemporaryDirectory(prefix="finestra-bench-") as folder:
        for part in (*PARTS, *ALONE):
            if part in (options.parts or PARTS):
                print(f"measuring: {part}", file=sys.stderr, flush=True)
                found = measure(part, Path(folder), options.rounds)
                numbers += found
                if part in ALONE and evaluating.is_whole():
                    write(ALONE[part][0], found, ALONE[part][1])
    print(table(numbers))
    if not options.parts:
        write(STUDIO, numbers, "make bench")
    return 1 if any(number.met is False for number in numbers) else 0


if __name__ == "__main__":
    raise SystemExit(main())
