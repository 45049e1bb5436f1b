"""Models: what is here, the catalogue, downloads, deleting.

Names stand in queries, since a hub id has a slash in it; ``GET /models`` alone, in ``machine``,
lists the names that a config may have.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import StudioDep, UserDep
from app.datajobs import Job
from app.models import Filter

router = APIRouter(prefix="/models")
NameQuery = Annotated[str, Query(min_length=1, max_length=1000)]


class Wanted(BaseModel):
    """A filter, as a query; one that is not there is refused, or it would look as if it worked."""

    model_config = ConfigDict(extra="forbid")

    search: str = Field(default="", max_length=200)
    family: str = Field(default="", max_length=60)
    fits: Literal["", "lora", "qlora", "full"] = ""
    licence: str = Field(default="", max_length=60)


class WantedOffers(Wanted):
    """A filter of the catalogue."""

    access: Literal["", "open", "gated"] = ""
    kind: Literal["", "base", "instruct", "reasoning", "vision"] = ""


class Download(BaseModel):
    """What is brought here: a hub id, ``ms:`` and one of ModelScope, or a folder."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=1000)


@router.get("/here")
def here(studio: StudioDep, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """List the models on this machine, with the memory that training each needs."""
    return {"models": [one.document() for one in studio.library.here(
        Filter(**wanted.model_dump()))],
            "device": studio.library.room().document()}


@router.get("/catalogue")
def catalogue(studio: StudioDep, wanted: Annotated[WantedOffers, Query()]) -> dict[str, Any]:
    """List well-known bases, with the memory that training each needs about."""
    return {"models": [one.document() for one in studio.library.catalogue(
        Filter(**wanted.model_dump()))],
            "device": studio.library.room().document()}


@router.get("/show")
def show(name: NameQuery, studio: StudioDep) -> dict[str, Any]:
    """Return one model on this machine, and what deleting it would cost."""
    return {**studio.library.one(name).document(),
            "losses": studio.library.losses(name).document()}


@router.post("/downloads", status_code=202)
def download(body: Download, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Begin to bring a model here, or return the download that is at it."""
    return job_document(studio.library.download(body.source, who=user, web=True))


@router.get("/downloads")
def downloads(studio: StudioDep) -> dict[str, Any]:
    """List the downloads since the server was started, oldest first."""
    return {"downloads": [job_document(job) for job in studio.library.jobs.of()]}


@router.get("/downloads/{identity}")
def one_download(identity: str, studio: StudioDep) -> dict[str, Any]:
    """Return one download as it stands."""
    return job_document(studio.library.jobs.get(identity))


@router.delete("/downloads/{identity}")
def cancel(identity: str, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """End a download; what came in is kept."""
    return job_document(studio.library.cancel(identity, who=user))


@router.delete("")
def delete(name: NameQuery, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Delete a model; of a run's result the run with it. Refused while it is in use."""
    return {"deleted": studio.library.delete(name, who=user).document()}


def job_document(job: Job) -> dict[str, Any]:
    """Return a download as REST shows it; ``done`` and ``total`` are bytes."""
    told = job.document()
    return {"id": told["id"], "source": told["dataset"],
            **{key: told[key] for key in ("state", "done", "total", "eta_s", "error")},
            "name": job.result.get("name")}
