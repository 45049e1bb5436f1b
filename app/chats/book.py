"""The files of conversations: one each, private, found again by their texts.

``ID.json`` is the conversation; ``ID.writing.json`` beside it has what is being written, because
it is small and written every second; ``ID.tokens/`` has the token ids that answers brought.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.home import Home
from app.recordfile import RecordError
from trainer.contract.conversation import Chat, text_of
from trainer.contract.files import read_json, write_atomic, write_json

CHAT_ID = re.compile(r"chat-[0-9a-f]{12}")
MAX_CHATS = 20_000
MAX_BYTES = 64 << 20
SNIPPET_CHARS = 160
Stamp = tuple[int, int, int]
_GROWS = ("state", "content", "thinking", "tool_calls")


@dataclass(frozen=True)
class Entry:
    """What lists and searches know of a conversation; ``reason`` says why it cannot be read."""

    id: str
    title: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    lanes: tuple[str, ...] = ()
    turns: int = 0
    texts: tuple[str, ...] = ()
    reason: str = ""

    def document(self, words: str) -> dict[str, Any]:
        """Return a row of the list; ``words`` are what was searched for."""
        return {"id": self.id, "title": self.title, "created_at": self.created_at,
                "updated_at": self.updated_at, "lanes": list(self.lanes), "turns": self.turns,
                "snippet": self.snippet(words)}

    def holds(self, words: str) -> bool:
        """Tell whether the title or a text holds what is searched for, whatever its case."""
        return not words or any(words in text.casefold() for text in (self.title, *self.texts))

    def snippet(self, words: str) -> str:
        """Return the place that was found; without a search the end of the last text."""
        found = next((text for text in self.texts if words and words in text.casefold()), "")
        if not found:
            return _line(self.texts[-1][:4 * SNIPPET_CHARS]) if self.texts else ""
        at = max(0, found.casefold().index(words) - SNIPPET_CHARS // 3)
        return ("…" if at else "") + _line(found[at:at + 4 * SNIPPET_CHARS])


def _line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= SNIPPET_CHARS else f"{short[:SNIPPET_CHARS - 1]}…"


class Book:
    """The conversations of a home; safe to use from several threads and processes."""

    def __init__(self, home: Home) -> None:
        """Make the folder."""
        self.folder = home.root / "chats"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._entries: dict[str, tuple[Stamp, Entry]] = {}
        self._lock = threading.Lock()

    @staticmethod
    def new_id() -> str:
        """Return the id of a new conversation."""
        return f"chat-{secrets.token_hex(6)}"

    def path(self, chat_id: str) -> Path:
        """Return a conversation's file; RecordError('unknown_chat') for what is no id."""
        if not CHAT_ID.fullmatch(chat_id):
            raise _unknown(chat_id)
        return self.folder / f"{chat_id}.json"

    def growing(self, chat_id: str) -> Path:
        """Return the file of what is being written."""
        return self.path(chat_id).with_suffix(".writing.json")

    def tokens(self, chat_id: str, answer_id: str) -> Path:
        """Return the file of an answer's token ids."""
        return self.path(chat_id).with_suffix(".tokens") / f"{answer_id}.json"

    def stamp(self, chat_id: str) -> Stamp:
        """Return what changes when the file does; RecordError('unknown_chat')."""
        try:
            found = self.path(chat_id).stat()
        except FileNotFoundError:
            raise _unknown(chat_id) from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def load(self, chat_id: str) -> Chat:
        """Read a conversation, with what has been written since it was saved.

        Raises:
            RecordError: 'unknown_chat', or 'damaged_chat'; the file stays as it is.
        """
        path = self.path(chat_id)
        try:
            chat = Chat.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise _unknown(chat_id) from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise RecordError("damaged_chat", f"The conversation '{path.name}' cannot be read: "
                              f"{'.'.join(map(str, first['loc']))} {first['msg']}.".replace(
                                  ":  ", ": "),
                              "It is left as it is, in 'chats' of the home folder: mend it, "
                              "restore it from a backup, or move it away.") from None
        self._add_grown(chat)
        return chat

    def _add_grown(self, chat: Chat) -> None:
        """Lay what was written over the answers that the file still calls unfinished."""
        if not chat.active:
            return
        grown = read_json(self.growing(chat.id))
        for turn in chat.turns.values():
            for _, answer in turn.all_answers():
                more = grown.get(answer.id) if isinstance(grown, dict) else None
                if answer.active and isinstance(more, dict):
                    for key in _GROWS:
                        setattr(answer, key, more.get(key, getattr(answer, key)))

    def save(self, chat_id: str, raw: bytes) -> None:
        """Write a conversation, as ``model_dump_json`` gave it."""
        write_atomic(self.path(chat_id), raw, mode=0o600)

    def save_growing(self, chat_id: str, grown: Mapping[str, Any]) -> None:
        """Write what has been written so far."""
        write_json(self.growing(chat_id), dict(grown), mode=0o600)

    def save_tokens(self, chat_id: str, answer_id: str, ids: Mapping[str, Any]) -> None:
        """Keep the token ids of a prompt and its answer."""
        path = self.tokens(chat_id, answer_id)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_json(path, dict(ids), mode=0o600)

    def settled(self, chat_id: str) -> None:
        """Say that nothing is being written any more; the conversation was saved before."""
        self.growing(chat_id).unlink(missing_ok=True)

    def delete(self, chat_id: str) -> None:
        """Remove a conversation; RecordError when there is none or it is damaged."""
        self.load(chat_id)
        self.path(chat_id).unlink(missing_ok=True)
        self.settled(chat_id)
        shutil.rmtree(self.path(chat_id).with_suffix(".tokens"), ignore_errors=True)

    def require_space(self) -> None:
        """Refuse one conversation too many."""
        if sum(1 for _ in self.ids()) >= MAX_CHATS:
            raise RecordError("too_many_chats", f"There are {MAX_CHATS:,} conversations.",
                              "Delete some first.")

    def ids(self) -> Iterator[str]:
        """Yield the ids of all conversations."""
        for path in self.folder.glob("chat-*.json"):
            if CHAT_ID.fullmatch(path.name.removesuffix(".json")):
                yield path.name.removesuffix(".json")

    def list(self, search: str = "") -> tuple[list[Entry], list[Entry]]:
        """Return (the conversations that hold a text, newest first; those that are damaged)."""
        words = " ".join(search.split()).casefold()
        found = [entry for chat_id in self.ids() if (entry := self._entry(chat_id))]
        good = [one for one in found if not one.reason and one.holds(words)]
        good.sort(key=lambda one: (one.updated_at, one.id), reverse=True)
        return good, [one for one in found if one.reason]

    def _entry(self, chat_id: str) -> Entry | None:
        """Return what is known of a conversation, read again only when its file has changed."""
        try:
            stamp = self.stamp(chat_id)
            with self._lock:
                known = self._entries.get(chat_id)
            if known and known[0] == stamp:
                return known[1]
            entry = _entry_of(self.load(chat_id))
        except RecordError as error:
            if error.code != "damaged_chat":
                return None
            entry = Entry(chat_id, reason=str(error))
        with self._lock:
            self._entries[chat_id] = (stamp, entry)
        return entry


def _unknown(chat_id: str) -> RecordError:
    return RecordError("unknown_chat", f"There is no conversation '{chat_id[:60]}'.",
                       "It may have been deleted; look at the list.")


def _entry_of(chat: Chat) -> Entry:
    from app.chats.blind import Names

    names = Names(chat)
    texts = [text for turn in chat.turns.values() for text in (
        *(text_of(message.get("content")) for message in turn.inputs),
        *(answer.content for _, answer in turn.all_answers())) if text]
    return Entry(chat.id, chat.title, chat.created_at, chat.updated_at,
                 tuple(names.shown(lane) for lane in chat.ordered()), len(chat.turns),
                 tuple(texts))
