"""The engines of this server: which run, why they ended, let go of one, start one anew."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from app.api.deps import UserDep, only_admin
from app.system import SystemDesk


def get_desk(request: Request) -> SystemDesk:
    """Return who looks after the engines of this server."""
    desk = request.app.state.system
    assert isinstance(desk, SystemDesk)
    return desk


DeskDep = Annotated[SystemDesk, Depends(get_desk)]
EngineId = Annotated[str, Path(max_length=100)]
router = APIRouter()


class Wish(BaseModel):
    """How an engine is let go: ``force`` ends the answers that it is writing."""

    model_config = ConfigDict(extra="forbid")

    force: bool = False


@router.get("/engines")
def list_engines(desk: DeskDep) -> dict[str, Any]:
    """List engines, kinds of engines with what installs them, and conflicts with training."""
    return desk.engines_document()


@router.post("/engines/{engine_id}/unload", status_code=204, response_class=Response,
             dependencies=[Depends(only_admin)])
def unload_engine(engine_id: EngineId, desk: DeskDep, user: UserDep,
                  wish: Annotated[Wish | None, Body()] = None) -> Response:
    """Let an engine go."""
    desk.unload(engine_id, force=bool(wish and wish.force), who=user)
    return Response(status_code=204)


@router.post("/engines/{engine_id}/restart", dependencies=[Depends(only_admin)])
def restart_engine(engine_id: EngineId, desk: DeskDep, user: UserDep,
                   wish: Annotated[Wish | None, Body()] = None) -> dict[str, str]:
    """Start an engine anew; ``id`` is the new one's."""
    return {"id": desk.restart(engine_id, force=bool(wish and wish.force), who=user)}


@router.get("/doctor")
def doctor(desk: DeskDep) -> dict[str, Any]:
    """Return what ``finestra doctor --json`` prints, at most half a minute old."""
    checks, _ = desk.checks()
    return {"checks": [check.document() for check in checks],
            "ok": all(check.ok for check in checks)}


@router.get("/audit", dependencies=[Depends(only_admin)])
def audit(desk: DeskDep, last: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
    """Return the newest lines of the audit log, the newest first."""
    return {"audit": desk.audit(last)}
