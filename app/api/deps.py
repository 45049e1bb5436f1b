"""What the routes ask for: the studio, a run that exists, the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Path, Request

from app.runs import Run, RunError
from app.studio import Studio
from trainer.contract.rundir import is_safe_name


def get_studio(request: Request) -> Studio:
    """Return the studio that the application was built with."""
    studio = request.app.state.studio
    assert isinstance(studio, Studio)
    return studio


StudioDep = Annotated[Studio, Depends(get_studio)]


def get_run(run_id: Annotated[str, Path()], studio: StudioDep) -> Run:
    """Return the run of the address; RunError('unknown_run') when there is none."""
    if not is_safe_name(run_id):
        raise RunError("unknown_run", "There is no such run.", "List the runs: GET /api/runs.")
    return studio.run(run_id)


RunDep = Annotated[Run, Depends(get_run)]


def get_user(request: Request) -> str:
    """Return who the guard let in."""
    return str(request.scope.get("finestra_user") or "local")


UserDep = Annotated[str, Depends(get_user)]


def only_admin(user: UserDep) -> None:
    """Refuse whoever came with a key: a key makes no keys (403)."""
    if user.startswith("key:"):
        raise HTTPException(403, "Only who signed in with the token may do this.")
