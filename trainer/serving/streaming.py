"""From the engine's thread into the event loop: pieces, as they come, until the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from starlette.requests import Request

from trainer.serving.answering import Piece, Question, Ticket
from trainer.serving.documents import Answers, Document, Envelope
from trainer.serving.engine import Engine
from trainer.serving.failures import Refused

Result = TypeVar("Result")


class ClientGone(Exception):
    """Whoever asked has left."""


async def until_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Await something for as long as the client stays; the request's body has been read.

    Raises:
        ClientGone: The client left first; the work was cancelled.
    """
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for one in (task, left):
            one.cancel()
        with suppress(asyncio.CancelledError):
            await left


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Hearing:
    """All answers to some questions; whoever stops listening cancels them."""

    def __init__(self, engine: Engine, questions: Sequence[Question]) -> None:
        """Hand in the questions.

        Raises:
            Refused: Too many wait already.
        """
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece | Refused] = asyncio.Queue()
        self._open = sum(question.answers for question in questions)
        self._tickets: list[Ticket] = []
        offset = 0
        try:
            for question in questions:
                self._tickets.append(engine.ask(question, self._post(offset)))
                offset += question.answers
        except Refused:
            self.cancel()
            raise

    def _post(self, offset: int) -> Callable[[Piece | Refused], None]:
        def post(item: Piece | Refused) -> None:
            if isinstance(item, Piece):
                item = replace(item, index=item.index + offset)
            # The loop is closed when the server has ended.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._pieces.put_nowait, item)

        return post

    async def next(self) -> Piece:
        """Return the next piece; Refused when the engine cannot go on."""
        item = await self._pieces.get()
        if isinstance(item, Refused):
            self.cancel()
            raise item
        self._open -= bool(item.finish)
        return item

    @property
    def is_open(self) -> bool:
        """Whether something follows."""
        return self._open > 0

    def cancel(self) -> None:
        """End all answers."""
        for ticket in self._tickets:
            ticket.cancel()


async def collect(hearing: Hearing, answers: Answers, envelope: Envelope) -> Document:
    """Wait for all answers; returns them as one document."""
    found: dict[int, list[Piece]] = {}
    try:
        while hearing.is_open:
            piece = await hearing.next()
            envelope.timing.see(piece)
            found.setdefault(piece.index, []).append(piece)
    finally:
        hearing.cancel()
    return envelope.whole([answers.choice(index, found[index]) for index in sorted(found)])


async def stream(hearing: Hearing, first: Piece, answers: Answers, envelope: Envelope, *,
                 with_usage: bool) -> AsyncIterator[bytes]:
    """Yield server-sent events.

    Args:
        hearing: Open.
        first: Its first piece.
        answers: How choices are written.
        envelope: What stands around them.
        with_usage: End with a chunk of the usage, without choices.
    """
    usage: Document = {"usage": None} if with_usage else {}
    try:
        for choice in answers.openings():
            yield event(envelope.chunk([choice], **usage, **answers.of_prompt))
        piece: Piece | None = first
        while piece is not None:
            envelope.timing.see(piece)
            is_last = not hearing.is_open
            more = {"timings": envelope.timing.document()} if is_last and not with_usage else {}
            if choice_of := answers.chunk(piece):
                yield event(envelope.chunk([choice_of], **usage, **more))
            piece = await hearing.next() if not is_last else None
        if with_usage:
            yield event(envelope.chunk([], usage=envelope.usage(),
                                       timings=envelope.timing.document()))
        yield b"data: [DONE]\n\n"
    except Refused as error:
        yield event(error.document())
    finally:
        hearing.cancel()


def event(document: Document) -> bytes:
    """Return a document as a server-sent event."""
    return b"data: " + orjson.dumps(document) + b"\n\n"
