"""Conversations of a home: answers are written here, whoever looks on or leaves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from app.chats.asking import Asker
from app.chats.blind import Names, document, shuffled
from app.chats.book import MAX_BYTES, Book
from app.chats.history import body_of, require_inputs
from app.chats.presets import Presets
from app.chats.requests import Changes, NewAnswer, NewChat, NewTurn, Stop
from app.chats.rooms import Room, Watcher
from app.chats.rules import (
    change_lanes,
    renumber,
    require_lanes,
    require_question,
    shown_at,
    still_writing,
    title_of,
)
from app.chats.writing import Delta, Writing
from app.home import Home
from app.recordfile import RecordError
from app.serving.route import Backend
from trainer.contract.conversation import (
    MAX_ANSWERS,
    MAX_TURNS,
    Answer,
    Chat,
    Message,
    Turn,
    Vote,
    messages_of,
)

log = logging.getLogger("finestra.chats")
Document = dict[str, Any]


class Chats:
    """The conversations of a home. Belongs to one event loop; ``book`` may be used anywhere.

    Attributes:
        book: Their files.
        presets: Settings by name.
        backend: Knows where models answer.
        asker: Asks there.
    """

    def __init__(self, home: Home, backend: Backend) -> None:
        """Open nothing yet."""
        self.home, self.backend = home, backend
        self.book, self.presets, self.asker = Book(home), Presets(home), Asker()
        self._rooms: dict[str, Room] = {}

    async def close(self) -> None:
        """Stop what is being written, keep it, and close the connections."""
        for room in list(self._rooms.values()):
            await self._stop(room, lambda turn, lane: True)
        await self.asker.close()

    async def saved(self) -> None:
        """Wait until the files have all that has happened so far."""
        for room in list(self._rooms.values()):
            await room.saved()

    # One conversation

    @asynccontextmanager
    async def open(self, chat_id: str) -> AsyncIterator[Room]:
        """Hold a conversation in memory.

        Raises:
            RecordError: There is none, or it is damaged.
        """
        room = self._rooms.get(chat_id)
        if room is not None:
            room.refresh()
        if room is None or room.gone:
            room = self._rooms[chat_id] = Room(self.book, chat_id)
        room.users += 1
        try:
            if room.settle():
                await room.save()
            yield room
        finally:
            room.users -= 1
            self._let_go(room)

    def _let_go(self, room: Room) -> None:
        if (room.is_idle or room.gone) and self._rooms.get(room.chat.id) is room:
            del self._rooms[room.chat.id]

    @asynccontextmanager
    async def _changing(self, chat_id: str) -> AsyncIterator[Room]:
        """Hold a conversation, save it when the block ends well, and tell all who watch."""
        async with self.open(chat_id) as room:
            if room.is_elsewhere:
                raise RecordError("being_written", "Another process, such as a command line, is "
                                  "writing in this conversation.", "Wait for its end.")
            yield room
            room.chat.updated_at = time.time()
            room.tell(None)
            await room.save()

    async def get(self, chat_id: str) -> Document:
        """Return a conversation as it may be seen."""
        async with self.open(chat_id) as room:
            return document(room.chat)

    async def create(self, wanted: NewChat, *, who: str = "local") -> Document:
        """Begin a conversation; RecordError when there are too many."""
        require_lanes(wanted.lanes, wanted.blind)
        await asyncio.to_thread(self.book.require_space)
        require_question(wanted.settings, wanted.tools)
        chat = Chat(id=self.book.new_id(), owner=who, order=shuffled(len(wanted.lanes)),
                    **{name: value for name, value in wanted})
        return await self._begin(chat)

    async def _begin(self, chat: Chat) -> Document:
        await asyncio.to_thread(self.book.save, chat.id, chat.model_dump_json().encode())
        return document(chat)

    async def change(self, chat_id: str, changes: Changes) -> Document:
        """Change what is said of a conversation, or what of it is shown.

        Raises:
            RecordError: It cannot be so; then nothing is changed.
        """
        async with self._changing(chat_id) as room:
            chat, names = room.chat, Names(room.chat)
            if changes.leaf is not None:
                chat.turn(changes.leaf)
            shown = shown_at(chat, names, changes.shown)
            require_question(changes.settings or chat.settings,
                              chat.tools if changes.tools is None else changes.tools)
            change_lanes(chat, changes)
            for name in ("title", "system", "settings", "tools", "leaf"):
                if (value := getattr(changes, name)) is not None:
                    setattr(chat, name, value)
            if shown:
                turn, lane, answer = shown
                turn.shown[lane] = answer.id
        return document(chat)

    async def delete(self, chat_id: str, *, who: str = "local") -> None:
        """Remove a conversation; what is being written in it ends."""
        with self.home.audited("delete_chat", chat_id, who):
            async with self.open(chat_id) as room:
                if room.is_elsewhere:
                    raise RecordError("being_written", "Another process is writing in this "
                                      "conversation.", "Wait for its end.")
                await self._stop(room, lambda turn, lane: True)
                await room.delete()

    async def fork(self, chat_id: str, turn_id: str, *, who: str = "local") -> Document:
        """Copy the way to a turn as a conversation of its own; votes stay where they are."""
        await asyncio.to_thread(self.book.require_space)
        async with self.open(chat_id) as room:
            path = room.chat.path(turn_id)
            if any(answer.active for turn in path for _, answer in turn.all_answers()):
                raise still_writing()
            chat = room.chat.model_copy(deep=True, update={
                "id": self.book.new_id(), "owner": who, "writer": None, "leaf": turn_id,
                "created_at": time.time(), "updated_at": time.time()})
        kept = {turn.id for turn in path}
        chat.turns = {key: turn for key, turn in chat.turns.items() if key in kept}
        for turn in chat.turns.values():
            turn.vote = None
        renumber(chat)
        return await self._begin(chat)

    # Turns and answers

    async def add_turn(self, chat_id: str, wanted: NewTurn) -> Document:
        """Say something; every lane begins to answer.

        Raises:
            RecordError: It cannot be said here, or an answer before it is still being written.
        """
        async with self._changing(chat_id) as room:
            chat = room.chat
            lane = None if wanted.lane is None else Names(chat).real(wanted.lane)
            if any(found.active for one in ([lane] if lane else chat.lanes)
                   if (found := chat.standing(wanted.parent, one))):
                raise still_writing()
            require_inputs(chat, wanted.parent, lane, wanted.inputs)
            self._require_room(room, wanted.inputs)
            turn = chat.add_turn(wanted.parent, wanted.inputs, lane)
            chat.title = chat.title or title_of(wanted.inputs)
            for one, answers in turn.answers.items():
                self._write(room, turn, one, answers[-1])
        return document(chat)

    def _require_room(self, room: Room, inputs: list[Message]) -> None:
        if len(room.chat.turns) >= MAX_TURNS:
            raise RecordError("too_many_turns", f"This conversation has {MAX_TURNS:,} turns.",
                              "Begin a new one.")
        if room.stamp[2] + len(str(inputs)) > MAX_BYTES:
            raise RecordError("too_large", f"This conversation would be larger than "
                              f"{MAX_BYTES >> 20} MiB.", "Begin a new one.")

    async def add_answer(self, chat_id: str, turn_id: str, wanted: NewAnswer) -> Document:
        """Let a lane answer once more; RecordError while it is answering still."""
        async with self._changing(chat_id) as room:
            chat, turn = room.chat, room.chat.turn(turn_id)
            lane = Names(chat).real(wanted.lane)
            answers = turn.answers.get(lane, [])
            if turn.lane not in (None, lane):
                raise RecordError("unknown_lane", "This turn is a tool's answer to another lane.")
            if any(answer.active for answer in answers):
                raise still_writing()
            if len(answers) >= MAX_ANSWERS:
                raise RecordError("too_many_answers", f"There are {MAX_ANSWERS} answers.",
                                  "Ask again in a new turn.")
            self._write(room, turn, lane, chat.add_answer(turn, lane, wanted.prefix))
        return document(chat)

    def _write(self, room: Room, turn: Turn, lane: str, answer: Answer) -> None:
        """Begin to write an answer; nobody has to wait for it."""
        task = asyncio.create_task(self._written(room, turn, lane, answer))
        room.tasks[answer.id] = task
        room.users += 1
        task.add_done_callback(lambda _: self._ended(room, answer))
        room.begin_growing()

    def _ended(self, room: Room, answer: Answer) -> None:
        room.tasks.pop(answer.id, None)
        room.ending.discard(answer.id)
        room.users -= 1
        if answer.active:  # it was stopped before it began
            answer.state = "stopped"
        self._let_go(room)

    async def _written(self, room: Room, turn: Turn, lane: str, answer: Answer) -> None:
        def ask() -> Document:
            return body_of(room.chat, messages_of(room.chat, turn, lane), lane)

        tell: Callable[[Delta | None], None] = partial(room.told, turn.id, lane, answer)
        writing = Writing(answer, lane, tell)
        state = await writing.run(self.backend, self.asker, ask)
        room.chat.updated_at = time.time()
        try:
            await room.finish(writing, state)
        except OSError as error:
            log.error("The answer %s of %s is not saved: %s", answer.id, room.chat.id, error)
        room.tasks.pop(answer.id, None)
        tell({"state": state})

    async def stop(self, chat_id: str, wanted: Stop) -> Document:
        """End what is being written; its text is kept."""
        async with self.open(chat_id) as room:
            lane = None if wanted.lane is None else Names(room.chat).real(wanted.lane)
            if wanted.turn is not None:
                room.chat.turn(wanted.turn)
            await self._stop(room, lambda turn, one: wanted.turn in (None, turn)
                             and lane in (None, one))
            return document(room.chat)

    async def _stop(self, room: Room, is_meant: Callable[[str, str], bool]) -> None:
        tasks = []
        for turn in room.chat.turns.values():
            for lane, answer in turn.all_answers():
                task = room.tasks.get(answer.id)
                if task is None or not is_meant(turn.id, lane):
                    continue
                tasks.append(task)
                if answer.id not in room.ending:
                    task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def vote(self, chat_id: str, turn_id: str, winner: str) -> Document:
        """Keep which lane answered better; hidden names are shown from now on.

        Raises:
            RecordError: There is nothing to compare, or an answer is still being written.
        """
        async with self._changing(chat_id) as room:
            chat, turn = room.chat, room.chat.turn(turn_id)
            if len(turn.answers) < 2:
                raise RecordError("no_vote", "There are no two answers to compare.",
                                  "Ask two models at once.")
            if any(answer.active for _, answer in turn.all_answers()):
                raise still_writing()
            lane = winner if winner in ("tie", "neither") else Names(chat).real(winner)
            if lane not in (*turn.answers, "tie", "neither"):
                raise RecordError("unknown_lane", f"'{winner[:100]}' has no answer here.")
            turn.vote = Vote(winner=lane, blind=chat.hidden)
            chat.revealed = chat.revealed or chat.blind
        return document(chat)

    # Watching

    @asynccontextmanager
    async def watched(self, chat_id: str) -> AsyncIterator[tuple[Room, Watcher]]:
        """Hold a conversation for somebody who wants to be told of everything."""
        async with self.open(chat_id) as room:
            watcher = Watcher()
            room.watchers.add(watcher)
        try:
            yield room, watcher
        finally:
            room.watchers.discard(watcher)
            self._let_go(room)
