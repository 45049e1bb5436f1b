"""Datasets: what is registered, and uploads of new ones."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.deps import StudioDep, UserDep
from app.api.errors import document
from app.studio import Studio
from trainer.contract.problems import message_and_advice
from trainer.contract.rundir import is_safe_name
from trainer.data import DatasetError, check, load
from trainer.data.sources import format_of

router = APIRouter(prefix="/datasets")
SHOWN_PROBLEMS = 100


@router.get("")
def list_datasets(studio: StudioDep) -> dict[str, Any]:
    """List the datasets that a config may name."""
    return {"datasets": [asdict(choice) for choice in studio.datasets()]}


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


@router.post("", status_code=201)
async def upload(request: Request, studio: StudioDep, user: UserDep,
                 name: Annotated[str, Query(min_length=1, max_length=64)],
                 filename: Annotated[str, Query(max_length=255)] = "data.jsonl",
                 ) -> dict[str, Any]:
    """Take a dataset: the body is the file itself, ``filename`` only says its kind.

    The name under which it is stored is the server's choice; a file that is cut short, too
    large or unreadable leaves nothing behind.
    """
    folder = studio.home.tmp / f"upload-{secrets.token_hex(8)}"
    path = folder / _temporary_name(filename)
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
    try:
        size = await receive_file(request, path, request.app.state.max_upload_bytes)
        stored = await asyncio.to_thread(studio.add_dataset_file, path, name, who=user)
    except ClientDisconnect:
        raise HTTPException(400, "The upload was cut short.") from None
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    report = await asyncio.to_thread(_report, studio, stored)
    return {"name": stored, "size_bytes": size, **report}


def _report(studio: Studio, name: str) -> dict[str, Any]:
    """Check every row; a file that is stored but of no use says why under ``error``."""
    try:
        report = check(load(studio.home.data).resolve(name), limit=SHOWN_PROBLEMS)
    except DatasetError as error:
        message, advice = message_and_advice(error)
        return {"report": None, **document(error.code, message, advice=advice)}
    return {"report": report.document()}
