"""A plain Asker over HTTP: the judge's server is real, and so is the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from trainer.evaluation.seam import Ability, Unanswerable
from trainer.failures import Failure

TRIES = 3


class Wire:
    """Asks a server; refusals and silence become what the seam says."""

    name = model = "lab/judge"
    key = ""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client, self.base_url = client, base_url

    def can(self, ability: Ability) -> str:
        return ""

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        for _ in range(TRIES):
            try:
                answer = await self._client.post(self.base_url + path,
                                                 json={"model": self.model, **body})
            except httpx.HTTPError:
                continue
            if answer.status_code in (400, 413, 422):
                raise Unanswerable(answer.text)
            if answer.status_code in (401, 403, 404):
                raise Failure("endpoint_refused", f"HTTP {answer.status_code}")
            if answer.status_code == 200:
                try:
                    reply = answer.json()
                except ValueError:
                    return {}
                return reply if isinstance(reply, dict) else {}
        raise Failure("endpoint_unreachable", "No answer.")


@asynccontextmanager
async def opened(base_url: str, timeout_s: float = 20.0) -> AsyncIterator[Wire]:
    """Hold the connections to a server."""
    async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as client:
        yield Wire(client, base_url)
