"""What evaluations have found: scores, rows with the answers to them, tables to take away."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import RunDep, StudioDep, get_run
from app.api.files import attachment
from app.evaluations import reading
from app.runs import Run, RunError
from app.studio import Studio

router = APIRouter()
_ONE = "/runs/{run_id}/evaluation"
Name = Annotated[str, Field(max_length=4096)]


class Wanted(BaseModel):
    """Which rows; see ``app.evaluations.rows.RowQuery``."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    dataset: Name = ""
    metric: Name = ""
    model: list[Name] = Field(default_factory=list, max_length=2)
    order: reading.Order = "worst"
    mistake: Annotated[str, Field(max_length=40)] = ""
    only: reading.Only = "all"
    search: Annotated[str, Field(max_length=200)] = ""
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    longest: Annotated[int, Field(ge=1, le=200_000)] = 20_000

    def query(self) -> reading.RowQuery:
        """Return it as pages ask."""
        values = self.model_dump(exclude={"model"})
        return reading.RowQuery(**values, models=tuple(self.model))


class Bins(BaseModel):
    """Which scores are counted."""

    model_config = ConfigDict(extra="forbid")

    dataset: Name = ""
    metric: Name = ""
    bins: Annotated[int, Field(ge=1, le=200)] = 20


class Several(BaseModel):
    """Which evaluations: all of them where none is named; one without a report adds nothing."""

    model_config = ConfigDict(extra="forbid")

    run: list[Name] = Field(default_factory=list, max_length=100)

    def runs(self, studio: Studio) -> list[Run]:
        """Return them; RunError('unknown_run') for a name of none."""
        if self.run:
            return [get_run(run_id, studio) for run_id in self.run]
        return [one for one in studio.runs() if one.objective == "evaluate"]


class Tuned(Several):
    """A trained model and its base, as evaluations name them."""

    model: Name
    base: Name


@router.get("/evaluations")
def matrix(studio: StudioDep, asked: Annotated[Several, Query()]) -> dict[str, Any]:
    """Return the newest score of every model at everything that was measured."""
    return reading.matrix(asked.runs(studio)).document()


@router.get("/evaluations.csv")
def matrix_table(studio: StudioDep, asked: Annotated[Several, Query()]) -> PlainTextResponse:
    """Return the newest scores as CSV."""
    return _file("evaluations.csv", reading.to_csv(asked.runs(studio)), "text/csv")


@router.get("/evaluations.md")
def matrix_markdown(studio: StudioDep, asked: Annotated[Several, Query()]) -> PlainTextResponse:
    """Return the newest scores as tables in Markdown."""
    return _file("evaluations.md", reading.to_markdown(asked.runs(studio)), "text/markdown")


@router.get("/evaluations/forgetting")
def forgetting(studio: StudioDep, asked: Annotated[Tuned, Query()]) -> dict[str, Any]:
    """Return what was measured of a trained model and of its base, what was lost most first."""
    found = reading.forgetting(asked.runs(studio), asked.model, asked.base)
    return {"model": asked.model, "base": asked.base, "kept": [one.document() for one in found]}


@router.get(_ONE)
def evaluation(run: RunDep) -> dict[str, Any]:
    """Return every score, comparison and kind of mistake."""
    return reading.document(run)


@router.get(f"{_ONE}/rows")
def rows(run: RunDep, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """Return rows with the answers to them, the worst or the most changed first."""
    return reading.rows(run, wanted.query()).document()


@router.get(f"{_ONE}/histogram")
def histogram(run: RunDep, wanted: Annotated[Bins, Query()]) -> dict[str, Any]:
    """Return how many answers of each model have which score."""
    return reading.histogram(run, wanted.dataset, wanted.metric, wanted.bins).document()


@router.get(f"{_ONE}/predictions")
def predictions(run: RunDep, model: Annotated[str, Query(max_length=4096)]) -> FileResponse:
    """Return all answers of a model, JSON lines."""
    report = reading.report_of(run)
    file = reading.predictions_file(run, report, model)
    if not file.is_file() or file.is_symlink():
        raise RunError("not_evaluated", f"The answers of '{model[:200]}' are gone.",
                       "Evaluate it again.")
    number = list(report.predictions).index(model) + 1
    return FileResponse(file, media_type="application/x-ndjson",
                        headers=attachment(f"{run.id}-predictions-{number:02d}.jsonl"))


@router.get(f"{_ONE}.csv")
def table(run: RunDep) -> PlainTextResponse:
    """Return the scores as CSV."""
    reading.report_of(run)
    return _file(f"{run.id}-evaluation.csv", reading.to_csv([run]), "text/csv")


@router.get(f"{_ONE}.md")
def markdown(run: RunDep) -> PlainTextResponse:
    """Return the scores as tables in Markdown."""
    reading.report_of(run)
    return _file(f"{run.id}-evaluation.md", reading.to_markdown([run]), "text/markdown")


def _file(name: str, text: str, media_type: str) -> PlainTextResponse:
    return PlainTextResponse(text, media_type=media_type, headers=attachment(name))
