"""Passes a question on to the server that answers it, and the answer back as it comes.

Pieces of a stream are not parsed: only the value of ``"model"`` is replaced in their bytes. That
text cannot be part of what the model says, because quotes inside a JSON string are escaped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address

import httpx
import orjson
from starlette.types import Receive, Send

from app.serving.openai_errors import ApiError, from_engine, message_in
from app.serving.questions import Question
from app.serving.route import Backend, Served
from trainer.engines.errors import EngineError
from trainer.engines.route import Route

# A first token may take minutes on a CPU; OpenAI's own client waits as long.
SILENCE_S = 600.0
MOST_BYTES = 256 << 20
LONGEST_LINE = 32 << 20
_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_TIMEOUT = {"connect": 10.0, "read": SILENCE_S, "write": 60.0, "pool": None}
# Shorter than the 5 s after which uvicorn, which engines run on, lets go of a quiet connection.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=4.0)
_PASSED_ON = ("retry-after", "retry-after-ms", "x-request-id")


class Backends:
    """Several backends as one: the first that knows a name lets it answer."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        """Keep them in the order in which they are asked."""
        self._backends = list(backends)

    def served(self) -> list[Served]:
        """Return what can be asked for, each name once."""
        found = [one for backend in self._backends for one in backend.served()]
        return list({one.name: one for one in reversed(found)}.values())[::-1]

    @asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[Route]:
        """Hold the model of a name; EngineError('unknown_model') when nobody knows it."""
        for backend in self._backends:
            async with AsyncExitStack() as stack:
                try:
                    route = await stack.enter_async_context(backend.using(name))
                except EngineError as error:
                    if error.code != "unknown_model":
                        raise
                    continue
                yield route
                return
        raise EngineError("unknown_model", f"There is no model '{name[:100]}'.",
                          "GET /v1/models lists those that there are.")


class Clients:
    """What engines and endpoints are asked with; opened when first needed."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._near: httpx.AsyncHTTPTransport | None = None
        self._far: httpx.AsyncClient | None = None

    async def post(self, url: str, headers: dict[str, str], content: bytes) -> httpx.Response:
        """Send a question; return the answer's head. Whoever calls closes it.

        Near servers are asked without a client around the transport: no proxy of the environment
        is meant for them, and the first token comes sooner.
        """
        request = httpx.Request("POST", url, content=content, extensions={"timeout": _TIMEOUT},
                                headers={"user-agent": "finestra", "accept-encoding": "identity",
                                         "content-type": "application/json", **headers})
        if _is_near(request.url.host):
            self._near = self._near or httpx.AsyncHTTPTransport(trust_env=False, limits=_LIMITS)
            return await self._near.handle_async_request(request)
        self._far = self._far or httpx.AsyncClient(limits=_LIMITS)
        return await self._far.send(request, stream=True, follow_redirects=False)

    async def close(self) -> None:
        """Close all connections."""
        for opened in (self._near, self._far):
            if opened is not None:
                await opened.aclose()
        self._near = self._far = None


def _is_near(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost"


class Renamer:
    """Puts the client's name for the model into a stream, whole lines at a time."""

    def __init__(self, name: str) -> None:
        """Prepare the text that goes in."""
        self._text = b'"model":' + orjson.dumps(name)
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came; return the lines that are complete."""
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n") + 1
        if end == len(data):
            self._rest = b""
            return self.rename(data)
        self._rest = data[end:]
        if len(self._rest) > LONGEST_LINE:
            raise EngineError("engine_died", "The engine sent a line without an end.")
        return self.rename(data[:end])

    def end(self) -> bytes:
        """Return what came after the last line's end."""
        return self.rename(self._rest)

    def rename(self, data: bytes) -> bytes:
        """Return the bytes with the client's name in place of the engine's."""
        return _MODEL.sub(lambda _: self._text, data)


class Reply:
    """An answer on its way to the client; knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        """Send nothing yet."""
        self._send, self.begun = send, False

    async def begin(self, status: int, headers: dict[str, str]) -> None:
        """Send status and headers."""
        self.begun = True
        fixed = {"cache-control": "no-store", **headers}
        await self._send({"type": "http.response.start", "status": status, "headers": [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in fixed.items()]})

    async def write(self, data: bytes) -> None:
        """Send a piece."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Say that this was all."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send an answer in one piece."""
        await self.begin(status, {"content-type": "application/json",
                                  "content-length": str(len(body)), **headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def fail(self, error: ApiError) -> None:
        """Say why there is no answer, or no more of it: as an event once a stream has begun."""
        if not self.begun:
            # OpenAI's client asks again after 502, which is in vain when an admin has to act first.
            again = {"x-should-retry": "false"} if error.status == 502 else {}
            await self.whole(error.status, error.body(), again)
            return
        await self.write(b"\ndata: " + error.body() + b"\n\n")
        await self.end()


class Proxy:
    """Answers questions by passing them on."""

    def __init__(self, backend: Backend) -> None:
        """Keep who knows where models answer."""
        self.backend, self.clients = backend, Clients()

    async def answer(self, question: Question, receive: Receive, send: Send) -> None:
        """Pass a question on and the answer back; a client that leaves ends both at once."""
        work = asyncio.ensure_future(self._answer(question, Reply(send)))
        left = asyncio.ensure_future(_until_left(receive))
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, left):
                task.cancel()
            ended = await asyncio.gather(work, left, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _answer(self, question: Question, reply: Reply) -> None:
        try:
            async with self.backend.using(question.name) as route:
                await self._ask(question, route, reply)
        except ApiError as error:
            await reply.fail(error)
        except EngineError as error:
            await reply.fail(from_engine(error))
        except httpx.TimeoutException:
            await reply.fail(ApiError(504, "engine_silent", f"'{question.name}' said nothing for "
                                      f"{SILENCE_S:.0f} s."))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            await reply.fail(ApiError(503, "engine_died", "The engine of "
                                      f"'{question.name}' does not answer any more "
                                      f"({type(error).__name__}). Ask again to start it anew."))

    async def _ask(self, question: Question, route: Route, reply: Reply) -> None:
        if question.wants_likelihoods and not route.tells_likelihoods:
            await reply.fail(ApiError(
                400, "unsupported_parameter", f"The engine of '{question.name}' cannot tell how "
                "likely a given text is. Ask it through the engine 'transformers'.",
                "prompt_logprobs"))
            return
        headers = {"authorization": f"Bearer {route.key}"} if route.key else {}
        response = await self.clients.post(route.base_url + question.path, headers,
                                           question.to(route.model))
        try:
            kind = response.headers.get("content-type", "")
            if response.status_code == 200 and kind.startswith("text/event-stream"):
                await _pass_stream(response, Renamer(question.name), reply)
                return
            body = await _read(response)
        finally:
            await response.aclose()
        if response.status_code == 200:
            await reply.whole(200, Renamer(question.name).rename(body), _kept(response))
        else:
            # A server may quote the key that it was asked with.
            shown = body.replace(route.key.encode(), b"[secret]") if route.key else body
            await _pass_error(response, shown, reply)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _kept(response: httpx.Response) -> dict[str, str]:
    return {name: response.headers[name] for name in _PASSED_ON if name in response.headers}


async def _read(response: httpx.Response) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise ApiError(502, "answer_too_large", "The engine's answer is larger than "
                           f"{MOST_BYTES >> 20} MiB.")
    return b"".join(pieces)


async def _pass_stream(response: httpx.Response, renamer: Renamer, reply: Reply) -> None:
    await reply.begin(200, {"content-type": "text/event-stream; charset=utf-8",
                            "x-accel-buffering": "no", **_kept(response)})
    raw = "content-encoding" not in response.headers
    tail = b""
    async for piece in response.aiter_raw() if raw else response.aiter_bytes():
        if lines := renamer.feed(piece):
            tail = lines
            await reply.write(lines)
    if rest := renamer.end():
        tail = rest
        await reply.write(rest)
    _check_end(response, tail)
    await reply.end()


def _check_end(response: httpx.Response, tail: bytes) -> None:
    """Tell an end from a death where only the connection's end says so.

    Raises:
        EngineError: The stream was not framed and its last piece does not say that it is whole.
    """
    framed = {"transfer-encoding", "content-length"} & set(response.headers)
    if not framed and b"[DONE]" not in tail[-64:]:
        raise EngineError("engine_died", "The engine stopped in the middle of its answer.",
                          "Ask again to start it anew.")


async def _pass_error(response: httpx.Response, body: bytes, reply: Reply) -> None:
    """Pass on why a question was refused, in OpenAI's shape.

    What is wrong between the studio and the other server (its key, its address) is no error of
    the client, who could not mend it.
    """
    try:
        said = orjson.loads(body)
    except ValueError:
        said = {}
    status, text = response.status_code, message_in(said)[:2000]
    if status in {401, 403, 407} or status < 400:
        raise ApiError(502, "endpoint_error", "The server behind this model refused the studio "
                       f"with status {status}. Look at its address and key.")
    if isinstance(said, dict) and isinstance(said.get("error"), dict):
        await reply.whole(status, body, _kept(response))
        return
    raise ApiError(status, "endpoint_error", text or f"The engine answered with status {status}.")
