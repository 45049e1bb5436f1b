"""Runs: create, look, change, stop, resume, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from app.api.deps import RunDep, StudioDep, UserDep
from app.charts import smoothed
from app.documents import checkpoint_documents, metrics_document, show_document
from app.runs import RunState

router = APIRouter(prefix="/runs")


class NewRun(RootModel[dict[str, Any]]):
    """A run config as JSON: the same keys as the YAML file, alone or under ``config``."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"config"}:
            return value["config"]
        return value


class Changes(BaseModel):
    """What may be changed of a run; its config never changes."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    tags: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=20)] | None = None
    notes: Annotated[str, Field(max_length=10_000)] | None = None


class ResumeRequest(BaseModel):
    """Where to go on from: the newest valid checkpoint, a named one, or the beginning."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: Annotated[str, Field(pattern=r"^(auto|none|checkpoint-\d{1,12})$")] = "auto"


@router.get("")
def list_runs(studio: StudioDep, state: RunState | None = None,
              search: Annotated[str, Query(max_length=200)] = "",
              tag: Annotated[str, Query(max_length=50)] = "") -> dict[str, Any]:
    """List the runs, newest first."""
    found = studio.runs(state=state, search=search, tag=tag)
    return {"runs": [run.document() for run in found]}


@router.post("", status_code=201)
def create_run(body: NewRun, studio: StudioDep, user: UserDep,
               idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
               ) -> dict[str, Any]:
    """Queue a run; the same Idempotency-Key gives the same run again."""
    run = studio.create(body.root, owner=user, idempotency_key=idempotency_key, origin="web")
    return run.document()


@router.post("/dry-run")
def dry_run(body: NewRun, studio: StudioDep) -> dict[str, Any]:
    """Return the resolved config, every problem, the choices and the estimate."""
    found: dict[str, Any] = studio.dry_run(body.root, origin="web").document()
    return found


@router.get("/{run_id}")
def show_run(run: RunDep, studio: StudioDep) -> dict[str, Any]:
    """Return the document of ``finestra runs show ID --json``."""
    return show_document(studio, run)


@router.patch("/{run_id}")
def change_run(run: RunDep, changes: Changes, studio: StudioDep) -> dict[str, Any]:
    """Change name, tags or notes."""
    studio.annotate(run.id, name=changes.name, tags=changes.tags, notes=changes.notes)
    return show_document(studio, studio.run(run.id))


@router.delete("/{run_id}", status_code=204, response_class=Response)
def delete_run(run: RunDep, studio: StudioDep, user: UserDep) -> Response:
    """Delete a run that has ended, with its folder."""
    studio.delete(run.id, who=user)
    return Response(status_code=204)


@router.post("/{run_id}/stop", status_code=202)
def stop_run(run: RunDep, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Ask a run to stop at the next step's end; it saves a checkpoint first."""
    return studio.stop(run.id, who=user).document()


@router.post("/{run_id}/resume", status_code=202)
def resume_run(run: RunDep, studio: StudioDep, user: UserDep,
               body: Annotated[ResumeRequest | None, Body()] = None) -> dict[str, Any]:
    """Queue a new attempt of the same run."""
    checkpoint = (body or ResumeRequest()).checkpoint
    return studio.resume(run.id, checkpoint=checkpoint, who=user).document()


@router.get("/{run_id}/clone")
def clone_run(run: RunDep, studio: StudioDep) -> dict[str, Any]:
    """Return the config to start a similar run from."""
    return {"config": studio.clone_values(run.id)}


@router.get("/{run_id}/metrics")
def metrics(run: RunDep, studio: StudioDep,
            name: Annotated[list[str] | None, Query(max_length=50)] = None,
            max_points: Annotated[int | None, Query(ge=10, le=100_000)] = None,
            smooth: Annotated[float | None, Query(ge=0, lt=1)] = None) -> dict[str, Any]:
    """Return the series as ``[[step, value], ...]``, each step once; NaN is null.

    With ``smooth``, the share of the past, ``smoothed`` holds the moving averages over every step.
    """
    found = metrics_document(studio, run, name, max_points=max_points)
    if smooth is None:
        return found
    return {**found, "smoothed": smoothed(studio.series(run.id, name), smooth, max_points)}


@router.get("/{run_id}/samples")
def samples(run: RunDep, studio: StudioDep,
            last: Annotated[int, Query(ge=1, le=500)] = 12) -> dict[str, Any]:
    """Return the newest sample answers."""
    found = studio.samples(run.id, last=last)
    return {"samples": [s.model_dump(mode="json", exclude={"type"}) for s in found]}


@router.get("/{run_id}/checkpoints")
def checkpoints(run: RunDep, studio: StudioDep) -> dict[str, Any]:
    """Return the checkpoints, newest first, with the reason why one cannot be used."""
    return {"checkpoints": checkpoint_documents(studio, run)}


