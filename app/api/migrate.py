"""Moving in: a file of LLaMA-Factory as a run config."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import RunDep, StudioDep
from app.migrate import import_llamafactory
from app.script import write_script
from trainer.contract.config import load_yaml, parse

router = APIRouter()


class ImportRequest(BaseModel):
    """A training file of LLaMA-Factory, as text."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=1_000_000)]


@router.post("/import")
def import_file(body: ImportRequest) -> dict[str, Any]:
    """Return the document of ``finestra import --json``; no file beside it is looked at."""
    return import_llamafactory(body.text).document()


@router.get("/runs/{run_id}/script")
def run_script(run: RunDep, studio: StudioDep) -> PlainTextResponse:
    """Return a Python script that trains the same with TRL alone."""
    found = write_script(parse(load_yaml(studio.config_yaml(run.id))), home=studio.home.root,
                         runs=studio.home.runs)
    return PlainTextResponse(found.text, media_type="text/x-python", headers={
        "Content-Disposition": f'attachment; filename="{run.id}.py"'})
