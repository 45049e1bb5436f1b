"""The routes of /v1/files and /v1/fine_tuning."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app.serving.openai_errors import ApiError
from app.studio import Studio
from app.tuning.files import ROWS, FileShelf, StoredFile, detail_of
from app.tuning.jobs import Jobs, page
from app.tuning.multipart import Upload, require_space

BODY_BYTES = 1 << 20


class TuningRoutes:
    """OpenAI's files and fine-tuning jobs of a studio, for the router of the gateway.

    Args:
        studio: Where jobs become runs.
        max_upload_bytes: Largest file.
    """

    def __init__(self, studio: Studio, *, max_upload_bytes: int) -> None:
        """Put the parts together."""
        self._studio, self._limit = studio, max_upload_bytes
        self.files = FileShelf(studio.home)
        self.jobs = Jobs(studio, self.files)

    def routes(self) -> list[Route]:
        """Return the routes, relative to /v1."""
        job = "/fine_tuning/jobs/{id}"
        return [Route("/files", self.create_file, methods=["POST"]),
                Route("/files", self.list_files),
                Route("/files/{id}", self.delete_file, methods=["DELETE"]),
                Route("/files/{id}", self.file),
                Route("/files/{id}/content", self.content),
                Route("/fine_tuning/jobs", self.create_job, methods=["POST"]),
                Route("/fine_tuning/jobs", self.list_jobs),
                Route(job, self.job),
                Route(f"{job}/cancel", self.cancel, methods=["POST"]),
                Route(f"{job}/events", self.events),
                Route(f"{job}/checkpoints", self.checkpoints)]

    async def create_file(self, request: Request) -> Response:
        """Take a file; nothing is left of one that is refused or cut short."""
        length = request.headers.get("content-length", "")
        # The rows of preferences and prompts are written a second time.
        needed = 2 * int(length) if length.isdecimal() else 2 * self._limit
        await asyncio.to_thread(require_space, self._studio.home.root, needed)
        folder = await asyncio.to_thread(self.files.new_folder)
        who = _user(request)
        try:
            with self._studio.home.audited("create_file", "", who) as said:
                upload = Upload(folder / ROWS, request.headers.get("content-type", ""),
                                self._limit)
                await upload.receive(request.stream())
                _require_purpose(upload.fields)
                found = await asyncio.to_thread(self.files.add, folder, upload.filename, who)
                said["detail"] = detail_of(found)
        except ClientDisconnect:
            raise ApiError(400, "invalid_form", "The upload was cut short.", "file") from None
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return _json(found.document())

    async def list_files(self, request: Request) -> Response:
        """List the files, newest first unless ``order=asc``."""
        after, limit = _page_of(request, default=10_000, most=10_000)
        found = await asyncio.to_thread(self.files.all)
        if request.query_params.get("purpose", "fine-tune") != "fine-tune":
            found = []
        if request.query_params.get("order") == "asc":
            found.reverse()
        return _json(page((one.document() for one in _after(found, after)), limit))

    async def file(self, request: Request) -> Response:
        """Describe a file."""
        found = await asyncio.to_thread(self.files.get, request.path_params["id"])
        return _json(found.document())

    async def content(self, request: Request) -> Response:
        """Send a file as it came."""
        path = await asyncio.to_thread(self.files.original, request.path_params["id"])
        return FileResponse(path, media_type="application/octet-stream",
                            headers={"cache-control": "no-store",
                                     "content-disposition": "attachment"})

    async def delete_file(self, request: Request) -> Response:
        """Take a file away."""
        file_id, who = request.path_params["id"], _user(request)
        with self._studio.home.audited("delete_file", "", who) as said:
            said["detail"] = file_id
            await asyncio.to_thread(self.files.delete, file_id, self.jobs.users)
        return _json({"id": file_id, "object": "file", "deleted": True})

    async def create_job(self, request: Request) -> Response:
        """Queue a job; the same Idempotency-Key gives the same job again."""
        raw = await request.body()
        if len(raw) > BODY_BYTES:
            raise ApiError(413, "too_large", "This is larger than the 1 MiB of a job.")
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            raise ApiError(400, "invalid_json", "The body is not JSON.") from None
        key = (request.headers.get("idempotency-key") or "")[:200] or None
        return _json(await asyncio.to_thread(self.jobs.create, body, owner=_user(request),
                                             key=key))

    async def list_jobs(self, request: Request) -> Response:
        """List the jobs, newest first."""
        after, limit = _page_of(request)
        wanted = {found[1]: value for name, value in request.query_params.items()
                  if (found := re.fullmatch(r"metadata\[(.{1,64})\]", name))}
        return _json(await asyncio.to_thread(self.jobs.listed, after, limit, wanted))

    async def job(self, request: Request) -> Response:
        """Describe a job as it is now."""
        def look() -> dict[str, Any]:
            return self.jobs.document(self.jobs.run(request.path_params["id"]))

        return _json(await asyncio.to_thread(look))

    async def cancel(self, request: Request) -> Response:
        """Stop a job; again has no effect."""
        return _json(await asyncio.to_thread(self.jobs.cancel, request.path_params["id"],
                                             who=_user(request)))

    async def events(self, request: Request) -> Response:
        """List what a job has said, newest first."""
        after, limit = _page_of(request)
        return _json(await asyncio.to_thread(self.jobs.events, request.path_params["id"], after,
                                             limit))

    async def checkpoints(self, request: Request) -> Response:
        """List a job's checkpoints, newest first."""
        after, limit = _page_of(request, default=10)
        return _json(await asyncio.to_thread(self.jobs.checkpoints, request.path_params["id"],
                                             after, limit))


def _require_purpose(fields: dict[str, str]) -> None:
    """Refuse files for what is not done here; ApiError 400."""
    purpose = fields.pop("purpose", "")
    if purpose != "fine-tune":
        raise ApiError(400, "invalid_value", f"Files for '{purpose[:40]}' are not used here. "
                       "Send purpose=fine-tune.", "purpose")
    if fields:
        name = next(iter(fields))[:60]
        raise ApiError(400, "unsupported_parameter", f"'{name}' is not used here.", name)


def _after(files: list[StoredFile], after: str | None) -> list[StoredFile]:
    ids = [one.id for one in files]
    if after and after not in ids:
        raise ApiError(400, "invalid_value", f"There is no file '{after[:80]}'.", "after")
    return files[ids.index(after) + 1:] if after else files


def _page_of(request: Request, *, default: int = 20, most: int = 1000
             ) -> tuple[str | None, int]:
    """Return (after, limit) of a list; ApiError 400 for a limit that is none."""
    text = request.query_params.get("limit") or str(default)
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise ApiError(400, "invalid_value", f"The limit is a number from 1 to {most:,}.", "limit")
    return request.query_params.get("after") or None, int(text)


def _user(request: Request) -> str:
    return str(request.scope.get("finestra_user") or "local")


def _json(body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, 200, {"cache-control": "no-store"})
