"""Closes what vLLM serves without its key: ``/v1``, which asks for it, and ``/health`` stay open.

Runs inside vLLM's process (``--middleware finestra_door.Door``), so it needs nothing of ours and
nothing but Python.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]


class Door:
    """Answers 404 on every path that no key guards, such as ``/invocations`` and ``/adapters``."""

    def __init__(self, app: Callable[[_Scope, _Receive, _Send], Awaitable[None]]) -> None:
        """Stand before an app."""
        self._app = app

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Let a request pass, or say that there is nothing."""
        path = str(scope.get("path", ""))
        if scope["type"] == "lifespan" or path == "/health" or path.startswith("/v1/"):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404,
                        "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close", "code": 1008})
