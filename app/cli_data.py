"""``finestra data``: what is registered, whether a dataset is sound, what the model will see."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from app import cli_data_change
from app.cli_data_show import progress_bar, show_list, show_preview, show_report
from app.cli_options import command, lent_token, parse_map
from app.cli_output import note, print_json
from app.home import Home
from trainer.contract import RunConfig
from trainer.contract.config import OBJECTIVES, DatasetUse
from trainer.data import DatasetError, DatasetSpec
from trainer.data.catalog import registry
from trainer.data.catalog.registry import Fetching, Registry
from trainer.data.checking.report import DataReport
from trainer.data.shapes.objectives import objectives_of as objectives
from trainer.data.shapes.recognise import Shape, shape_from_mapping

if TYPE_CHECKING:
    from trainer.data.children.workers import DataWorker

app = typer.Typer(no_args_is_help=True, help="Look at datasets, add them, mend them.")
cli_data_change.register(app)

DATA = RunConfig(name="check").data
NEAR = DATA.near_threshold
WAIT_S = 600.0

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SourceArgument = Annotated[str, typer.Argument(
    help="A registry name (also name@2), a path, or a hub id: owner/name[@revision].")]


@app.command("list")
def list_registered(as_json: Json = False) -> None:
    """List the datasets that a config may name."""
    from app.datasets import DataService

    choices = DataService(Home.open(), lambda: ()).all()
    if as_json:
        print_json({"datasets": [asdict(choice) for choice in choices]})
    else:
        show_list(choices)


@dataclass(frozen=True, kw_only=True)
class Named:
    """How a command names a dataset, and how a model is to see it."""

    source: SourceArgument
    subset: Annotated[str | None, typer.Option(help="A hub dataset's configuration.")] = None
    split: Annotated[str | None, typer.Option(help="A hub dataset's split.")] = None
    revision: Annotated[str | None, typer.Option(
        help="A hub dataset's branch, tag or commit.")] = None
    mapping: Annotated[list[str] | None, typer.Option(
        "--map", metavar="ROLE=COLUMN",
        help="What a column means: prompt=question. Repeat it.")] = None
    objective: Annotated[str | None, typer.Option(
        help=f"What the data are for: {', '.join(OBJECTIVES)}.")] = None
    model: Annotated[str, typer.Option(
        help="Whose tokens: a folder (a tokenizer is enough), a run's id, a hub id.")] = "starter"
    template: Annotated[str, typer.Option(
        help="A chat template by name; auto is the tokenizer's own.")] = "auto"
    max_length: Annotated[int | None, typer.Option(
        min=1, help="In tokens. check: rows of more are too long (512); preview: rows of more "
                    "are cut as a run would cut them (not at all).")] = None
    as_json: Json = False
    usual_length: ClassVar[int] = DATA.max_length

    def use(self) -> DatasetUse:
        """Return the dataset as a run's config would name it."""
        if not self.source.strip():
            raise DatasetError("unknown_dataset", "No dataset is named.", "Name one.")
        return DatasetUse(name=self.source, subset=self.subset, split=self.split,
                          revision=self.revision)

    def shape(self) -> Shape | None:
        """Return what ``--map`` says, or None."""
        found = parse_map(self.mapping)
        return shape_from_mapping(found) if found else None

    def params(self, home: Home) -> dict[str, Any]:
        """Return what a worker is told."""
        use = self.use().model_dump(exclude_none=True, include={"subset", "split", "revision"})
        return {"home": str(home.root), "source": self.source, "use": use,
                "mapping": parse_map(self.mapping) or None, "template": self.template,
                "model_folder": str(_model_folder(home, self.model)),
                "max_length": self.max_length or self.usual_length, "objective": self.objective}


@dataclass(frozen=True, kw_only=True)
class CheckOptions(Named):
    """What ``data check`` can be told."""

    against: Annotated[list[str] | None, typer.Option(
        metavar="TRAIN", help="Training data that should hold none of these rows. Repeat it."
        )] = None
    near: Annotated[bool, typer.Option("--near", help="Look for near duplicates too.")] = False
    tokens: Annotated[bool, typer.Option(help="Count tokens.")] = True


@dataclass(frozen=True, kw_only=True)
class PreviewOptions(Named):
    """What ``data preview`` can be told."""

    usual_length: ClassVar[int] = 2**40
    row: Annotated[int, typer.Option(min=1, help="Its number, as check names it.")] = 1
    overlong: Annotated[str, typer.Option(
        help="What becomes of longer rows: cut_turns, drop.")] = DATA.overlong
    train_on_prompt: Annotated[bool, typer.Option(
        "--train-on-prompt", help="Learn everything.")] = False
    mask_history: Annotated[bool, typer.Option(
        "--mask-history", help="Learn the last answer only.")] = False


def check_source(options: CheckOptions) -> None:
    """Read a whole dataset and name every row that cannot be used; exit 1 if there is one."""
    home = Home.open()
    known = registry.load(home.data)
    shape = options.shape()
    spec = _spec(home, known, options.use())
    others = [_spec(home, known, DatasetUse(name=name)) for name in options.against or []]
    params = options.params(home) if options.tokens else {}
    report = _check(home, spec, options, shape=shape, against=others)
    lengths = _lengths(report, params) if params else {}
    if options.as_json:
        print_json({**report.document(), "tokens": _summary(lengths), "lengths": lengths})
    else:
        show_report(report, lengths, options.model)
    if report.bad_rows:
        raise typer.Exit(1)


def preview_row(options: PreviewOptions) -> None:
    """Show one row as the model will see it, and which part of it is learned."""
    home = Home.open()
    options.shape()
    _spec(home, registry.load(home.data), options.use())
    found = _ask("preview", {
        **options.params(home), "row": options.row, "overlong": options.overlong,
        "train_on_prompt": options.train_on_prompt, "mask_history": options.mask_history})
    if problem := found.get("problem"):
        raise DatasetError(str(problem["code"]), str(problem["message"]),
                           "Mend the row, or leave bad rows out.")
    if options.as_json:
        print_json(found)
        return
    show_preview(found)
    if options.max_length is None and found["tokens"] > DATA.max_length:
        note(f"Shown whole. A run cuts at data.max_length, {DATA.max_length} unless told; "
             "--max-length shows how.")


command(app, "check", CheckOptions, check_source)
command(app, "preview", PreviewOptions, preview_row)


def _spec(home: Home, known: Registry, use: DatasetUse) -> DatasetSpec:
    """Find a dataset; one of a hub is fetched."""
    with lent_token(home), progress_bar("fetching") as told:
        return known.resolve_use(use, fetch=Fetching(True, told.bytes))


def _check(home: Home, spec: DatasetSpec, options: CheckOptions, *, shape: Shape | None,
           against: list[DatasetSpec]) -> DataReport:
    """Check a dataset; what is asked of every dataset is kept, and found again."""
    from trainer.data.checking.check import check
    from trainer.data.checking.reports import ReportStore

    with progress_bar("checking") as told:
        if options.near or against:
            rest = home.tmp / f"problems-{spec.file_name[:40]}.jsonl"
            return check(spec, objective=options.objective, shape=shape, problems_file=rest,
                         near_threshold=NEAR if options.near else None, against=against,
                         progress=told.rows)
        store = ReportStore(home.root / "cache" / "reports")
        return store.check(spec, objective=options.objective, shape=shape, progress=told.rows)


def _model_folder(home: Home, model: str) -> Path:
    from app.sources import model_folder

    return model_folder(home, model, lambda path: True)


def _lengths(report: DataReport, params: dict[str, Any]) -> dict[str, Any]:
    """Measure rows in tokens; {} where there is nothing that a model would learn from."""
    if not report.usable or not objectives(report.shape.kind):
        return {}
    return _ask("lengths", params)


def _summary(lengths: dict[str, Any]) -> dict[str, Any]:
    warnings = {"warnings": lengths["warnings"]} if lengths.get("warnings") else {}
    return {**{key: lengths.get(key) for key in ("p50", "p95", "max", "over_max_length")},
            **warnings}


def _ask(operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """Let a worker do something that renders templates; its refusals are DatasetErrors."""
    from trainer.data.children.workers import DataWorker, Limits
    from trainer.data.templates.sandbox import TemplateError

    worker: DataWorker = DataWorker(Limits())
    try:
        with progress_bar("tokenising") as told:
            return worker.call(operation, params, timeout_s=WAIT_S, progress=told.document)
    except TemplateError as error:
        raise DatasetError(error.code, error.message, error.advice) from None
    finally:
        worker.close()
