"""Conversations: the server writes answers, pages watch; see docs/chat.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from app.api.deps import StudioDep, UserDep
from app.api.events import HEARTBEAT_S, encode
from app.api.files import attachment
from app.chats.datasets import make_dataset
from app.chats.prompts import prompt_of
from app.chats.requests import (
    Changes,
    DatasetBody,
    Fork,
    NewAnswer,
    NewChat,
    NewTurn,
    NewVote,
    PresetBody,
    Stop,
)
from app.chats.rows import FORMATS, export
from app.chats.service import Chats
from app.serving.engines.names import Names

BEAT_S = 1.0
MAX_STREAMS = 64


def get_chats(request: Request) -> Chats:
    """Return the conversations that the server keeps."""
    chats = request.app.state.chats
    assert isinstance(chats, Chats)
    return chats


def get_names(request: Request, studio: StudioDep) -> Names:
    """Return what models stand for; kept, because it hashes a base when it first sees it."""
    state = request.app.state
    state.chat_names = getattr(state, "chat_names", None) or Names(studio)
    assert isinstance(state.chat_names, Names)
    return state.chat_names


ChatsDep = Annotated[Chats, Depends(get_chats)]
NamesDep = Annotated[Names, Depends(get_names)]
router = APIRouter(prefix="/chats")
Document = dict[str, Any]


@router.get("")
def list_chats(chats: ChatsDep, search: Annotated[str, Query(max_length=200)] = "",
               limit: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Document:
    """List the conversations that hold a text, newest first, and files that are damaged."""
    found, damaged = chats.book.list(search)
    words = " ".join(search.split()).casefold()
    return {"chats": [one.document(words) for one in found[:limit]], "total": len(found),
            "damaged": [{"id": one.id, "reason": one.reason} for one in damaged]}


@router.post("", status_code=201)
async def create(body: NewChat, chats: ChatsDep, user: UserDep) -> Document:
    """Begin a conversation."""
    return await chats.create(body, who=user)


@router.get("/presets")
def list_presets(chats: ChatsDep) -> Document:
    """List settings by name."""
    return {"presets": chats.presets.all()}


@router.put("/presets/{name}")
def save_preset(name: str, body: PresetBody, chats: ChatsDep, user: UserDep) -> Document:
    """Save settings under a name."""
    chats.presets.save(name, body.settings, who=user)
    return {"presets": chats.presets.all()}


@router.delete("/presets/{name}", status_code=204, response_class=Response)
def delete_preset(name: str, chats: ChatsDep, user: UserDep) -> Response:
    """Forget saved settings."""
    chats.presets.delete(name, who=user)
    return Response(status_code=204)


@router.get("/export")
async def export_chats(chats: ChatsDep, user: UserDep,
                       ids: Annotated[str, Query(max_length=400_000)] = "",
                       form: Annotated[str, Query(alias="format", max_length=40)] = "markdown"
                       ) -> PlainTextResponse:
    """Send conversations as one file; all of them when none is named."""
    wanted = [one for one in ids.split(",") if one]

    def work() -> str:
        with chats.home.audited("export_chats", ids, user):
            names = wanted or [one.id for one in chats.book.list()[0]]
            return export([chats.book.load(one) for one in names], form)

    await chats.saved()
    text = await asyncio.to_thread(work)
    kind, ending = FORMATS[form]
    name = wanted[0] if len(wanted) == 1 else "conversations"
    return PlainTextResponse(text, media_type=kind, headers=attachment(name + ending))


@router.post("/dataset", status_code=201)
async def dataset(body: DatasetBody, chats: ChatsDep, studio: StudioDep, user: UserDep
                  ) -> Document:
    """Make a dataset of conversations, or of votes."""
    await chats.saved()
    return await asyncio.to_thread(make_dataset, studio, chats.book, body, who=user)


@router.get("/{chat_id}")
async def show(chat_id: str, chats: ChatsDep) -> Document:
    """Return a conversation with all its branches."""
    return await chats.get(chat_id)


@router.patch("/{chat_id}")
async def change(chat_id: str, body: Changes, chats: ChatsDep) -> Document:
    """Change title, system prompt, settings, tools, lanes, or what is shown."""
    return await chats.change(chat_id, body)


@router.delete("/{chat_id}", status_code=204, response_class=Response)
async def delete(chat_id: str, chats: ChatsDep, user: UserDep) -> Response:
    """Remove a conversation."""
    await chats.delete(chat_id, who=user)
    return Response(status_code=204)


@router.post("/{chat_id}/turns", status_code=201)
async def add_turn(chat_id: str, body: NewTurn, chats: ChatsDep) -> Document:
    """Say something; every lane begins to answer."""
    return await chats.add_turn(chat_id, body)


@router.post("/{chat_id}/turns/{turn}/answers", status_code=201)
async def add_answer(chat_id: str, turn: str, body: NewAnswer, chats: ChatsDep) -> Document:
    """Let a lane answer once more."""
    return await chats.add_answer(chat_id, turn, body)


@router.post("/{chat_id}/stop")
async def stop(chat_id: str, body: Stop, chats: ChatsDep) -> Document:
    """End what is being written; its text is kept."""
    return await chats.stop(chat_id, body)


@router.post("/{chat_id}/turns/{turn}/vote")
async def vote(chat_id: str, turn: str, body: NewVote, chats: ChatsDep) -> Document:
    """Say which lane answered better; hidden names are shown from now on."""
    return await chats.vote(chat_id, turn, body.winner)


@router.post("/{chat_id}/fork", status_code=201)
async def fork(chat_id: str, body: Fork, chats: ChatsDep, user: UserDep) -> Document:
    """Copy the way to a turn as a conversation of its own."""
    return await chats.fork(chat_id, body.turn, who=user)


@router.get("/{chat_id}/turns/{turn}/answers/{answer}/prompt")
async def prompt(chat_id: str, turn: str, answer: str, chats: ChatsDep, names: NamesDep
                 ) -> Document:
    """Return the exact prompt of an answer, with its token ids."""
    return await prompt_of(chats, lambda name: names.resolve(name).model.folder, chat_id, turn,
                           answer)


async def follow(request: Request, chats: Chats, chat_id: str) -> AsyncIterator[str]:
    """Yield events until the listener leaves, the conversation is gone, or the server closes."""
    state = request.app.state
    state.chat_streams = getattr(state, "chat_streams", 0) + 1
    spoken, number = time.monotonic(), 0
    try:
        async with chats.watched(chat_id) as (room, watcher):
            while not state.closing and not await request.is_disconnected():
                news = await watcher.wait(BEAT_S)
                if not news:
                    room.refresh()
                if room.gone:
                    yield encode("gone", {"code": "unknown_chat"}, number)
                    return
                for event, data in watcher.take(room.chat) if news else ():
                    number += 1
                    yield encode(event, data, number)
                if news:
                    spoken = time.monotonic()
                elif time.monotonic() - spoken > HEARTBEAT_S:
                    yield ": still here\n\n"
                    spoken = time.monotonic()
    finally:
        state.chat_streams -= 1


@router.get("/{chat_id}/events")
async def events(request: Request, chat_id: str, chats: ChatsDep) -> StreamingResponse:
    """Stream a conversation: first all there is, then what is added, as it is added."""
    if getattr(request.app.state, "chat_streams", 0) >= MAX_STREAMS:
        raise HTTPException(503, "Too many pages are watching at once. Close some of them.")
    async with chats.open(chat_id):
        pass
    return StreamingResponse(follow(request, chats, chat_id), media_type="text/event-stream",
                             headers={"x-accel-buffering": "no"})
