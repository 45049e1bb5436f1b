"""Real engines behind the studio: from load to first token, adapters, many questions at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from app.runs import Run
from app.serving.engines.local import LocalBackend
from app.studio import Studio
from bench.report import ROOT, Number
from bench.streams import Plan, compared
from trainer.engines.lines import Lines
from trainer.engines.route import Route
from trainer.engines.settings import EngineSettings

REAL = ROOT.parent / "shared" / "data" / "real" / "gsm8k_test.jsonl"
HELD_OUT = ROOT / "data" / "sample_instructions_heldout.jsonl"
STARTER = ROOT / "assets" / "starter"
QUESTIONS = 500
ONE_BY_ONE = 64
# A short answer with its reasoning; the shorter, the more of the time goes into requests.
TOKENS = 128
AT_ONCE = 64
# The processor bears so many at once without a queue inside of vLLM.
STREAMS = Plan(streams=16, questions=2, lengths=(32, 64))
START_S = 600.0
CONFIG = {
    "model": {"name_or_path": "starter"},
    "data": {"train": ["sample_instructions"], "max_samples": 32},
    "training": {"max_steps": 2, "device": "cpu", "eval_steps": None, "save_steps": None},
    "evaluation": {"exact_match": False, "samples": 0},
}


@dataclass(frozen=True)
class Seen:
    """What one engine did; times in seconds.

    Attributes:
        load_s: From asking for the base to an engine that answers.
        first_s: From the first question to its first token.
        again_s: The same for the second one.
        swap_s: From asking for an adapter to its first token, the second adapter of the engine.
        rate: Questions a second, many at once, of the base.
        lora_rate: The same of an adapter on it.
    """

    load_s: float
    first_s: float
    again_s: float
    swap_s: float
    rate: float
    lora_rate: float


def questions() -> list[str]:
    """Return questions that no training has seen."""
    path, key = (REAL, "question") if REAL.is_file() else (HELD_OUT, "instruction")
    lines = path.read_text(encoding="utf-8").splitlines()[:QUESTIONS]
    return [str(json.loads(line)[key]) for line in lines]


def finished(studio: Studio, config: dict[str, Any]) -> Run:
    """Create a run and wait until it is done; RuntimeError when it fails."""
    run = studio.create(config)
    while run.state in {"queued", "starting", "running"}:
        time.sleep(0.1)
        studio.ingest()
        studio.tick()
        run = studio.run(run.id)
    if run.state != "completed":
        raise RuntimeError(f"the run ended as {run.state}: {run.reason}")
    return run


def train(studio: Studio) -> list[str]:
    """Train two adapters for two steps; RuntimeError when one fails."""
    return [finished(studio, {"name": name, **CONFIG}).id for name in ("one", "two")]


def options(route: Route) -> dict[str, Any]:
    """Return what a client of an engine is made with."""
    return {"headers": {"Authorization": f"Bearer {route.key}"}, "trust_env": False,
            "timeout": httpx.Timeout(START_S)}


def body(route: Route, text: str, **more: Any) -> dict[str, Any]:
    """Return a question whose answer has as many tokens on every engine."""
    return {"model": route.model, "messages": [{"role": "user", "content": text}],
            "temperature": 0, "max_tokens": TOKENS, "ignore_eos": True, **more}


async def first_token(route: Route, text: str) -> float:
    """Ask as a stream; return the seconds until its first word."""
    begin = time.perf_counter()
    async with httpx.AsyncClient(**options(route)) as opened, opened.stream(
            "POST", f"{route.base_url}/chat/completions",
            json=body(route, text, stream=True)) as answer:
        last = f"status {answer.status_code}"
        async for line in answer.aiter_lines():
            last = line or last
            if line.startswith("data: {") and (json.loads(line[6:])["choices"][0]["delta"]
                                               .get("content")):
                return time.perf_counter() - begin
    raise RuntimeError(f"the engine said no word: {last[:300]}")


async def all_at_once(route: Route, texts: Sequence[str], *, at_once: int = AT_ONCE,
                      tokens: int = TOKENS) -> float:
    """Ask everything, so many at a time; return questions a second."""
    room, lines = asyncio.Semaphore(at_once), Lines(**options(route))

    async def ask(text: str) -> None:
        async with room:
            answer = await lines.post(f"{route.base_url}/chat/completions",
                                      json=body(route, text, max_tokens=tokens))
            if answer.raise_for_status().json()["usage"]["completion_tokens"] != tokens:
                raise RuntimeError(f"another count of tokens came: {answer.text[:300]}")

    try:
        begin = time.perf_counter()
        await asyncio.gather(*map(ask, texts))
        return len(texts) / (time.perf_counter() - begin)
    finally:
        await lines.close()


async def look(backend: LocalBackend, kind: str, runs: list[str], texts: list[str]) -> Seen:
    """Start an engine and take its times."""
    begin = time.perf_counter()
    async with backend.using("starter", engine=kind) as route:
        load_s = time.perf_counter() - begin
        first_s = await first_token(route, texts[0])
        again_s = await first_token(route, texts[1])
        rate = await all_at_once(route, texts)
    # The first adapter also makes the engine ready for adapters.
    for run in runs:
        begin = time.perf_counter()
        async with backend.using(run, engine=kind) as route:
            await first_token(route, texts[2])
        swap_s = time.perf_counter() - begin
    async with backend.using(runs[-1], engine=kind) as route:
        lora_rate = await all_at_once(route, texts)
    return Seen(load_s, first_s, again_s, swap_s, rate, lora_rate)


async def streams(backend: LocalBackend, folder: Path) -> list[Number]:
    """Ask vLLM straight and through the API."""
    async with backend.using("starter", engine="vllm") as route:
        straight, through = await asyncio.to_thread(compared, folder / "vllm", route, STREAMS, 2)
    what = f"vLLM, {STREAMS.streams} streams"
    share = through.rate / straight.rate
    return [Number(f"{what} straight", f"{straight.rate:,.0f} tokens/s"),
            Number(f"{what} through the API", f"{through.rate:,.0f} tokens/s ({share:.1%})"),
            Number("vLLM, first token, straight / through",
                   f"{straight.first_s * 1000:.0f} ms / {through.first_s * 1000:.0f} ms")]


def one_by_one(texts: Sequence[str], model: Path = STARTER, tokens: int = TOKENS) -> float:
    """Let plain Transformers answer in a process of its own; return questions a second."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.plain_child", str(model), str(tokens)],
        cwd=ROOT, input=json.dumps(texts), capture_output=True, text=True, check=True)
    return len(texts) / float(done.stdout.split()[-1])


def shown(kind: str, seen: Seen, plain: float) -> list[Number]:
    """Return an engine's lines; the goals for times are those of the Transformers engine."""
    times = (("first token after load", seen.first_s), ("another adapter, to its first token",
                                                        seen.swap_s))
    ours = kind == "transformers"
    return [
        Number(f"{kind}: load of the starter", f"{seen.load_s:.1f} s"),
        *(Number(f"{kind}: {what}", f"{took:.2f} s", "<= 1 s" if ours else "",
                 took <= 1 if ours else None) for what, took in times),
        Number(f"{kind}: first token of the second question", f"{seen.again_s:.2f} s"),
        *(Number(f"{kind}: batch generation beside one by one, {whose}",
                 f"{rate / plain:.1f} x, {rate:.1f} questions/s",
                 goal, rate >= 5 * plain if goal else None)
          for whose, rate, goal in (("base", seen.rate, "" if ours else ">= 5 x"),
                                    ("LoRA", seen.lora_rate, "")))]


def measure(folder: Path) -> list[Number]:
    """Measure the engines that are installed; the others are named."""
    settings = replace(EngineSettings.read(), kind="auto", start_s=START_S)
    studio, texts = Studio.open(folder / "engines"), questions()
    plain = one_by_one(texts[:ONE_BY_ONE])
    numbers = [Number(f"plain Transformers, one by one, {ONE_BY_ONE} of {len(texts)}",
                      f"{plain:.2f} questions/s")]
    backend = LocalBackend(studio, settings)
    try:
        runs = train(studio)
        for kind in ("transformers", "vllm"):
            found = {one.kind: one for one in backend.kinds()}[kind]
            if not found.installed:
                numbers.append(Number(kind, f"not measured: {found.install}"))
                continue
            numbers += shown(kind, asyncio.run(look(backend, kind, runs, texts)), plain)
        if found.installed:
            numbers += asyncio.run(streams(backend, folder))
    finally:
        backend.close()
        studio.close()
    return numbers
