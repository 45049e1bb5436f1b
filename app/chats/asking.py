"""A question on its way to an engine, and what may come back in place of an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from app.chats.history import CHAT, checked
from app.recordfile import RecordError
from app.serving.openai_errors import ApiError, message_in
from app.serving.proxy import SILENCE_S, Clients
from trainer.contract.conversation import Fault
from trainer.contract.redact import redact
from trainer.engines.errors import EngineError
from trainer.engines.route import Route

LOG_LINES = 20
MAX_ERROR_BYTES = 1 << 20
# What is asked besides and an engine may not know; it is asked again without.
EXTRAS: dict[str, Any] = {"return_token_ids": True, "stream_options": {"include_usage": True}}
_ADVICE = {
    "context_length_exceeded": "Begin a new conversation, ask something shorter, or lower the "
                               "longest answer.",
    "unknown_model": "Choose another model for this lane: the list has those that there are.",
    "device_busy": "Wait, stop the run, or unload the engine; then regenerate.",
    "engine_died": "Regenerate to start it anew.",
}


class Asker:
    """Asks engines; remembers which of them refuse what is asked besides."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._clients = Clients()
        self._without: dict[str, set[str]] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.close()

    @asynccontextmanager
    async def asking(self, route: Route, body: dict[str, Any], path: str = CHAT
                     ) -> AsyncIterator[httpx.Response]:
        """Ask, and yield the head of an answer.

        Raises:
            ApiError: The engine refuses the question.
            RecordError: The question may not be passed on.
            httpx.HTTPError: The engine cannot be reached.
        """
        without = self._without.setdefault(route.base_url, set())
        while True:
            extras = {key: value for key, value in EXTRAS.items() if key not in without}
            question = checked({**body, "stream": True, **extras}, path)
            response = await self._clients.post(
                route.base_url + path, {"authorization": f"Bearer {route.key}"} if route.key
                else {}, question.to(route.model))
            try:
                if response.status_code == 200:
                    yield response
                    return
                error = await _refusal(response, route)
            finally:
                await response.aclose()
            unknown = {name for name in extras if name in str(error)}
            if error.status not in (400, 422) or not unknown:
                raise error
            without |= unknown


async def _refusal(response: httpx.Response, route: Route) -> ApiError:
    """Return why a question was refused, without the key that it was asked with."""
    raw = b""
    async for block in response.aiter_bytes():
        raw += block
        if len(raw) > MAX_ERROR_BYTES:
            break
    try:
        said = orjson.loads(raw)
    except ValueError:
        said = {}
    status = response.status_code
    if status in {401, 403, 407} or status < 400:
        return ApiError(502, "endpoint_error", "The server behind this model refused the studio "
                        f"with status {status}. Look at its address and key.")
    text = message_in(said)[:2000] or f"The engine answered with status {status}."
    error = said.get("error") if isinstance(said, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return ApiError(status, code if isinstance(code, str) and code else _code_of(text),
                    text.replace(route.key, "[secret]") if route.key else text)


def _code_of(text: str) -> str:
    """Name an error that came without a name: vLLM gives a number where OpenAI has a code."""
    return "context_length_exceeded" if "context length" in text.lower() else "endpoint_error"


def fault_of(error: Exception, lane: str) -> Fault:
    """Return what is shown in place of an answer; errors of our own making are raised again."""
    if isinstance(error, EngineError):
        lines = error.log.strip().splitlines()[-LOG_LINES:]
        return _fault(error.code, str(error), error.advice, "\n".join(lines))
    if isinstance(error, ApiError | RecordError):
        return _fault(error.code, str(error), getattr(error, "advice", ""))
    if isinstance(error, httpx.TimeoutException):
        return _fault("engine_silent", f"'{lane}' said nothing for {SILENCE_S:.0f} s.",
                      "Stop the others that it answers, or choose a smaller model.")
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL | httpx.StreamError):
        return _fault("engine_died", f"The engine of '{lane}' does not answer any more "
                      f"({type(error).__name__}).")
    raise error


def _fault(code: str, message: str, advice: str = "", log: str = "") -> Fault:
    return Fault(code=code, message=redact(message), advice=advice or _ADVICE.get(code, ""),
                 log=redact(log))
