"""A run as server-sent events: what is new whenever something has changed.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from app.api.deps import RunDep, StudioDep
from app.runs import RunError
from app.studio import Studio

router = APIRouter(prefix="/runs/{run_id}")
POLL_S = 0.5
HEARTBEAT_S = 15.0
MAX_STREAMS = 64


@dataclass
class Cursor:
    """What one listener has been told already.

    A resumed run takes points back (those beyond its checkpoint) and measures those steps again;
    when what was told is no longer the beginning of a series, everything is sent anew.
    ``told`` holds the number of points told of each series and a hash over them.
    """

    watermark: int = -1
    told: dict[str, tuple[int, int]] = field(default_factory=dict)

    def update(self, studio: Studio, run_id: str) -> dict[str, Any] | None:
        """Return what changed since the last call, or None.

        Raises:
            RunError: The run is gone.
        """
        watermark = studio.watermark(run_id)
        if watermark == self.watermark:
            return None
        run, series = studio.run(run_id), studio.series(run_id)
        reset = self.watermark < 0 or not self._still_holds(series)
        if reset:
            self.told.clear()
        fresh = {name: points[self.told.get(name, (0, 0))[0]:] for name, points in series.items()}
        self.told = {name: (len(points), hash(tuple(points))) for name, points in series.items()}
        self.watermark = watermark
        return {"watermark": watermark, "reset": reset, "run": run.document(),
                "series": {name: points for name, points in fresh.items() if points}}

    def _still_holds(self, series: dict[str, list[tuple[int, float | None]]]) -> bool:
        return all(hash(tuple(series.get(name, [])[:count])) == told
                   for name, (count, told) in self.told.items())


def encode(event: str, data: dict[str, Any], number: int) -> str:
    """Write one server-sent event."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"id: {number}\nevent: {event}\ndata: {text}\n\n"


async def follow(request: Request, studio: Studio, run_id: str) -> AsyncIterator[str]:
    """Yield events until the listener leaves, the run is deleted, or the server closes."""
    state = request.app.state
    state.streams = getattr(state, "streams", 0) + 1
    cursor, spoken = Cursor(), time.monotonic()
    try:
        while not state.closing and not await request.is_disconnected():
            try:
                news = await asyncio.to_thread(cursor.update, studio, run_id)
            except RunError as error:
                yield encode("gone", {"code": error.code, "message": str(error)},
                             cursor.watermark)
                return
            if news is not None:
                yield encode("update", news, cursor.watermark)
                spoken = time.monotonic()
            elif time.monotonic() - spoken > HEARTBEAT_S:
                yield ": still here\n\n"
                spoken = time.monotonic()
            await asyncio.sleep(POLL_S)
    finally:
        state.streams -= 1


@router.get("/events")
async def events(request: Request, run: RunDep, studio: StudioDep) -> StreamingResponse:
    """Stream a run: first all there is, then what is new; a comment every 15 s keeps it open."""
    if getattr(request.app.state, "streams", 0) >= MAX_STREAMS:
        raise HTTPException(503, "Too many pages are watching at once. Close some of them.")
    return StreamingResponse(follow(request, studio, run.id), media_type="text/event-stream",
                             headers={"x-accel-buffering": "no"})
