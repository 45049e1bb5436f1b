"""Streams side by side, asked with little of our own: what passes is what is measured."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.home import Home
from app.serving.endpoints import EndpointBook
from app.serving.route import Route
from bench.servers import studio


@dataclass(frozen=True)
class Plan:
    """How much is asked.

    Attributes:
        streams: Connections at a time.
        questions: Of each connection, one after the other.
        lengths: Smallest and largest count of tokens of an answer.
    """

    streams: int
    questions: int
    lengths: tuple[int, int]

    def draw(self, seed: int) -> list[list[int]]:
        """Return the length of each answer, a row for each connection."""
        chance = random.Random(seed)
        return [[chance.randint(*self.lengths) for _ in range(self.questions)]
                for _ in range(self.streams)]


@dataclass(frozen=True)
class Load:
    """What rounds of streams measured.

    Attributes:
        rates: Tokens a second of all streams together, each round.
        firsts: Seconds from sending a question to its first chunk, each question.
        chunks: How many events came, each round.
    """

    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of the rates."""
        return statistics.median(self.rates)

    @property
    def first_s(self) -> float:
        """The median of the times to the first chunk."""
        return statistics.median(self.firsts)


async def ask(route: Route, lengths: list[int], firsts: list[float]) -> int:
    """Ask one question after the other over one connection; return the chunks that came.

    Raises:
        RuntimeError: A stream broke off, or is none.
    """
    parts = urlsplit(route.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    came = 0
    for length in lengths:
        body = json.dumps({"model": route.model, "stream": True, "max_tokens": length,
                           "ignore_eos": True,
                           "messages": [{"role": "user", "content": "How is the weather?"}]})
        begin = time.perf_counter()
        writer.write((f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
                      f"authorization: Bearer {route.key or 'none'}\r\n"
                      "content-type: application/json\r\n"
                      f"content-length: {len(body)}\r\n\r\n{body}").encode())
        tail, told = b"", False
        while not tail.endswith(b"0\r\n\r\n"):
            data = await reader.read(1 << 16)
            if not data or (not tail and b" 200 " not in data[:20]):
                raise RuntimeError(f"the stream broke off: {(tail + data)[-300:]!r}")
            # What is cut in two is counted with the second half.
            came += (tail[-5:] + data).count(b"data: ") - tail[-5:].count(b"data: ")
            if not told and b"data: " in data:
                told = True
                firsts.append(time.perf_counter() - begin)
            tail = (tail + data)[-200:]
        came -= 1  # [DONE]
    writer.close()
    return came


def run(route: Route, plan: Plan, seed: int, found: Load) -> None:
    """Keep all streams busy until each has had its questions answered."""
    lengths = plan.draw(seed)

    async def together() -> int:
        return sum(await asyncio.gather(*(ask(route, row, found.firsts) for row in lengths)))

    begin = time.perf_counter()
    found.chunks.append(asyncio.run(together()))
    found.rates.append(sum(map(sum, lengths)) / (time.perf_counter() - begin))


def compared(folder: Path, route: Route, plan: Plan, rounds: int) -> tuple[Load, Load]:
    """Ask an engine straight, and through a studio of its own that has it as an endpoint."""
    straight, through = Load(), Load()
    home = Home.open(folder)
    EndpointBook(home).add("lab", route.base_url, [route.model], key=route.key)
    with studio(home.root) as server:
        passed = Route(f"{server.url}v1", "", f"lab/{route.model}")
        for seed in range(rounds):
            run(route, plan, seed, straight)
            run(passed, plan, seed, through)
    return straight, through
