"""A conversation that is open: who watches it, and which of its answers are being written."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from app.chats.blind import Names, answer_document, document
from app.chats.book import Book, Stamp
from app.chats.writing import Delta, Writing
from app.recordfile import RecordError
from trainer.contract.conversation import Answer, Chat, State
from trainer.contract.identity import Identity

GROWING_S = 1.0
_APPENDED = ("content", "thinking")


class Watcher:
    """What one listener has not been told yet; never more than one whole conversation."""

    def __init__(self) -> None:
        """Begin with the whole."""
        self._whole, self._deltas = True, dict[str, Delta]()
        self._news = asyncio.Event()
        self._news.set()

    def add(self, delta: Delta | None) -> None:
        """Take note of news; None means that the whole has to be told."""
        if delta is None:
            self._whole = True
            self._deltas.clear()
        elif not self._whole:
            known = self._deltas.setdefault(delta["answer"], {})
            for key, value in delta.items():
                known[key] = known.get(key, "") + value if key in _APPENDED else value
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for news; False when there is none."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        return self._news.is_set()

    def take(self, chat: Chat) -> list[tuple[str, dict[str, Any]]]:
        """Return the events to tell, and forget them."""
        whole, deltas = self._whole, list(self._deltas.values())
        self._whole = False
        self._deltas = {}
        self._news.clear()
        return [("chat", document(chat))] if whole else [("delta", one) for one in deltas]


class Room:
    """A conversation in memory. Belongs to the server's event loop; files are written on threads.

    Attributes:
        chat: The conversation.
        watchers: Who is told of changes.
        tasks: The answers that are being written, by id.
        ending: Those of them that have ended and are being saved.
        gone: Whether it was deleted.
    """

    def __init__(self, book: Book, chat_id: str) -> None:
        """Read the conversation; RecordError when there is none or it is damaged."""
        self._book = book
        self.stamp: Stamp = book.stamp(chat_id)
        self.chat = book.load(chat_id)
        self.watchers: set[Watcher] = set()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ending: set[str] = set()
        self.users = 0
        self.gone = False
        self._saving = asyncio.Lock()
        self._dirty = False
        self._drip: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody needs it in memory."""
        return not (self.users or self.tasks or self.watchers)

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process, such as a command line, is writing it now."""
        writer = Identity.read(self.chat.writer)
        return self.chat.active and writer is not None and writer != Identity.mine() \
            and writer.alive()

    def settle(self) -> bool:
        """Call stopped what was being written when its writer died; True when there was any."""
        if self.tasks or self.is_elsewhere or not self.chat.active:
            return False
        for turn in self.chat.turns.values():
            for _, answer in turn.all_answers():
                if answer.active:
                    answer.state = "stopped"
        self.chat.writer = None
        return True

    def refresh(self) -> bool:
        """Read the file again when another process has changed it; True when it has.

        A file that cannot be read any more closes the room: ``gone``.
        """
        if self.tasks or self.users or self._saving.locked():
            return False
        try:
            stamp = self._book.stamp(self.chat.id)
            if stamp == self.stamp and not self.is_elsewhere:
                return False
            self.stamp, self.chat = stamp, self._book.load(self.chat.id)
        except RecordError:
            self.gone = True
        self.tell(None)
        return True

    def tell(self, delta: Delta | None) -> None:
        """Tell those who watch."""
        for watcher in self.watchers:
            watcher.add(delta)

    def told(self, turn_id: str, lane: str, answer: Answer, delta: Delta | None) -> None:
        """Tell of an answer's change, under the names that are seen."""
        self._dirty = True
        if delta is None:
            self.tell(None)
            return
        names = Names(self.chat)
        found = {"turn": turn_id, "lane": names.shown(lane), "answer": answer.id, **delta}
        if delta.get("state") and not answer.active:
            ended = answer_document(self.chat, names, answer.model_dump())
            found |= {key: ended[key] for key in ("stats", "error", "finish_reason")}
        self.tell(found)

    async def save(self) -> None:
        """Write the conversation; a later state may be what is written."""
        async with self._saving:
            await self._save()

    async def _save(self, ended: Answer | None = None, state: State = "done") -> None:
        others = set(self.tasks) - ({ended.id} if ended else set())
        self.chat.writer = Identity.mine().document() if others else None
        if self.gone:
            return
        raw = self._dump(ended, state)
        await asyncio.to_thread(self._book.save, self.chat.id, raw)
        self.stamp = self._book.stamp(self.chat.id)
        if not others:
            await asyncio.to_thread(self._book.settled, self.chat.id)

    def _dump(self, ended: Answer | None, state: State) -> bytes:
        if ended is None:
            return self.chat.model_dump_json().encode()
        before, ended.state = ended.state, state
        try:
            return self.chat.model_dump_json().encode()
        finally:
            ended.state = before

    async def finish(self, writing: Writing, state: State) -> None:
        """Write an answer that has ended; whoever looks sees the end once it is in the file."""
        answer = writing.answer
        self.ending.add(answer.id)
        async with self._saving:
            try:
                if writing.ids and not self.gone:
                    await asyncio.to_thread(self._book.save_tokens, self.chat.id, answer.id,
                                            writing.ids)
                await self._save(answer, state)
            finally:
                answer.state = state

    async def delete(self) -> None:
        """Remove the files; nothing is written any more."""
        async with self._saving:
            await asyncio.to_thread(self._book.delete, self.chat.id)
            self.gone = True
        self.tell(None)

    async def saved(self) -> None:
        """Wait until what has happened so far is in the file."""
        async with self._saving:
            pass

    def begin_growing(self) -> None:
        """Write what grows every second, as long as something does."""
        if self._drip is None or self._drip.done():
            self._drip = asyncio.create_task(self._keep_growing())

    async def _keep_growing(self) -> None:
        while self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=GROWING_S)
            if self._dirty and self.tasks:
                self._dirty = False
                await self.save_growing()

    async def save_growing(self) -> None:
        """Write the answers that are unfinished, and only them."""
        grown = {answer.id: answer.model_dump(include={"state", "content", "thinking",
                                                       "tool_calls"})
                 for turn in self.chat.turns.values() for _, answer in turn.all_answers()
                 if answer.active}
        async with self._saving:
            if not self.gone and self.tasks:
                await asyncio.to_thread(self._book.save_growing, self.chat.id, grown)
