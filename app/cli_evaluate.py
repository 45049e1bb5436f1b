"""``finestra evaluate``: models answer rows or benchmarks, and their scores are compared."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli_evaluate_show import Wanted, print_rows, print_scores, write
from app.cli_options import command
from app.cli_output import note, print_json
from app.runs import Run, RunError
from trainer.contract.benchmarks import BENCHMARKS
from trainer.contract.config import apply_overrides
from trainer.contract.kinds.evaluate import OPTIONS

_SHORTHANDS = {one.name: one.tasks for one in BENCHMARKS if one.tasks != (one.name,)}
_NOTHING: dict[str, Any] = {"results": [], "comparisons": [], "predictions": {}}
Many = list[str] | None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is evaluated, by what, and how it is shown."""

    settings: Annotated[Many, typer.Argument(
        metavar="[CONFIG.yaml] [KEY=VALUE]...", help="A config of an evaluation, and single "
        "settings such as generation.temperature=0.7.")] = None
    model: Annotated[Many, typer.Option("--model", "-m", help="A run (or the beginning of its "
        "id), RUN/checkpoint-40, RUN/FILE.gguf, starter, a folder, or ENDPOINT/MODEL. May be "
        "given several times; the others are compared with the first.")] = None
    data: Annotated[Many, typer.Option("--data", "-d", help="A dataset; may be given several "
                                       "times.")] = None
    metric: Annotated[Many, typer.Option(
        "--metric", help=f"{', '.join(OPTIONS)}; or with options, as '{{name: regex, pattern: "
        "x+}'. May be given several times; without it chosen by the data.")] = None
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many rows of each "
                                              "dataset and task.")] = None
    benchmark: Annotated[Many, typer.Option("--benchmark", "-b", help="A task of "
        "lm-evaluation-harness; may be given several times.")] = None
    num_fewshot: Annotated[int | None, typer.Option(min=0, help="Examples before each question "
                                                    "of benchmarks.")] = None
    judge: Annotated[str, typer.Option(help="A model that compares or scores answers.")] = ""
    rubric: Annotated[str, typer.Option(help="What the judge looks at: a name or a text.")] = ""
    engine: Annotated[str, typer.Option(help="auto, transformers or vllm.")] = ""
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer.")] = None
    name: Annotated[str, typer.Option(help="Shown to people.")] = ""
    detach: Annotated[bool, typer.Option("--detach", help="Queue it and return.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run",
                                          help="Check everything, start nothing.")] = False
    show: Annotated[str, typer.Option(help="Show what an evaluation has found; --model, --data "
                                      "and --metric choose the rows.")] = ""
    worst: Annotated[int, typer.Option(min=0, max=1000, help="Also this many of the worst "
                                       "rows.")] = 0
    changed: Annotated[int, typer.Option(min=0, max=1000, help="Also this many of the rows that "
                                         "changed most.")] = 0
    csv: Annotated[Path | None, typer.Option(help="Write the scores to a CSV file.")] = None
    md: Annotated[Path | None, typer.Option(help="Write the scores to a Markdown file.")] = None
    force: Annotated[bool, typer.Option("--force", help="Replace those files.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False


def evaluate(options: Options) -> None:
    """Let models answer rows or benchmarks, score the answers, and compare the models."""
    from app.cli import show_dry_run
    from app.studio import Studio

    _refuse(options)
    studio = Studio.open()
    try:
        if options.show:
            _show(studio, options)
            return
        values = _values(studio, options)
        if options.dry_run:
            show_dry_run(studio.dry_run(values), False, options.as_json)
            return
        _start(studio, options, values)
    finally:
        studio.close()


def _refuse(options: Options) -> None:
    """Refuse options of which one would be lost."""
    if options.worst and options.changed:
        raise typer.BadParameter("--worst and --changed are two orders of rows: choose one.")
    if options.detach and (options.worst or options.changed or options.csv or options.md):
        raise typer.BadParameter("--detach returns before there is anything to show or to write: "
                                 "say --show ID later.")


def _start(studio: Any, options: Options, values: dict[str, Any]) -> None:
    """Queue it, follow it, and say what it has found."""
    from app.cli import end, follow_run, print_outcome
    from app.documents import evaluation_document, outcome_document

    wanted = Wanted.of(options, (), ())
    wanted.refuse_files()
    run = studio.create(values)
    run = run if options.detach else follow_run(studio, run)
    found = evaluation_document(run)
    if found is not None and not found["predictions"]:
        wanted = replace(wanted, count=0)
    if options.as_json:
        told = _NOTHING if found is None else _with_rows(run, found, wanted)
        print_json({**outcome_document(studio, run), **told})
    else:
        if found is not None:
            _print(run, wanted)
        print_outcome(studio, run)
    end(run, options.detach)


def _show(studio: Any, options: Options) -> None:
    """Show what an evaluation has found, as far as there is something."""
    from app.cli_runs import find
    from app.evaluations.reading import document

    run = find(studio, options.show)
    studio.ingest(run.id)
    run = studio.run(run.id)
    found = {"id": run.id, "name": run.name, "state": str(run.state), **document(run)}
    wanted = _wanted(studio, options)
    if options.as_json:
        print_json(_with_rows(run, found, wanted))
    else:
        _print(run, wanted)


def _with_rows(run: Run, found: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return a document with the rows that are wanted; write the files."""
    from app.evaluations.reading import rows

    if wanted.count:
        found = {**found, "rows": rows(run, wanted.query()).document()}
    write(run, wanted)
    return found


def _print(run: Run, wanted: Wanted) -> None:
    print_scores(run)
    if wanted.count:
        print_rows(run, wanted)
    for path in write(run, wanted):
        note(f"written: {path}")


def _wanted(studio: Any, options: Options) -> Wanted:
    """Return which rows are shown, with whole names of the models."""
    models = tuple(whole_name(studio, one) for one in options.model or ())
    return Wanted.of(options, models, tuple(options.data or ()))


def _values(studio: Any, options: Options) -> dict[str, Any]:
    """Return the config: of a file, then the options, then single settings."""
    from app.cli import read_config

    given = list(options.settings or [])
    values: dict[str, Any] = {}
    if given and "=" not in given[0]:
        values = read_config(Path(given.pop(0)), [])
        values.setdefault("kind", "evaluate")
        if values["kind"] != "evaluate":
            raise RunError("not_an_evaluation", f"This is a config of the kind "
                           f"'{str(values['kind'])[:40]}'.", "Start it with `finestra train`.")
    whole, given = {"kind": "evaluate", **values, **_of(options)}, [*_inner(options), *given]
    values = apply_overrides(whole, given)
    if options.limit and _tasks(values):
        values = apply_overrides(whole, [f"benchmarks.limit={options.limit}", *given])
    if isinstance(values.get("models"), list):
        values["models"] = [whole_name(studio, str(one)) for one in values["models"]]
    judge = values.get("judge")
    if isinstance(judge, dict) and judge.get("model"):
        judge["model"] = whole_name(studio, str(judge["model"]))
    if not values.get("name"):
        values["name"] = _name(studio, values)
    return values


def _of(options: Options) -> dict[str, Any]:
    """Return the config's own fields that options name."""
    given = {"models": options.model, "data": options.data, "name": options.name,
             "engine": options.engine,
             "metrics": [_metric(text) for text in options.metric or []],
             "max_samples": options.limit}
    return {key: value for key, value in given.items() if value}


def _metric(text: str) -> Any:
    """Read a metric: its name, or its options as YAML."""
    import yaml

    if not text.lstrip().startswith("{"):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise RunError("metric_syntax", f"'{text[:200]}' cannot be read.",
                       "Write it as '{name: regex, pattern: \"x+\"}'.") from None


def _inner(options: Options) -> list[str]:
    """Return settings of sections that options name."""
    import json

    tasks = [task for name in options.benchmark or [] for task in _SHORTHANDS.get(name, (name,))]
    given = {"benchmarks.tasks": tasks, "benchmarks.num_fewshot": options.num_fewshot,
             "generation.max_new_tokens": options.max_new_tokens,
             "judge.model": options.judge, "judge.rubric": options.rubric}
    return [f"{key}={json.dumps(value)}" for key, value in given.items()
            if value not in (None, "", [])]


def whole_name(studio: Any, name: str) -> str:
    """Return a model's name with the whole id of its run, where it is one."""
    from app.cli_export import named_run
    from app.evaluations.named import Models

    if name.endswith(".gguf") and os.path.isfile(os.path.expanduser(name)):
        return name
    if Models(studio.home).is_remote(name):
        return name
    run = named_run(studio, name)
    return run.id + name[len(name.partition("/")[0]):] if run else name


def _name(studio: Any, values: dict[str, Any]) -> str:
    """Return a name that says who answers what."""
    from app.cli_export import named_run

    models = [run.name if (run := named_run(studio, str(one))) else Path(str(one)).name
              for one in _list(values.get("models"))]
    uses = [one.get("name") if isinstance(one, dict) else one
            for one in _list(values.get("data"))]
    asked = [*(Path(str(one)).stem for one in uses), *_tasks(values)]
    return f"{' and '.join(models)} on {', '.join(asked)}"[:100] if models and asked \
        else "evaluation"


def _tasks(values: dict[str, Any]) -> list[str]:
    """Return the tasks of a config that nobody has checked yet."""
    section = values.get("benchmarks")
    return [str(one) for one in _list(section.get("tasks"))] if isinstance(section, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    command(app, "evaluate", Options, evaluate)
