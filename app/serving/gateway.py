"""OpenAI's API at /v1: models, chat completions, completions, embeddings.

Plain Starlette and no FastAPI: a question is checked in ``questions.py`` and otherwise left as the
client wrote it, so that what engines learn to understand needs no change here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Address
from starlette.types import Receive, Scope, Send

from app.serving.openai_errors import ApiError, from_engine
from app.serving.proxy import Backends, Proxy
from app.serving.questions import NEEDED, Question, read_question
from app.serving.route import Backend, Served
from trainer.engines.errors import EngineError


class Answered(Response):
    """The answer of a model, written while it is made."""

    def __init__(self, proxy: Proxy, question: Question) -> None:
        """Ask nothing before it is wanted."""
        self.proxy, self.question, self.background = proxy, question, None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask and answer."""
        await self.proxy.answer(self.question, receive, send)


class Gateway:
    """The application behind /v1.

    Attributes:
        app: The ASGI application; more routes of OpenAI's API may be added to its router.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        """Put the routes together; the first backend that knows a name is asked."""
        self.backend = Backends(backends)
        self.proxy = Proxy(self.backend)
        self.app = Starlette(
            routes=[Address("/models", self.models), Address("/models/{name:path}", self.model),
                    *(Address(path, partial(self.ask, path=path), methods=["POST"])
                      for path in NEEDED)],
            exception_handlers={ApiError: _refused, EngineError: _engine, HTTPException: _http,
                                Exception: _internal})

    async def close(self) -> None:
        """Close the connections to engines and endpoints."""
        await self.proxy.clients.close()

    async def models(self, request: Request) -> Response:
        """List what can be asked."""
        served = await asyncio.to_thread(self.backend.served)
        return _json({"object": "list", "data": [_document(one) for one in served]})

    async def model(self, request: Request) -> Response:
        """Return one of the list; ApiError 404 when there is none of that name."""
        name = request.path_params["name"]
        for one in await asyncio.to_thread(self.backend.served):
            if one.name == name:
                return _json(_document(one))
        raise ApiError(404, "model_not_found", f"There is no model '{name[:100]}'.", "model")

    async def ask(self, request: Request, *, path: str) -> Response:
        """Let a model answer."""
        return Answered(self.proxy, read_question(path, await request.body()))


def _document(one: Served) -> dict[str, Any]:
    return {"id": one.name, "object": "model", "created": one.created, "owned_by": one.kind,
            "label": one.label}


def _json(body: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(body, status, {"cache-control": "no-store"})


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _json(error.document(), error.status)


def _engine(request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    return _refused(request, from_engine(error))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = {404: f"There is no {request.method} {request.url.path} here.",
            405: f"{request.url.path} takes no {request.method}."}
    code = {404: "unknown_url", 405: "method_not_allowed"}.get(error.status_code, "http")
    return _refused(request, ApiError(error.status_code, code,
                                      text.get(error.status_code, str(error.detail))))


def _internal(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the server's own log has the trace, the answer has not."""
    return _refused(request, ApiError(500, "internal",
                                      f"Something went wrong ({type(error).__name__})."))
