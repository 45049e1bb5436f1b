"""Put the REST application together; it is mounted at /api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.api import (
    chats,
    datasets,
    engines,
    evaluations,
    events,
    exports,
    files,
    machine,
    migrate,
    models,
    openai_admin,
    runs,
)
from app.api.errors import install

if TYPE_CHECKING:
    from app.studio import Studio


def build(studio: Studio, *, max_upload_bytes: int) -> FastAPI:
    """Return the application with every REST route.

    Args:
        studio: What all routes work on.
        max_upload_bytes: Largest dataset file that is taken.
    """
    api = FastAPI(title="Finestra", docs_url=None, redoc_url=None, openapi_url="/openapi.json",
                  redirect_slashes=False)
    api.state.studio = studio
    api.state.max_upload_bytes = max_upload_bytes
    api.state.closing = False
    for module in (machine, runs, files, exports, evaluations, events, datasets, migrate, models,
                   openai_admin, chats, engines):
        api.include_router(module.router)
    install(api)
    return api
