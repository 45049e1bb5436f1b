"""Conversations and votes as a dataset of the home, registered as an upload is."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from app.chats.book import Book
from app.chats.requests import DatasetBody
from app.chats.rows import conversations, lines, preferences
from app.recordfile import RecordError

if TYPE_CHECKING:
    from app.home import Home
    from app.studio import Studio


def make_dataset(studio: Studio, book: Book, wanted: DatasetBody, *, who: str = "local"
                 ) -> dict[str, Any]:
    """Write rows of conversations and register them; takes time.

    Returns:
        ``name``, ``rows``, and how many lanes or pairs were ``left_out``: unfinished, with
        pictures, or answers to different questions.

    Raises:
        RecordError: A conversation is unknown or damaged, or there is no row.
        DatasetError: The name is taken or cannot be used.
    """
    ids = [one.id for one in book.list()[0]] if wanted.ids is None else wanted.ids
    rows, left_out = _rows(book, dict.fromkeys(ids), wanted.kind)
    if not rows:
        what = "vote between two answers to one question" if wanted.kind == "preferences" \
            else "conversation with a finished answer"
        raise RecordError("no_rows", f"There is no {what}.", "Choose other conversations.")
    _store(studio, studio.home, lines(iter(rows)), wanted.name, who)
    return {"name": wanted.name, "rows": len(rows), "left_out": left_out}


def _rows(book: Book, ids: Iterable[str], kind: str) -> tuple[list[dict[str, Any]], int]:
    of = preferences if kind == "preferences" else conversations
    rows: list[dict[str, Any]] = []
    left_out = 0
    for chat_id in ids:
        found, missing = of(book.load(chat_id))
        rows += found
        left_out += missing
    return rows, left_out


def _store(studio: Studio, home: Home, text: str, name: str, who: str) -> None:
    folder = home.tmp / f"upload-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700, parents=True)
    try:
        (folder / "conversations.jsonl").write_text(text, encoding="utf-8")
        studio.changes.add_file(folder / "conversations.jsonl", name, who=who)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
