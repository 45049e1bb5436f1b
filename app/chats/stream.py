"""An engine's answer as it comes in: chunks of OpenAI's stream as pieces of an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from app.serving.openai_errors import message_in
from app.serving.proxy import LONGEST_LINE
from trainer.engines.errors import EngineError

MAX_CALLS = 128
_REASONING = ("reasoning_content", "reasoning")


@dataclass(frozen=True)
class Piece:
    """What was added.

    Attributes:
        content: Text that is said.
        thinking: Text of a field of its own, where the engine has one.
        calls: Pieces of tool calls.
        finish: Why nothing follows; '' while something may.
        usage: Tokens counted by the engine.
        timings: Seconds measured by the engine.
        prompt_ids: The prompt's tokens, None when they are not told.
        ids: Tokens of this piece.
    """

    content: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    finish: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    prompt_ids: list[int] | None = None
    ids: tuple[int, ...] = ()


async def pieces(response: httpx.Response) -> AsyncIterator[Piece]:
    """Yield the pieces of an answer; also of one that comes whole.

    Raises:
        EngineError: The engine says that it cannot go on, or ended without saying that it is done.
        httpx.HTTPError: The connection broke.
    """
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        yield piece_of(_read(await response.aread()))
        return
    ended = False
    async for data in _events(response):
        if data == b"[DONE]":
            return
        piece = piece_of(_read(data))
        ended = ended or bool(piece.finish)
        yield piece
    if not ended:
        raise EngineError("engine_died", "The engine stopped in the middle of its answer.",
                          "Regenerate to start it anew.")


async def _events(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the data of server-sent events; lines end with a line feed and nothing else here."""
    rest = b""
    async for block in response.aiter_bytes():
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise EngineError("engine_died", "The engine sent a line without an end.")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise EngineError("bad_answer", "The engine's answer cannot be read.",
                          "Look at its log.")
    if found.get("error"):
        error = found["error"]
        code = error.get("code") if isinstance(error, dict) else None
        raise EngineError(code if isinstance(code, str) and code else "engine_error",
                          message_in(found)[:2000] or "The engine cannot go on.")
    return found


def piece_of(chunk: dict[str, Any]) -> Piece:
    """Return what a chunk, or a whole answer, adds."""
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(
        choices[0], dict) else {}
    said = choice.get("delta") or choice.get("message") or {}
    said = said if isinstance(said, dict) else {}
    thinking = next((said[key] for key in _REASONING if isinstance(said.get(key), str)), "")
    content = said.get("content", choice.get("text"))
    calls = said.get("tool_calls")
    return Piece(
        content if isinstance(content, str) else "", thinking,
        tuple(one for one in calls if isinstance(one, dict)) if isinstance(calls, list) else (),
        str(choice.get("finish_reason") or ""), _object(chunk.get("usage")),
        _object(chunk.get("timings")),
        _ids(chunk.get("prompt_token_ids") or choice.get("prompt_token_ids")),
        tuple(_ids(choice.get("token_ids")) or ()))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _ids(value: Any) -> list[int] | None:
    return value if isinstance(value, list) and all(type(one) is int for one in value) else None


def add_calls(calls: list[dict[str, Any]], more: tuple[dict[str, Any], ...]) -> None:
    """Put pieces of tool calls together; only a call's first piece has its id and name."""
    for number, one in enumerate(more):
        index = one.get("index", number)
        if not isinstance(index, int) or not 0 <= index < MAX_CALLS:
            continue
        while len(calls) <= index:
            calls.append({"id": f"call_{len(calls) + 1}", "type": "function",
                          "function": {"name": "", "arguments": ""}})
        call, told = calls[index], _object(one.get("function"))
        if isinstance(one.get("id"), str) and one["id"]:
            call["id"] = one["id"]
        for key in ("name", "arguments"):
            if isinstance(told.get(key), str):
                call["function"][key] += told[key]
