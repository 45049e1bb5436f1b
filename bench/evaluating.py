"""What an evaluation takes: rows a second on both engines, beside one by one and bare requests."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.runs import Run
from app.serving.endpoints import EndpointBook
from app.serving.engines.local import LocalBackend
from app.studio import Studio
from bench.engines import (
    HELD_OUT,
    ONE_BY_ONE,
    REAL,
    START_S,
    STARTER,
    all_at_once,
    finished,
    one_by_one,
)
from bench.report import Number
from bench.serving import engine as stub
from trainer.contract.kinds.evaluation import Answered, read_report
from trainer.contract.rundir import RunDir
from trainer.engines.settings import EngineSettings

# Fewer rows for a quick look: what is written into the document is measured with all of them.
ALL = 1319
ROWS = int(os.environ.get("BENCH_EVAL_ROWS", ALL))
TOKENS = 256


@dataclass(frozen=True)
class Asked:
    """What is measured: a model and the rows that it answers, in a studio."""

    studio: Studio
    backend: LocalBackend
    model: Path
    source: Path


@dataclass(frozen=True)
class Rates:
    """One engine: what the run says; seconds of the whole run, of asking, and of bare requests."""

    answered: Answered
    whole_s: float
    asked_s: float
    bare_s: float

    @property
    def rate(self) -> float:
        """Rows a second of the evaluation, while it asked."""
        return self.answered.rows / self.asked_s

    @property
    def added(self) -> float:
        """What the evaluation took more than bare requests, as a share."""
        return self.asked_s / self.bare_s - 1


def is_whole() -> bool:
    """Tell whether the document's numbers are measured, rather than a quick look taken."""
    return ROWS >= ALL


def questions(source: Path) -> list[str]:
    """Return the rows' questions."""
    lines = source.read_text(encoding="utf-8").splitlines()[:ROWS]
    rows = [json.loads(line) for line in lines]
    return [str(row.get("question") or row["instruction"]) for row in rows]


def endless(folder: Path) -> Path:
    """Copy the starter as a model that never ends an answer, so that all are of one length.

    The rows of its end tokens in the table of embeddings, which is its head too, become zero: their
    score is 0, and some other token's is always above.
    """
    shutil.copytree(STARTER, folder)
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    with (folder / "model.safetensors").open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        table = json.loads(file.read(size))["model.embed_tokens.weight"]
        begin, end = table["data_offsets"]
        row = (end - begin) // table["shape"][0]
        for token in ends:
            file.seek(8 + size + begin + token * row)
            file.write(bytes(row))
    return folder


def evaluate(asked: Asked, kind: str, **more: object) -> tuple[Run, float]:
    """Evaluate the model in a run of its own; return it and its seconds."""
    begin = time.perf_counter()
    run = finished(asked.studio, {
        "kind": "evaluate", "name": kind, "models": [str(asked.model)],
        "data": [str(asked.source)], "metrics": ["numeric"], "max_samples": ROWS,
        "engine": kind, "device": "cpu",
        "generation": {"max_new_tokens": TOKENS}, **more})
    return run, time.perf_counter() - begin


def alone(asked: Asked, rates: Rates) -> Number:
    """Measure what an evaluation takes by itself: everything but the engine, which is a stub."""
    with stub(1e6) as route:
        name = f"stub-{rates.answered.engine}"
        EndpointBook(asked.studio.home).add(name, route.base_url, ["stub"])
        run, _ = evaluate(asked, "auto", models=[f"{name}/stub"],
                          batch_size=rates.answered.at_once)
        found = answered(asked.studio, run, rates.answered.rows)
    share = found.seconds / rates.asked_s
    return Number(f"{rates.answered.engine}: of that the evaluation by itself",
                  f"{found.seconds:.1f} s, {share:.1%}", "<= 5 %", share <= 0.05)


def answered(studio: Studio, run: Run, rows: int) -> Answered:
    """Return how a run's model answered; RuntimeError when rows or tokens are missing."""
    report = read_report(RunDir(studio.home.runs / run.id))
    if report is None or [(one.rows, one.tokens_out) for one in report.answered] != [
            (rows, rows * TOKENS)]:
        raise RuntimeError(f"{run.id} has not answered {rows} rows with {TOKENS} tokens each: "
                           f"{report.answered if report else None}")
    return report.answered[0]


async def bare(asked: Asked, kind: str, texts: Sequence[str], at_once: int) -> float:
    """Send the same requests to the same engine with nothing around them; return the seconds."""
    async with asked.backend.using(str(asked.model), engine=kind) as route:
        rate = await all_at_once(route, texts, at_once=at_once, tokens=TOKENS)
        return len(texts) / rate


def look(asked: Asked, kind: str) -> Rates:
    """Measure one engine: an evaluation, bare requests, and the same evaluation once more.

    A machine that becomes slower or faster meanwhile then does so for both.
    """
    texts = questions(asked.source)
    run, whole_s = evaluate(asked, kind)
    found = answered(asked.studio, run, len(texts))
    # In the order of the evaluation: the longest first.
    texts.sort(key=len, reverse=True)
    bare_s = asyncio.run(bare(asked, kind, texts, found.at_once))
    again = answered(asked.studio, evaluate(asked, kind)[0], len(texts))
    return Rates(found, whole_s, (found.seconds + again.seconds) / 2, bare_s)


def shown(kind: str, rates: Rates, plain: float) -> list[Number]:
    """Return an engine's lines."""
    found, rows = rates.answered, rates.answered.rows
    return [
        Number(f"{kind}: rows through an evaluation, {found.at_once} at once",
               f"{rates.rate:.2f} rows/s ({rates.rate / plain:.1f} x one by one)"),
        Number(f"{kind}: the same requests with nothing around them",
               f"{rows / rates.bare_s:.2f} rows/s"),
        Number(f"{kind}: added by the evaluation", f"{rates.added:+.1%}", "<= 5 %",
               rates.added <= 0.05),
        Number(f"{kind}: the whole run, of that loading the model",
               f"{rates.whole_s:.0f} s, {found.load_s:.0f} s")]


def measure(folder: Path) -> list[Number]:
    """Measure the engines that are installed; the others are named."""
    before, best = os.getloadavg()[0], 0.0
    studio = Studio.open(folder / "evaluating")
    backend = LocalBackend(studio, replace(EngineSettings.read(), kind="auto", start_s=START_S))
    asked = Asked(studio, backend, endless(studio.home.models / "endless"),
                  REAL if REAL.is_file() else HELD_OUT)
    texts = questions(asked.source)
    spread = texts[::max(1, len(texts) // ONE_BY_ONE)][:ONE_BY_ONE]
    plain = one_by_one(spread, asked.model, TOKENS)
    numbers = [Number(f"plain Transformers, one by one, {len(spread)} of {len(texts)} rows",
                      f"{plain:.2f} rows/s")]
    try:
        for kind in ("transformers", "vllm"):
            known = {one.kind: one for one in backend.kinds()}[kind]
            if not known.installed:
                numbers.append(Number(kind, f"not measured: {known.install}"))
                continue
            rates = look(asked, kind)
            best = max(best, rates.rate / plain)
            numbers += [*shown(kind, rates, plain), alone(asked, rates)]
    finally:
        backend.close()
        studio.close()
    load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    return [Number("processes that wanted to run, on average", load), *numbers,
            Number("the better one beside one by one", f"{best:.1f} x", ">= 5 x", best >= 5)]
