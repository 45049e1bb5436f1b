"""``finestra export`` and ``finestra merge``: a model in other forms, several models as one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli_output import console, note
from app.runs import Run, RunError
from trainer.contract.config import apply_overrides
from trainer.contract.kinds.export import FORMATS
from trainer.contract.kinds.merge import MergeConfig

Detach = Annotated[bool, typer.Option(help="Queue it and return.")]
DryRun = Annotated[bool, typer.Option(help="Check everything, start nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def export(model: Annotated[str, typer.Argument(
               help="A run (or the beginning of its id), RUN/checkpoint-40, a base.")],
           settings: Annotated[list[str] | None, typer.Argument(
               metavar="[KEY=VALUE]...", help="For example dtype=bfloat16 push.repo=me/bot "
               "push.private=false push.folder=out parity.enabled=false deployment=true.")] = None,
           formats: Annotated[list[str] | None, typer.Option(
               "--format", "-f", help=f"May be given several times: {', '.join(FORMATS)}. "
               "Without it: merged.")] = None,
           detach: Detach = False, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Write a model as other programs read it, and compare each form with the source."""
    values = {"kind": "export", "source": model, "formats": formats or ["merged"]}
    _do(apply_overrides(values, settings or []), _How(detach, dry_run, as_json))


def merge(models: Annotated[list[str], typer.Argument(
              metavar="MODEL[=WEIGHT]... [KEY=VALUE]...", help="Runs or folders, each with a "
              "weight; then, for example, method=ties density=0.3, or what=models base=starter.")],
          detach: Detach = False, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Merge adapters of one base into one adapter, or models of one shape into one model."""
    fields = MergeConfig.model_fields
    settings = [text for text in models if "=" in text and text.partition("=")[0] in fields]
    values = {"kind": "merge", "sources": [_weighted(text) for text in models
                                           if text not in settings]}
    _do(apply_overrides(values, settings), _How(detach, dry_run, as_json))


def _weighted(text: str) -> dict[str, Any]:
    """Read 'RUN=0.7'; without a number the weight is 1."""
    found = re.fullmatch(r"(.+)=(-?[0-9.]+(?:e-?\d+)?)", text)
    return {"name": found[1], "weight": found[2]} if found else {"name": text}


@dataclass(frozen=True)
class _How:
    """What the user wants beside the work itself."""

    detach: bool
    dry_run: bool
    as_json: bool


def _do(values: dict[str, Any], how: _How) -> None:
    """Queue it and follow it, as ``finestra train`` does."""
    from app.cli import follow_run, show_dry_run, show_outcome
    from app.documents import export_document
    from app.studio import Studio

    studio = Studio.open()
    try:
        _name(studio, values)
        if how.dry_run:
            show_dry_run(studio.dry_run(values), False, how.as_json)
            return
        run = studio.create(values)
        run = run if how.detach else follow_run(studio, run)
        if not how.as_json and (found := export_document(run)):
            _show(found)
        show_outcome(studio, run, how.detach, how.as_json)
    finally:
        studio.close()


def _name(studio: Any, values: dict[str, Any]) -> None:
    """Write whole ids in place of parts of them, and a name where none is given."""
    labels = []
    for one in ([values] if values["kind"] == "export" else values["sources"]):
        key = "source" if values["kind"] == "export" else "name"
        if run := named_run(studio, one[key]):
            one[key] = run.id + one[key][len(one[key].partition("/")[0]):]
        labels.append(run.name if run else Path(one[key]).name)
    values.setdefault("name", f"{' + '.join(labels)} {values['kind']}"[:100])


def named_run(studio: Any, text: str) -> Run | None:
    """Return the run that a model's name begins with, by a part of its id; None where it is none.

    Raises:
        RunError: It may be several ('ambiguous_run').
    """
    from app.cli_runs import find

    if text == "starter" or os.path.isdir(os.path.expanduser(text)):
        return None
    try:
        return find(studio, text.partition("/")[0])
    except RunError as error:
        if error.code == "ambiguous_run":
            raise
        return None


def _show(found: dict[str, Any]) -> None:
    """Print what was written, and how each program's answers compare."""
    table = Table(box=None, pad_edge=False)
    for title in ("format", "size", "by", "prompts", "answers", "distance", "verdict"):
        table.add_column(title)
    for piece in (one for one in found["pieces"] if one["format"] in found["formats"]):
        first = [piece["format"], f"{piece['bytes'] / 1e6:,.1f} MB"]
        sides = (piece["parity"] or {}).get("sides") or [None]
        for at, side in enumerate(sides):
            table.add_row(*(first if at == 0 else ("", "")), *_side(side))
    console().print(table)
    for piece in found["pieces"]:
        for text in piece["notes"]:
            note(f"{piece['format']}: {text}")
        for side in (piece["parity"] or {}).get("sides") or ():
            if told := " ".join([*side["reasons"], side["advice"]]).strip():
                note(f"{piece['format']}, {side['program']}: {told}")
    for name, told in found["pushed"].items():
        note(f"{name}: {told.get('url') or told.get('path')}")


def _side(side: dict[str, Any] | None) -> list[str]:
    if side is None:
        return []
    asked = len(side["prompts"])
    counted = [f"{side[key]} of {asked} same" if asked else ""
               for key in ("prompts_same", "answers_same")]
    mean = "" if side["mean"] is None else f"±{side['mean']:.4f}"
    return [side["program"], *counted, mean, side["verdict"]]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("export")(export)
    app.command("merge")(merge)
