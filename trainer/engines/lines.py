"""Asking one server many questions at once."""

from __future__ import annotations

from typing import Any

import httpx

# Shorter than the 5 s after which uvicorn, which engines run on, lets go of a quiet connection.
KEEP_S = 4.0


class Lines:
    """Clients of httpx, each of which asks one question at a time.

    One client for all of them looks through all its connections at every question: with 128 under
    way that takes 5 ms of a processor each time, which is missing where the engine needs it; with a
    client for each it takes 0.7 ms.
    """

    def __init__(self, *, timeout: httpx.Timeout, trust_env: bool,
                 headers: dict[str, str] | None = None) -> None:
        """Open nothing yet; ``trust_env``: proxies of the environment are meant for the server."""
        self._options: dict[str, Any] = {
            "timeout": timeout, "trust_env": trust_env, "headers": headers,
            "follow_redirects": False, "limits": httpx.Limits(keepalive_expiry=KEEP_S),
            "verify": httpx.create_ssl_context(trust_env=trust_env)}
        self._all: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []

    async def post(self, url: str, **more: Any) -> httpx.Response:
        """Send a question and read the whole answer. Raises httpx.RequestError."""
        client = self._idle.pop() if self._idle else self._open()
        try:
            return await client.post(url, **more)
        finally:
            self._idle.append(client)

    def _open(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(**self._options)
        self._all.append(client)
        return client

    async def close(self) -> None:
        """Let go of all connections."""
        for client in self._all:
            await client.aclose()
        self._all, self._idle = [], []
