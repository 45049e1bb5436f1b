"""Files of an export, one by one; always as an attachment, parts of them by Range."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.api.deps import RunDep
from app.runs import RunError
from trainer.contract.rundir import RunDir

router = APIRouter(prefix="/runs/{run_id}/export")


@router.get("/{path:path}")
def download(run: RunDep, path: str) -> FileResponse:
    """Return one file of a finished export; ``path`` is as in the run's document."""
    found = find_file(RunDir(run.dir).export, path)
    return FileResponse(found, filename=found.name, media_type="application/octet-stream")


def find_file(folder: Path, path: str) -> Path:
    """Return a file inside a folder.

    Raises:
        RunError: There is none of that path ('unknown_file'): what leads elsewhere, as ``..`` or
            a link does, is none.
    """
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") and "\\" not in part and part.isprintable()
                for part in parts)
    steps = [folder, *(folder.joinpath(*parts[:at + 1]) for at in range(len(parts)))]
    try:
        if plain and len(path) <= 1000 and steps[-1].is_file() \
                and not any(step.is_symlink() for step in steps):
            return steps[-1]
    except OSError:
        pass
    raise RunError("unknown_file", "This run has exported no such file.",
                   "Its files are in the run's document: GET /api/runs/ID, under 'export'.")
