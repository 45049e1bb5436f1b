"""The routes, as OpenAI and vLLM have them; everything but ``/health`` wants the key."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.serving import wire
from trainer.serving.answering import Question
from trainer.serving.asking import Asking
from trainer.serving.documents import Answers, Chat, Completions, Envelope
from trainer.serving.embedding import embed, shown
from trainer.serving.engine import Engine
from trainer.serving.failures import Refused
from trainer.serving.loading import Served
from trainer.serving.names import Names, Voice
from trainer.serving.streaming import ClientGone, Hearing, collect, stream, until_gone

MAX_BODY_BYTES = 32 << 20
_CLIENT_LEFT = 499
Kind = TypeVar("Kind", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]


class Answer(Response):
    """A JSON document."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the document's bytes."""
        return orjson.dumps(content)


class Routes:
    """What each route does."""

    def __init__(self, engine: Engine, served: Served, names: Names, asking: Asking) -> None:
        """Keep what answers."""
        self._engine, self._served, self._names = engine, served, names
        self._asking = asking

    def table(self) -> list[Route]:
        """Return the routes."""
        posts: dict[str, Handler] = {
            "/v1/chat/completions": self.chat, "/v1/completions": self.completions,
            "/v1/embeddings": self.embeddings, "/v1/load_lora_adapter": self.load,
            "/v1/unload_lora_adapter": self.unload}
        gets: dict[str, Handler] = {"/health": self.health, "/v1/models": self.models,
                                    "/v1/models/{name:path}": self.model}
        return [*(Route(path, handler, methods=["POST"]) for path, handler in posts.items()),
                *(Route(path, handler, methods=["GET"]) for path, handler in gets.items())]

    async def health(self, request: Request) -> Response:
        """Say that it listens."""
        return Answer({"status": "ok"})

    async def models(self, request: Request) -> Response:
        """List the base and the adapters."""
        return Answer({"object": "list", "data": [self._card(v) for v in self._names.all()]})

    async def model(self, request: Request) -> Response:
        """Tell of one name."""
        return Answer(self._card(self._names.get(request.path_params["name"])))

    def _card(self, voice: Voice) -> dict[str, Any]:
        return {"id": voice.name, "object": "model", "created": voice.created,
                "owned_by": "finestra", "root": voice.root,
                "parent": self._names.base.name if voice.adapter else None,
                "max_model_len": self._served.context}

    async def chat(self, request: Request) -> Response:
        """Answer a conversation."""
        asked, wanted = time.monotonic(), await read_body(request, wire.ChatRequest)
        voice = self._names.get(wanted.model)
        question, tools = await until_gone(
            request, asyncio.to_thread(self._asking.of_chat, wanted, voice))
        answers = Chat(self._served.tokenizer, question, tools,
                       with_ids=bool(wanted.return_token_ids),
                       one_call=wanted.parallel_tool_calls is False)
        return await self._answer(request, wanted, [question], answers,
                                  Envelope(answers, voice.name, asked))

    async def completions(self, request: Request) -> Response:
        """Let texts go on."""
        asked, wanted = time.monotonic(), await read_body(request, wire.CompletionRequest)
        voice = self._names.get(wanted.model)
        questions = await until_gone(
            request, asyncio.to_thread(self._asking.of_completion, wanted, voice))
        answers = Completions(self._served.tokenizer, questions,
                              with_ids=bool(wanted.return_token_ids),
                              prompt_logprobs=wanted.prompt_logprobs)
        return await self._answer(request, wanted, questions, answers,
                                  Envelope(answers, voice.name, asked))

    async def _answer(self, request: Request, wanted: wire.Sampled, questions: list[Question],
                      answers: Answers, envelope: Envelope) -> Response:
        """Answer whole or as a stream, which begins when there is a first token."""
        hearing = Hearing(self._engine, questions)
        try:
            if not wanted.stream:
                return Answer(await until_gone(request, collect(hearing, answers, envelope)))
            first = await until_gone(request, hearing.next())
        except BaseException:
            hearing.cancel()
            raise
        chunks = stream(hearing, first, answers, envelope, with_usage=wanted.wants_usage)
        return StreamingResponse(chunks, media_type="text/event-stream",
                                 headers={"Cache-Control": "no-cache"})

    async def embeddings(self, request: Request) -> Response:
        """Turn texts into vectors."""
        wanted = await read_body(request, wire.EmbeddingRequest)
        voice = self._names.get(wanted.model)
        texts = await asyncio.to_thread(self._asking.tokens, wanted.input, "input")
        for ids in texts:
            self._asking.require_fitting(ids, voice, "input")

        async def vectors() -> list[Any]:
            return [await asyncio.wrap_future(self._engine.do(
                partial(embed, self._served, voice.adapter, ids))) for ids in texts]

        found = await until_gone(request, vectors())
        count = sum(map(len, texts))
        return Answer({
            "object": "list", "model": voice.name,
            "data": [{"object": "embedding", "index": index,
                      "embedding": shown(vector, wanted.encoding_format)}
                     for index, vector in enumerate(found)],
            "usage": {"prompt_tokens": count, "total_tokens": count}})

    async def load(self, request: Request) -> Response:
        """Load an adapter."""
        wanted, began = await read_body(request, wire.LoadAdapter), time.monotonic()
        voice = await asyncio.to_thread(self._names.add, wanted.lora_name, Path(wanted.lora_path))
        return Answer({**self._card(voice), "seconds": round(time.monotonic() - began, 3)})

    async def unload(self, request: Request) -> Response:
        """Forget an adapter."""
        wanted = await read_body(request, wire.UnloadAdapter)
        await asyncio.to_thread(self._names.remove, wanted.lora_name)
        return Answer({"id": wanted.lora_name, "object": "model", "deleted": True})


async def read_body(request: Request, kind: type[Kind]) -> Kind:
    """Read a request's document.

    Raises:
        Refused: It is too large, no JSON, or something in it is wrong.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Refused(f"The request has more than {MAX_BODY_BYTES:,} bytes.",
                          code="request_too_large", status=413)
    return wire.read(kind, bytes(body))


class Guard:
    """Lets nobody through without the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        """Stand before an app."""
        self._app, self._wanted = app, f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request's key in constant time."""
        if scope["type"] == "http" and scope["path"] != "/health":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._wanted):
                refused = Refused("Incorrect API key provided.", code="invalid_api_key",
                                  status=401)
                await Answer(refused.document(), 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return Answer(error.document(), error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = Refused(f"{request.method} {request.url.path}: {error.detail}.",
                      code="unknown_url", status=error.status_code)
    return Answer(refused.document(), error.status_code)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=_CLIENT_LEFT)


def build(routes: Routes, key: str) -> ASGIApp:
    """Return the app."""
    app = Starlette(routes=routes.table(), exception_handlers={
        Refused: _refused, HTTPException: _no_route, ClientGone: _gone, ClientDisconnect: _gone})
    return Guard(app, key)
