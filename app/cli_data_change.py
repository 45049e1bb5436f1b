"""``finestra data`` where it changes something: add, fix, split, export, versions, delete."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from app.cli_data_show import plain, progress_bar
from app.cli_options import command, lent_token, parse_map
from app.cli_output import console, note, print_json
from app.home import Home
from trainer.contract.config.data import FilterConfig
from trainer.data import DatasetError
from trainer.data.catalog import registry
from trainer.data.catalog import versions as kept
from trainer.data.catalog.adding import add_file, add_folder, add_hub
from trainer.data.catalog.export import export as export_rows
from trainer.data.catalog.fixups import Fixes, Watching
from trainer.data.catalog.fixups import fix as fix_dataset
from trainer.data.catalog.hub_names import entry_hub_id, parse_hub_id
from trainer.data.catalog.registry import FILE_NAME, Fetching, Registry, read_registry
from trainer.data.catalog.splitting import split as split_dataset

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Name = Annotated[str, typer.Argument(help="A registry name; fix and split take a path too.")]


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """What ``data add`` can be told."""

    source: Annotated[str, typer.Argument(
        help="A file, a folder of shards, LLaMA-Factory's data folder, or a hub id.")]
    name: Annotated[str, typer.Option(help="Its name here; made of the source's.")] = ""
    mapping: Annotated[list[str] | None, typer.Option(
        "--map", metavar="ROLE=COLUMN", help="What a column means. Repeat it.")] = None
    folder: Annotated[bool, typer.Option(
        "--folder", help="SOURCE is LLaMA-Factory's data folder.")] = False
    copy: Annotated[bool, typer.Option(
        "--copy", help="Copy the file instead of naming where it lies.")] = False
    subset: Annotated[str | None, typer.Option(help="A hub dataset's configuration.")] = None
    split: Annotated[str | None, typer.Option(help="A hub dataset's split.")] = None
    revision: Annotated[str | None, typer.Option(
        help="A hub dataset's branch, tag or commit.")] = None
    data_dir: Annotated[str | None, typer.Option(
        help="Only this folder of a hub dataset.")] = None
    as_json: Json = False

    def part(self) -> dict[str, str | None]:
        """Return which part of a hub dataset is wanted."""
        return {"subset": self.subset, "split": self.split, "folder": self.data_dir}


@dataclass(frozen=True, kw_only=True)
class FixOptions:
    """What ``data fix`` can be told."""

    name: Name
    drop_bad: Annotated[bool, typer.Option(
        "--drop-bad", help="Leave out rows that cannot be used.")] = False
    deduplicate: Annotated[str, typer.Option(help="none, exact, near.")] = "none"
    near_threshold: Annotated[float, typer.Option(
        min=0.5, max=1, help="From which likeness on rows are near duplicates.")] = 0.85
    min_characters: Annotated[int | None, typer.Option(help="Leave out shorter rows.")] = None
    max_characters: Annotated[int | None, typer.Option(help="Leave out longer rows.")] = None
    language: Annotated[list[str] | None, typer.Option(
        help="Keep only this one, such as en. Repeat it.")] = None
    include: Annotated[str | None, typer.Option(
        help="Keep only rows with this regular expression.")] = None
    exclude: Annotated[str | None, typer.Option(
        help="Leave out rows with this regular expression.")] = None
    as_json: Json = False

    def filters(self) -> FilterConfig:
        """Return the filters; ConfigError when one is odd."""
        given = {"min_characters": self.min_characters, "max_characters": self.max_characters,
                 "languages": self.language or [], "include": self.include,
                 "exclude": self.exclude}
        try:
            return FilterConfig.model_validate({k: v for k, v in given.items() if v is not None})
        except ValidationError as error:
            first = error.errors()[0]
            raise DatasetError("fix_option", f"{first['loc'][0]}: {first['msg']}",
                               "Correct the option.") from None


def register(app: typer.Typer) -> None:
    """Add these commands to ``finestra data``."""
    command(app, "add", AddOptions, add)
    command(app, "fix", FixOptions, fix)
    for name, run in (("split", split), ("export", export), ("versions", versions),
                      ("restore", restore), ("delete", delete)):
        app.command(name)(run)


def add(options: AddOptions) -> None:
    """Register a dataset; a hub's is fetched, a file stays where it lies and is never changed."""
    home = Home.open()
    known = registry.load(home.data)
    path = Path(os.path.expanduser(options.source))
    if options.folder or _is_llamafactory(path):
        with home.audited("add_dataset_folder", options.source, "local"):
            results = add_folder(known, path)
        _show_added(results, options.as_json)
        return
    with home.audited("add_dataset", options.name or options.source, "local"), lent_token(home):
        added = _add_one(known, path, options)
    spec = known.resolve(added)
    if options.as_json:
        print_json({"name": added, "path": str(spec.path)})
    else:
        console().print(plain(f"added '{added}': {spec.path}"))


def _is_llamafactory(path: Path) -> bool:
    """Tell whether a folder's ``dataset_info.json`` lists datasets, as LLaMA-Factory's does."""
    if not (path / FILE_NAME).is_file():
        return False
    try:
        values = read_registry(path / FILE_NAME)
    except DatasetError:
        return False
    return any(isinstance(entry, dict) and {"file_name", "hf_hub_url", "ms_hub_url"} & entry.keys()
               for entry in values.values())


def _show_added(results: list[tuple[str, str]], as_json: bool) -> None:
    """Say what was added and what was not, and why; exit 1 when something was not."""
    added = [name for name, problem in results if not problem]
    refused = [(name, problem) for name, problem in results if problem]
    if as_json:
        print_json({"added": added, "problems": [{"name": name, "message": problem}
                                                 for name, problem in refused]})
    else:
        for name in added:
            console().print(plain(f"added '{name}'"))
        for name, problem in refused:
            note(f"not added '{name}': {problem}")
    if refused:
        raise typer.Exit(1)


def _add_one(known: Registry, path: Path, options: AddOptions) -> str:
    mapping = parse_map(options.mapping) or None
    found = None if path.exists() else parse_hub_id(options.source)
    if found is None:
        given = [f"--{key.replace('_', '-')}" for key in ("subset", "split", "revision", "data_dir")
                 if getattr(options, key)]
        if given:
            raise DatasetError("not_on_a_hub", f"'{options.source}' is no hub id; {given[0]} is "
                               "for datasets of a hub.", f"Leave out {', '.join(given)}.")
        return add_file(known, path, options.name or path.name, rename=not options.name,
                        copy=options.copy, mapping=mapping)
    found = entry_hub_id(found.hub, found.repo, options.revision or found.revision)
    with progress_bar("fetching") as told:
        return add_hub(known, found, options.name or found.repo.rpartition("/")[2],
                       part=options.part(), mapping=mapping, fetching=Fetching(True, told.bytes))


def fix(options: FixOptions) -> None:
    """Leave rows out: a new version of a dataset, the old one is kept."""
    home = Home.open()
    fixes = _fixes(options)
    with home.audited("fix_dataset", options.name, "local"), progress_bar("writing") as told:
        report = fix_dataset(registry.load(home.data), options.name, fixes,
                             watching=Watching(told.rows))
    if options.as_json:
        print_json(report.document())
        return
    version = f" version {report.version}" if report.version else ""
    console().print(plain(f"'{report.name}'{version}: {report.rows_out:,} of {report.rows_in:,} "
                          f"rows; {report.note()}"))


def _fixes(options: FixOptions) -> Fixes:
    """Return the fix-ups that are asked for; DatasetError when there are none or one is odd."""
    how = options.deduplicate
    if how not in ("none", "exact", "near"):
        raise DatasetError("fix_option", f"'{how}' is no way to find duplicates.",
                           "Choose none, exact or near.")
    filters = options.filters()
    if not options.drop_bad and how == "none" and not filters.active:
        raise DatasetError("fix_option", "Nothing is to be mended.", "Name what to leave out: "
                           "--drop-bad, --deduplicate exact, --min-characters 10 ...")
    deduplicate: Literal["exact", "near", "none"] = \
        "exact" if how == "exact" else "near" if how == "near" else "none"
    return Fixes(options.drop_bad, deduplicate, options.near_threshold, filters)


def split(name: Name,
          size: Annotated[float, typer.Option(help="A share below 1, or a number of rows.")] = 0.1,
          seed: Annotated[int, typer.Option(help="The same seed takes the same rows.")] = 42,
          as_json: Json = False) -> None:
    """Take rows out for evaluation: NAME-eval has them, NAME keeps the others as a version."""
    home = Home.open()
    with home.audited("split_dataset", name, "local"), progress_bar("splitting") as told:
        report = split_dataset(registry.load(home.data), name, size, seed,
                               watching=Watching(told.rows))
    if as_json:
        print_json(report.document())
        return
    left_out = f"; {report.unreadable:,} rows cannot be read and are in neither" \
        if report.unreadable else ""
    console().print(plain(f"'{report.train}': {report.train_rows:,} rows, '{report.eval}': "
                          f"{report.eval_rows:,} rows{left_out}"))


def export(name: Annotated[str, typer.Argument(help="A registry name or a path.")],
           file: Annotated[Path, typer.Argument(
               help="Where to; .jsonl, .json, .csv, .tsv or .xlsx.")],
           force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
           as_json: Json = False) -> None:
    """Write a dataset to a file; a cell that a spreadsheet would run gets an apostrophe."""
    home = Home.open()
    spec = registry.load(home.data).resolve(name)
    rows = export_rows(spec, Path(os.path.expanduser(file)), overwrite=force)
    if as_json:
        print_json({"path": str(file), "rows": rows})
    else:
        console().print(plain(f"{rows:,} rows: {file}"))


def versions(name: Name, as_json: Json = False) -> None:
    """List the versions of a dataset; each can be named, as in NAME@1."""
    found = kept.versions(registry.load(Home.open().data), name)
    if as_json:
        print_json({"versions": [version.document() for version in found]})
        return
    for version in found:
        mark = "*" if version.current else " "
        console().print(plain(f"{mark} {name}@{version.number}  {version.made_at}  "
                              f"{version.note}"))


def restore(name: Name, version: Annotated[int, typer.Argument(help="Its number.")],
            as_json: Json = False) -> None:
    """Make an old version the newest one again."""
    home = Home.open()
    known = registry.load(home.data)
    with home.audited("restore_dataset", name, "local"):
        kept.restore(known, name, version)
    found = kept.versions(known, name)[-1]
    if as_json:
        print_json(found.document())
    else:
        console().print(plain(f"'{name}' is version {found.number}: {found.note}"))


def delete(name: Name,
           yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
           as_json: Json = False) -> None:
    """Take a dataset out of the registry, with its versions and the files that are only its."""
    from app.studio import Studio

    studio = Studio.open()
    try:
        studio.data.registry().entry(name)
        if not yes:
            if not sys.stdin.isatty():
                raise DatasetError("not_confirmed", f"Deleting '{name}' with its versions was not "
                                   "confirmed.", "Say --yes.")
            typer.confirm(f"Delete '{name}' with all its versions?", abort=True, err=True)
        studio.changes.delete(name)
    finally:
        studio.close()
    if as_json:
        print_json({"deleted": name})
    else:
        console().print(plain(f"deleted '{name}'"))
