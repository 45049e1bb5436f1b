"""Moving in: a file of LLaMA-Factory as a run config."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.migrate import import_llamafactory

router = APIRouter()


class ImportRequest(BaseModel):
    """A training file of LLaMA-Factory, as text."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=1_000_000)]


@router.post("/import")
def import_file(body: ImportRequest) -> dict[str, Any]:
    """Return the document of ``finestra import --json``; no file beside it is looked at."""
    return import_llamafactory(body.text).document()
