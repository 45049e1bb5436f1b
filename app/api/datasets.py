"""Datasets: what there is, what is wrong with their rows, uploads, and work on them."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.deps import StudioDep, UserDep
from app.api.errors import document
from app.datachanges import Fixes
from app.datajobs import Job
from app.datarows import ViewOptions, lengths, preview, row_view
from app.studio import Studio
from trainer.contract.config.data import FilterConfig
from trainer.contract.config.facts import Objective
from trainer.contract.problems import message_and_advice
from trainer.contract.rundir import is_safe_name
from trainer.data import DatasetError
from trainer.data.reading.sources import format_of
from trainer.data.templates.sandbox import TemplateError

router = APIRouter(prefix="/datasets")
SHOWN_PROBLEMS = 100


class Strict(BaseModel):
    """A body whose keys are known."""

    model_config = ConfigDict(extra="forbid")


class Addition(Strict):
    """A dataset that is not sent: a path under the roots, a hub id, or LLaMA-Factory's folder."""

    kind: Literal["path", "hub", "folder"]
    source: str = Field(min_length=1, max_length=1000)
    name: str = Field(default="", max_length=64)
    subset: str = Field(default="", max_length=200)
    split: str = Field(default="", max_length=200)
    revision: str = Field(default="", max_length=128)


class FixBody(Strict):
    """What is left out of the next version."""

    drop_bad: bool = True
    deduplicate: Literal["none", "exact", "near"] = "none"
    near_threshold: float = Field(default=0.85, ge=0.5, le=1)
    filters: FilterConfig = Field(default_factory=FilterConfig)


class SplitBody(Strict):
    """How many rows are taken out for evaluation: a number, or a share below 1."""

    size: float = Field(gt=0, le=10_000_000)
    seed: int = Field(default=42, ge=0)


class MappingBody(Strict):
    """What the columns mean; null lets the rows be recognised again."""

    mapping: dict[str, str] | None


class View(BaseModel):
    """How rows are looked at, as a query."""

    model: str = Field(default="starter", max_length=500)
    template: str = Field(default="auto", max_length=100)
    max_length: int = Field(default=512, ge=8, le=1_048_576)
    overlong: Literal["cut_turns", "drop"] = "cut_turns"
    train_on_prompt: bool = False
    mask_history: bool = False
    objective: Literal["", Objective] = ""


def view_of(view: Annotated[View, Query()]) -> ViewOptions:
    """Read how rows are looked at."""
    return ViewOptions(**view.model_dump())


ViewDep = Annotated[ViewOptions, Depends(view_of)]


@router.get("")
def list_datasets(studio: StudioDep) -> dict[str, Any]:
    """List the datasets that a config may name."""
    return {"datasets": [choice.document() for choice in studio.datasets()]}


@router.post("/add", status_code=201)
def add(body: Addition, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Register a dataset without sending it; a hub dataset is fetched in the background."""
    if body.kind == "folder":
        found = studio.changes.add_folder(body.source, who=user)
        return {"added": [name for name, why in found if not why],
                "refused": [{"name": name, "reason": why} for name, why in found if why]}
    if body.kind == "hub":
        return {"name": studio.changes.add_hub(
            body.source, body.name, subset=body.subset, split=body.split,
            revision=body.revision, who=user)}
    return {"name": studio.changes.add_path(body.source, body.name, who=user)}


@router.get("/{name}")
def show(name: str, studio: StudioDep) -> dict[str, Any]:
    """Return a dataset and its report; one that was not read yet is read in the background."""
    choice = studio.data.choice(name)
    if choice.problem:
        return {**choice.document(), "report": None, "checking": None}
    report, job = studio.data.report(name)
    body = {**report.document, "problems": list(report.document.get("problems", ()))[
        :SHOWN_PROBLEMS], "complete": report.complete}
    return {**studio.data.choice(name).document(), "report": body,
            "checking": job.document() if job and job.active else None}


@router.delete("/{name}", status_code=204)
def delete(name: str, studio: StudioDep, user: UserDep) -> None:
    """Take a dataset of the user's away, with its versions."""
    studio.changes.delete(name, who=user)


@router.get("/{name}/problems")
def problems(name: str, studio: StudioDep, code: Annotated[str, Query(max_length=64)] = "",
             offset: Annotated[int, Query(ge=0)] = 0,
             limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """Return the rows with problems, grouped by code; ``offset`` belongs to ``code``."""
    pages = studio.data.problems(name, {code: offset}, limit=limit)
    return {"groups": [page.document() for page in pages if code in ("", page.code)]}


@router.get("/{name}/rows/{number}")
def row(name: str, number: int, studio: StudioDep, options: ViewDep) -> dict[str, Any]:
    """Return one row, and the document of ``finestra data preview`` where it can be made."""
    view = row_view(studio.data, name, number, options)
    seen, error = None, view.error
    if view.problem is None and error is None:
        try:
            seen = preview(studio.data, name, number, options)
        except (DatasetError, TemplateError) as refused:
            error = (refused.code, *message_and_advice(refused))
    code, message, advice = error or ("", "", "")
    return {**view.document(), "preview": seen,
            "error": {"code": code, "message": message, "advice": advice} if code else None}


@router.get("/{name}/lengths")
def row_lengths(name: str, studio: StudioDep, options: ViewDep) -> dict[str, Any]:
    """Return how long the rows are in tokens; measured in the background the first time."""
    found, job = lengths(studio.data, name, options)
    return {"lengths": found, "measuring": job.document() if job else None}


@router.post("/{name}/check", status_code=202)
def check(name: str, studio: StudioDep) -> dict[str, Any]:
    """Read every row anew, unless that is under way already."""
    return studio.data.check(name, again=True).document()


@router.get("/{name}/jobs")
def jobs(name: str, studio: StudioDep) -> dict[str, Any]:
    """List the work on a dataset, oldest first."""
    studio.data.choice(name)
    return {"jobs": [job.document() for job in studio.data.jobs.of(name)]}


@router.get("/{name}/jobs/{identity}")
def job_of(name: str, identity: str, studio: StudioDep) -> dict[str, Any]:
    """Return one piece of work as it stands."""
    return _job(studio, name, identity).document()


@router.delete("/{name}/jobs/{identity}")
def cancel(name: str, identity: str, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """End a piece of work."""
    return studio.changes.cancel(_job(studio, name, identity), who=user).document()


def _job(studio: Studio, name: str, identity: str) -> Job:
    found = studio.data.jobs.get(identity)
    if found.name != name:
        raise DatasetError("unknown_job", f"There is no such work on '{name[:80]}'.",
                           "List it: GET /api/datasets/NAME/jobs.")
    return found


@router.post("/{name}/fix", status_code=202)
def fix(name: str, body: FixBody, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Begin to write a new version without bad rows, duplicates or filtered rows."""
    fixes = Fixes(body.drop_bad, body.deduplicate, body.near_threshold,
                  body.filters.model_dump(exclude_defaults=True))
    return studio.changes.fix(name, fixes, who=user).document()


@router.post("/{name}/split", status_code=202)
def split(name: str, body: SplitBody, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Begin to take rows out for evaluation."""
    return studio.changes.split(name, body.size, body.seed, who=user).document()


@router.put("/{name}/mapping")
def mapping(name: str, body: MappingBody, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Save what the columns mean; of a shared sample a copy is made, whose name comes back."""
    return {"name": studio.changes.map(name, body.mapping, who=user)}


@router.get("/{name}/versions")
def list_versions(name: str, studio: StudioDep) -> dict[str, Any]:
    """List a dataset's versions, oldest first; the last one is in use."""
    found = studio.changes.versions(name)
    return {"versions": [{key: value for key, value in one.document().items() if key != "source"}
                         for one in found]}


@router.post("/{name}/restore")
def restore(name: str, studio: StudioDep, user: UserDep,
            version: Annotated[int, Body(embed=True, ge=1)]) -> dict[str, Any]:
    """Make an older version the newest one again."""
    studio.changes.restore(name, version, who=user)
    return list_versions(name, studio)


def _temporary_name(filename: str) -> str:
    """Return a name for messages: the sender's when it is a plain one, else 'data' and its kind."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    suffix, compression = format_of(Path(name))
    ending = f"{suffix}.{compression}" if compression else suffix
    return name if is_safe_name(name) and name[0] != "." else f"data{ending}"


async def receive_file(request: Request, path: Path, limit: int) -> int:
    """Write the body to a new file as it comes in; return its size in bytes.

    Raises:
        HTTPException: 413 when it is larger than ``limit``, 422 when it is empty.
        ClientDisconnect: The other end went away before everything was there.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    size = 0
    with os.fdopen(handle, "wb") as file:
        async for block in request.stream():
            size += len(block)
            if size > limit:
                raise HTTPException(413, f"The file is larger than {limit >> 20:,} MiB.")
            await asyncio.to_thread(file.write, block)
    if not size:
        raise HTTPException(422, "The file is empty.")
    return size


@dataclass(frozen=True)
class Sent:
    """What is said of an upload: its name, its file's, and how it is taken."""

    name: str
    filename: str
    rename: bool
    later: bool


def sent_of(name: Annotated[str, Query(min_length=1, max_length=255)],
            filename: Annotated[str, Query(max_length=255)] = "data.jsonl",
            rename: bool = False, check: Literal["now", "later"] = "now") -> Sent:
    """Read what is said of an upload."""
    return Sent(name, filename, rename, check == "later")


@router.post("", status_code=201)
async def upload(request: Request, studio: StudioDep, user: UserDep,
                 sent: Annotated[Sent, Depends(sent_of)]) -> dict[str, Any]:
    """Take a dataset: the body is the file itself, ``filename`` only says its kind.

    The name under which it is stored is the server's choice; a file that is cut short, too
    large or unreadable leaves nothing behind. ``rename`` makes a free, plain name of ``name``.
    With ``check=later`` the answer comes at once, and columns that nobody knows are no error.
    """
    folder = studio.home.tmp / f"upload-{secrets.token_hex(8)}"
    path = folder / _temporary_name(sent.filename)
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
    try:
        size = await receive_file(request, path, request.app.state.max_upload_bytes)
        stored = await asyncio.to_thread(studio.changes.add_file, path, sent.name, who=user,
                                         rename=sent.rename, any_shape=sent.later)
    except ClientDisconnect:
        raise HTTPException(400, "The upload was cut short.") from None
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    report = {} if sent.later else await asyncio.to_thread(_report, studio, stored)
    return {"name": stored, "size_bytes": size, **report}


def _report(studio: Studio, name: str) -> dict[str, Any]:
    """Check every row; a file that is stored but of no use says why under ``error``."""
    try:
        report = studio.data.reports.check(studio.data.spec(name)).document()
    except DatasetError as error:
        message, advice = message_and_advice(error)
        return {"report": None, **document(error.code, message, advice=advice)}
    return {"report": {**report, "problems": report["problems"][:SHOWN_PROBLEMS]}}
