"""An engine that is asked without any try again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx

from trainer.evaluation.seam import Ability, Unanswerable

Result = TypeVar("Result")


class PlainAsker:
    """Asks one model; ``asked`` has the paths, ``cannot`` why it tells no likelihoods."""

    def __init__(self, base_url: str, model: str, key: str) -> None:
        """Open a client, to be closed by ``asking``."""
        self.base_url = base_url
        self.name = self.model = model
        self.asked: list[str] = []
        self.cannot = ""
        self.client = httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=900,
                                        trust_env=False)

    def can(self, ability: Ability) -> str:
        """Return ``cannot`` for likelihoods."""
        return self.cannot if ability == "likelihood" else ""

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask."""
        self.asked.append(path)
        reply = await self.client.post(self.base_url + path, json={"model": self.model, **body})
        if reply.status_code == 400:
            raise Unanswerable(reply.json()["error"]["message"])
        found: dict[str, Any] = reply.raise_for_status().json()
        return found


def asking(base_url: str, model: str, key: str,
           work: Callable[[PlainAsker], Coroutine[Any, Any, Result]]) -> Result:
    """Do something with a model, on an event loop of its own."""
    async def whole() -> Result:
        asker = PlainAsker(base_url, model, key)
        async with asker.client:
            return await work(asker)

    return asyncio.run(whole())
