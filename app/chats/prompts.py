"""The exact prompt of an answer: its text and tokens, as the engine had them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.chats.asking import fault_of
from app.chats.continuing import prompt_ids
from app.chats.history import body_of
from app.chats.service import Chats
from app.chats.writing import EXPECTED
from app.recordfile import RecordError
from trainer.contract.conversation import messages_of
from trainer.contract.files import read_json
from trainer.data import DatasetError
from trainer.data.tokens.tokenizer import Tokenizer
from trainer.engines.errors import EngineError

NOTES = {
    "asked_now": "The prompt was asked for just now, with system prompt, settings and tools as "
                 "they are.",
    "not_told": "This engine does not tell the tokens of its prompts.",
    "no_tokenizer": "The tokens come from the engine; their texts are not known here.",
}
# Returns the folder with the tokenizer of a model that is served here.
Folders = Callable[[str], Path]


async def prompt_of(chats: Chats, folders: Folders, chat_id: str, turn_id: str, answer_id: str
                    ) -> dict[str, Any]:
    """Return the prompt of an answer: what it brought itself, else asked for now.

    Raises:
        RecordError: The lanes are hidden, or the model cannot be asked.
    """
    async with chats.open(chat_id) as room:
        chat = room.chat
        lane, _ = chat.answer(turn_id, answer_id)
        if chat.hidden:
            raise RecordError("names_hidden", "Tokens tell models apart: they are shown after the "
                              "vote.", "Vote first.")
        kept = await asyncio.to_thread(read_json, chats.book.tokens(chat_id, answer_id))
        ids = kept if isinstance(kept, dict) else {}
        code = ""
        if not ids.get("prompt"):
            messages = messages_of(chat, chat.turn(turn_id), lane)
            ids = {**ids, "prompt": await _asked(chats, body_of(chat, messages, lane), lane)}
            code = "asked_now" if ids["prompt"] else "not_told"
    found = await asyncio.to_thread(_texts, folders, lane, ids)
    if ids["prompt"] and found is None:
        code = code or "no_tokenizer"
    text, tokens, answer_tokens = found or ("", None, None)
    return {"text": text, "token_ids": ids["prompt"], "tokens": tokens,
            "answer_token_ids": ids.get("answer", []), "answer_tokens": answer_tokens,
            "note": NOTES.get(code, ""), "note_code": code}


async def _asked(chats: Chats, body: dict[str, Any], lane: str) -> list[int]:
    try:
        async with chats.backend.using(lane) as route:
            return await prompt_ids(chats.asker, route, body)
    except EXPECTED as error:
        fault = fault_of(error, lane)
        raise RecordError(fault.code, fault.message, fault.advice) from None


def _texts(folders: Folders, lane: str, ids: dict[str, list[int]]
           ) -> tuple[str, list[str], list[str]] | None:
    """Return (the prompt's text, of each of its tokens, of each of the answer's), if known."""
    try:
        tokenizer = Tokenizer.from_folder(folders(lane))
    except (EngineError, DatasetError, OSError):
        return None
    return (tokenizer.decode(ids["prompt"]), [tokenizer.decode([one]) for one in ids["prompt"]],
            [tokenizer.decode([one]) for one in ids.get("answer", [])])
