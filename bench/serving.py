"""What the studio's API costs: streams through it, and straight to the engine behind it."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.home import Home
from app.serving.endpoints import EndpointBook
from bench.report import ROOT, Number
from bench.servers import free_port, studio

STREAMS = 32
QUESTIONS = 5
CHUNKS = (60, 180)
CHUNKS_PER_S = 2000
ROUNDS = 3


@dataclass(frozen=True)
class Load:
    """What a round of streams measured.

    Attributes:
        chunks_per_s: Chunks of all streams in the time that all of them took.
        first_s: From sending a question to its first chunk, each question.
    """

    chunks_per_s: float
    first_s: list[float]


@contextmanager
def engine(chunks_per_s: float) -> Iterator[str]:
    """Run the stub engine in a process of its own; yield its base URL."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.stub_engine", str(port),
                           str(chunks_per_s)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


async def ask(base_url: str, model: str, lengths: list[int], first_s: list[float]) -> int:
    """Ask one question after the other over one connection; return the chunks that came."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    came = 0
    for length in lengths:
        body = json.dumps({"model": model, "stream": True, "max_tokens": length,
                           "messages": [{"role": "user", "content": "How is the weather?"}]})
        begin = time.perf_counter()
        writer.write((f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
                      "content-type: application/json\r\n"
                      f"content-length: {len(body)}\r\n\r\n{body}").encode())
        tail, told = b"", False
        while not tail.endswith(b"0\r\n\r\n"):
            data = await reader.read(1 << 16)
            if not data:
                raise RuntimeError(f"the stream broke off: {tail[-200:]!r}")
            # What is cut in two is counted with the second half.
            came += (tail[-5:] + data).count(b"data: ") - tail[-5:].count(b"data: ")
            if not told and b"data: " in data:
                told = True
                first_s.append(time.perf_counter() - begin)
            tail = (tail + data)[-200:]
        came -= 1  # [DONE]
    writer.close()
    if came != sum(lengths):
        raise RuntimeError(f"{came} chunks came of {sum(lengths)}")
    return came


def load(base_url: str, model: str, seed: int) -> Load:
    """Keep all streams busy until each has had its questions answered."""
    chance = random.Random(seed)
    plan = [[chance.randint(*CHUNKS) for _ in range(QUESTIONS)] for _ in range(STREAMS)]
    first_s: list[float] = []

    async def together() -> int:
        return sum(await asyncio.gather(*(ask(base_url, model, lengths, first_s)
                                          for lengths in plan)))

    begin = time.perf_counter()
    came = asyncio.run(together())
    return Load(came / (time.perf_counter() - begin), first_s)


def compare(folder: Path, chunks_per_s: float, rounds: int) -> tuple[list[Load], list[Load]]:
    """Load the engine straight and through the studio, in turns."""
    straight, through = [], []
    home = Home.open(folder / f"serving-{chunks_per_s:.0f}")
    with engine(chunks_per_s) as base_url:
        EndpointBook(home).add("stub", base_url, ["stub"])
        with studio(home.root) as server:
            for seed in range(rounds):
                straight.append(load(base_url, "stub", seed))
                through.append(load(f"{server.url}v1", "stub/stub", seed))
    return straight, through


def measure(folder: Path) -> list[Number]:
    """Measure throughput and time to first token at the rate of the goal, and the most there is."""
    straight, through = compare(folder, CHUNKS_PER_S, ROUNDS)
    rate, ours = (statistics.median(one.chunks_per_s for one in loads)
                  for loads in (straight, through))
    first, later = (statistics.median(s for one in loads for s in one.first_s) * 1000
                    for loads in (straight, through))
    most, passed = (loads[0].chunks_per_s for loads in compare(folder, 1e6, 1))
    return [
        Number(f"{STREAMS} streams straight to the engine", f"{rate:,.0f} chunks/s"),
        Number(f"{STREAMS} streams through the API", f"{ours:,.0f} chunks/s"),
        Number("through / straight", f"{ours / rate:.1%}", ">= 95 %", ours / rate >= 0.95),
        Number("first token, straight", f"{first:.1f} ms"),
        Number("first token, through", f"{later:.1f} ms"),
        Number("added to the first token", f"{later - first:.1f} ms", "<= 10 ms",
               later - first <= 10),
        Number("most that the engine streams", f"{most:,.0f} chunks/s"),
        Number("most that passes through the API", f"{passed:,.0f} chunks/s"),
    ]
