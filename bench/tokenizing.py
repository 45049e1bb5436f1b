"""How fast rows become tokens: ours beside bare ``tokenizers``, and beside LLaMA-Factory.

Ours is all of it in one process: reading, converting, rendering, encoding, labels, the Arrow file.
Bare is one ``encode_batch`` of the same texts, rendered before, with as many threads. LLaMA-Factory
is measured where ``FINESTRA_LLAMAFACTORY_PYTHON`` names an interpreter that has it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report import ROOT, Number
from trainer.contract.places import starter

REAL = ROOT.parent / "shared" / "data" / "real" / "gsm8k_train.jsonl"
ROWS = 7_473
ROUNDS = 5
REFERENCE = "FINESTRA_LLAMAFACTORY_PYTHON"
_STEPS = ("She buys {} more in the morning and gives {} away, so that <<{}-{}={}>>{} are left. "
          * 2).strip()


def questions(folder: Path) -> tuple[Path, str]:
    """Return GSM8K's training rows, or as many generated ones of about their length."""
    if REAL.is_file():
        return REAL, "GSM8K"
    path = folder / "questions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for n in range(ROWS):
            text = _STEPS.format(*(n % (k + 7) for k in range(12)))
            file.write(json.dumps({"question": f"Maria has {n} apples. {text} How many?",
                                   "answer": f"{text}\n#### {n}"}) + "\n")
    return path, "generated"


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def race(path: Path) -> dict[str, float]:
    """Tokenise a file in turns by ours and bare; return median seconds and the rows."""
    from tokenizers import Tokenizer as Engine

    from trainer.data.catalog import registry
    from trainer.data.checking.check import examples, shape_of
    from trainer.data.templates.limits import few_collections
    from trainer.data.tokens.arrows import TokenWriter
    from trainer.data.tokens.loaded import encoder_of, load
    from trainer.data.tokens.tokenize import Preparer

    model = load(starter())
    spec = registry.load(None).resolve(str(path))
    shape = shape_of(spec)
    texts = [model.template.render(example.messages, example.tools).text
             for example in examples(spec, shape, objective="sft")]

    def ours(target: Path) -> None:
        preparer = Preparer(encoder_of(model, "turns", {"max_length": 512}))
        with few_collections(), TokenWriter(target, "sft") as writer:
            for fitted in preparer.prepare(examples(spec, shape, objective="sft")):
                writer.add(fitted)

    bare = Engine.from_file(str(starter() / "tokenizer.json"))
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS + 1):
            took = {"ours": timed(lambda: ours(Path(folder) / "rows.arrow")),
                    "bare": timed(lambda: bare.encode_batch(texts, add_special_tokens=False))}
            for name, seconds in took.items() if turn else ():
                times[name].append(seconds)
    return {**{name: statistics.median(found) for name, found in times.items()},
            "rows": len(texts)}


def raced(path: Path, threads: int | None) -> dict[str, float]:
    """Race in a process of its own, on so many threads of ``tokenizers``; None: on all cores."""
    extra = {"RAYON_NUM_THREADS": str(threads)} if threads else {}
    done = subprocess.run([sys.executable, "-m", "bench.tokenizing", str(path)], cwd=ROOT,
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "TOKENIZERS_PARALLELISM": "true", **extra})
    if done.returncode:
        raise RuntimeError(f"tokenising {path.name} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def reference(path: Path) -> float | None:
    """Return LLaMA-Factory's rows per second in one process; None where it is not installed."""
    interpreter = os.environ.get(REFERENCE)
    if not interpreter:
        return None
    speeds = []
    for _ in range(3):
        done = subprocess.run([interpreter, str(ROOT / "bench" / "llamafactory_tokenizing.py"),
                               str(starter()), str(path)], capture_output=True, text=True,
                              check=False)
        found = re.search(r"rows/s (\d+)", done.stdout)
        if not found:
            raise RuntimeError(f"LLaMA-Factory could not tokenise:\n{done.stderr[-2000:]}")
        speeds.append(float(found[1]))
    return statistics.median(speeds)


def measure(folder: Path) -> list[Number]:
    """Measure ours, bare and, where it is there, LLaMA-Factory.

    Raises:
        RuntimeError: One of them failed.
    """
    path, name = questions(folder)
    numbers = []
    for threads in (None, 1):
        found = raced(path, threads)
        rate, bare = found["rows"] / found["ours"], found["rows"] / found["bare"]
        on = "1 thread" if threads else "all cores"
        share = rate / bare
        numbers += [
            Number(f"tokenising {name}, {found['rows']:,.0f} rows, {on}", f"{rate:,.0f} rows/s"),
            Number(f"bare encode_batch of the same, {on}", f"{bare:,.0f} rows/s"),
            Number(f"tokenising beside bare, {on}", f"{share:.0%}", ">= 70 %", share >= 0.7)]
        if threads is None:
            best = rate
    theirs = reference(path)
    if theirs is not None:
        numbers.append(Number("tokenising beside LLaMA-Factory's (1 process)",
                              f"{best / theirs:.1f} x {theirs:,.0f} rows/s", ">= 1.5 x",
                              best >= 1.5 * theirs))
    return numbers


if __name__ == "__main__":
    print(json.dumps(race(Path(sys.argv[1]))))
