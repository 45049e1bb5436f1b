"""Asking every row of one model, many at once; each answer is written down as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from trainer.contract.events import MetricsEvent, ProgressEvent, Stage
from trainer.contract.kinds.evaluate import GenerationConfig
from trainer.emit import EventWriter
from trainer.evaluation import likelihood
from trainer.evaluation.asking import HttpAsker
from trainer.evaluation.seam import Ask, Asker, Said, Unanswerable
from trainer.evaluation.store import Store
from trainer.stop import Stop, Stopped

T = TypeVar("T")
LOOK_S = 0.1
_SAY_S = 0.5


@dataclass(frozen=True)
class Wants:
    """What is wanted of each row.

    Attributes:
        answers: What the model says.
        likelihood: How likely it finds the reference, or the whole text.
        choices: How likely it finds each choice.
    """

    answers: bool = True
    likelihood: bool = False
    choices: bool = False


class Pace:
    """Says how far a stage is, with the time left by the speed of this attempt."""

    def __init__(self, emit: EventWriter, stage: Stage, total: int, done: int = 0,
                 unit: str = "rows") -> None:
        """Begin; ``done`` is what earlier attempts did."""
        self._emit, self._stage, self._unit = emit, stage, unit
        self.total, self.done, self._before = total, done, done
        self._began = time.monotonic()
        self._said = 0.0
        self.say()

    def keep(self, count: int) -> None:
        """Count what an earlier attempt did, which says nothing of the speed."""
        self.done, self._before = self.done + count, self._before + count
        self.say()

    def add(self, count: int = 1) -> None:
        """Count what is done."""
        self.done += count
        if time.monotonic() - self._said >= _SAY_S or self.done == self.total:
            self.say()

    def say(self) -> None:
        """Say it now."""
        self._said = now = time.monotonic()
        fresh = self.done - self._before
        left = (now - self._began) / fresh * (self.total - self.done) if fresh else None
        self._emit(ProgressEvent(stage=self._stage, done=self.done, total=self.total,
                                 unit=self._unit, eta_s=left))
        if self._stage == "answering":
            self._emit(MetricsEvent(step=self.done, total_steps=self.total, eta_s=left,
                                    values={}))


def until_stopped(work: Coroutine[Any, Any, T], stop: Stop,
                  interrupt: Callable[[], None]) -> T:
    """Run something on an event loop of its own, until a stop is asked for.

    Args:
        work: What is done.
        stop: Looked at ten times a second.
        interrupt: Ends what ``work`` may be waiting for on threads.

    Raises:
        Stopped: A stop was asked for.
    """
    async def watched() -> T:
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                if stop.requested:
                    interrupt()
                    raise Stopped
                await asyncio.wait({task}, timeout=LOOK_S)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return task.result()

    return asyncio.run(watched())


async def answer_rows(asks: Sequence[Ask], asker: HttpAsker, store: Store, how: How,
                      tell: Callable[[], None]) -> None:
    """Ask the rows that have no answer yet, the longest first.

    Raises:
        Failure: As ``Asker.post``; answers until then are kept.
        OSError: The disk is full.
    """
    waiting = iter(sorted(store.left(asks), key=_length, reverse=True))
    tasks = [asyncio.create_task(_work(waiting, asker, store, how, tell))
             for _ in range(asker.gate.width)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _work(waiting: Iterator[Ask], asker: HttpAsker, store: Store, how: How,
                tell: Callable[[], None]) -> None:
    for ask in waiting:
        store.add(ask, await answer(ask, asker, how))
        tell()


@dataclass(frozen=True)
class How:
    """How rows are asked: what is wanted, and how answers are drawn."""

    wants: Wants
    generation: GenerationConfig


async def answer(ask: Ask, asker: Asker, how: How) -> Said:
    """Return what a model says to a row; what it cannot answer says why in ``error``.

    Raises:
        Failure: As ``Asker.post``.
    """
    said, wants = Said(), how.wants
    try:
        if wants.answers:
            said = await _generate(ask, asker, how.generation)
        if wants.likelihood and not asker.can("likelihood"):
            whole = bool(ask.text) and not ask.references
            said = replace(said, likelihood=await (
                likelihood.of_text(asker, ask) if whole
                else likelihood.of_reference(asker, ask, how.generation)))
        if wants.choices and ask.choices and not asker.can("likelihood"):
            said = replace(said, choices=await likelihood.of_choices(asker, ask, how.generation))
    except Unanswerable as error:
        return replace(said, error=str(error) or "no reason given")
    return said


def _length(ask: Ask) -> int:
    return len(ask.text) + sum(len(str(one.get("content") or "")) for one in ask.messages)


async def _generate(ask: Ask, asker: Asker, generation: GenerationConfig) -> Said:
    drawn = sampling(generation)
    if ask.messages:
        reply = await asker.post("/chat/completions",
                                 {**likelihood.chat_body(ask, generation), **drawn})
        return read_chat(reply)
    reply = await asker.post("/completions", {"prompt": ask.text, **drawn})
    choice = _choice(reply)
    return _said(reply, choice, str(choice.get("text") or ""))


def sampling(generation: GenerationConfig) -> dict[str, Any]:
    """Return how answers are drawn, as a request has it."""
    body: dict[str, Any] = {"max_tokens": generation.max_new_tokens,
                            "temperature": generation.temperature}
    if generation.temperature > 0:
        body |= {"top_p": generation.top_p, "seed": generation.seed}
    if generation.stop:
        body["stop"] = list(generation.stop)
    return body


def read_chat(reply: dict[str, Any]) -> Said:
    """Read a chat completion; Unanswerable when it is none."""
    choice = _choice(reply)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Unanswerable("The server's reply has no message.")
    content, calls = message.get("content"), message.get("tool_calls")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content
                          if isinstance(part, dict))
    said = _said(reply, choice, str(content or ""))
    return replace(said, calls=tuple(calls)) if isinstance(calls, list) and calls else said


def _choice(reply: dict[str, Any]) -> dict[str, Any]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Unanswerable("The server's reply has no answer in it.")
    return choices[0]


def _said(reply: dict[str, Any], choice: dict[str, Any], text: str) -> Said:
    found = reply.get("usage")
    usage = found if isinstance(found, dict) else {}
    return Said(text=text, finish_reason=str(choice.get("finish_reason") or ""),
                tokens=_count(usage.get("completion_tokens")),
                prompt_tokens=_count(usage.get("prompt_tokens")))


def _count(value: Any) -> int:
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError, OverflowError):
        return 0
