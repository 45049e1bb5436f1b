"""Health and devices."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import StudioDep

router = APIRouter()


@router.get("/health")
def health() -> dict[str, str]:
    """Answer when the server is ready; says nothing about what is on it."""
    return {"status": "ok", "name": "finestra"}


@router.get("/devices")
def devices(studio: StudioDep) -> dict[str, Any]:
    """List devices with their memory in MiB and the run that holds them.

    ``queue_error`` says what keeps the queue from working, '' when nothing does.
    """
    return {"devices": [device.document() for device in studio.devices()],
            "queue_error": studio.scheduler.last_error}


@router.get("/models")
def models(studio: StudioDep) -> dict[str, Any]:
    """List the names that ``model.name_or_path`` may have without a download."""
    return {"models": studio.models()}
