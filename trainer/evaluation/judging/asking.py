"""Asking the judge, many questions at once; what is known already is not asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.evaluation.judging.cache import Cache, Call, Outcome, key_of
from trainer.evaluation.judging.question import again
from trainer.evaluation.judging.reading import (
    content_of,
    read_points,
    read_verdict,
    tokens_of,
    was_cut,
)
from trainer.evaluation.seam import Asker, Unanswerable
from trainer.stop import Stopped

_LOOK_S = 0.2


@dataclass(frozen=True)
class Question:
    """One question to the judge; ``file`` is the number of its cache."""

    text: str
    file: int
    dataset: str
    row: int
    model: str
    shown_first: str = ""


@dataclass(frozen=True)
class Answered:
    """What became of a question.

    Attributes:
        outcome: 'A', 'B', 'tie', points, or None: unreadable twice, or refused.
        calls: The replies that it took, two when the first one could not be read.
        asked: How many of them were asked for now; the others were known.
        refused: Why the judge could not be asked; '' when it could.
    """

    outcome: Outcome = None
    calls: tuple[Call, ...] = ()
    asked: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Bench:
    """The judge and its caches, by number."""

    config: JudgeConfig
    asker: Asker
    caches: dict[int, Cache]

    async def answer(self, question: Question) -> Answered:
        """Return what the judge says, which is asked once more when it cannot be read.

        Raises:
            Failure: The judge cannot be reached, or refuses everything.
        """
        calls: list[Call] = []
        asked = 0
        for text in (question.text, again(question.text)):
            key = key_of(self.config.model, text, self.config.max_new_tokens)
            call = self.caches[question.file].get(key)
            if call is None:
                try:
                    call = await self._call(question, key, text, repeated=bool(calls))
                except Unanswerable as error:
                    return Answered(None, tuple(calls), asked, str(error) or "no reason given")
                asked += 1
            calls.append(call)
            if call.outcome is not None:
                break
        return Answered(calls[-1].outcome, tuple(calls), asked)

    async def _call(self, question: Question, key: str, text: str, *, repeated: bool) -> Call:
        reply = await self.asker.post("/chat/completions", {
            "messages": [{"role": "user", "content": text}], "temperature": 0,
            "max_tokens": self.config.max_new_tokens})
        said, cut, tokens = content_of(reply), was_cut(reply), tokens_of(reply)
        # A line that was cut may be the beginning of another one: 'SCORE: 1' of 'SCORE: 10'.
        read = read_verdict if self.config.mode == "pairwise" else read_points
        call = Call(key, question.dataset, question.row, question.model, question.shown_first,
                    repeated, None if cut else read(said), said, cut,
                    *(tokens or (0, 0)), counted=tokens is not None)
        self.caches[question.file].add(call)
        return call


async def ask_all(bench: Bench, questions: Sequence[Question], at_once: int,
                  say: Callable[[int, int], None], stopped: Callable[[], bool]
                  ) -> dict[str, Answered]:
    """Return what the judge says to each text; equal texts are asked once.

    Args:
        bench: The judge.
        questions: In the order in which they are asked.
        at_once: How many are on their way together.
        say: Told (done, of how many).
        stopped: Looked at several times a second.

    Raises:
        Failure: What the judge's connection raises. Replies until then are kept.
        Stopped: It was asked to stop; what is on its way is given up.
    """
    waiting = iter({one.text: one for one in questions}.values())
    total, found = len({one.text for one in questions}), dict[str, Answered]()

    async def work(left: Iterator[Question]) -> None:
        for question in left:
            found[question.text] = await bench.answer(question)
            say(len(found), total)

    tasks = {asyncio.create_task(work(waiting)) for _ in range(max(1, min(at_once, total)))}
    try:
        await _watched(tasks, stopped)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def _watched(tasks: set[asyncio.Task[None]], stopped: Callable[[], bool]) -> None:
    left = tasks
    while left:
        if stopped():
            raise Stopped
        done, left = await asyncio.wait(left, timeout=_LOOK_S,
                                        return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
