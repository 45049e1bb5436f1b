"""A run that exports: pieces one after the other, compared with their source, whole at once."""

from __future__ import annotations

import time
from pathlib import Path

from trainer.context import Work
from trainer.contract.files import read_json, write_atomic, write_json
from trainer.contract.kinds.export import FORMATS, ExportConfig, Format
from trainer.export.described import describe
from trainer.export.parity_sides import Artefact
from trainer.export.pieces import Writer
from trainer.export.shelf import INDEX, Shelf
from trainer.export.source import Source, find_source
from trainer.kinds.telling import Teller

Metrics = dict[str, float | None]
PARITY = "parity.json"
PUSHED = "pushed.json"


def run(work: Work[ExportConfig]) -> Metrics:
    """Export what the config names; goes on where an earlier attempt has stopped.

    Raises:
        Stopped: A stop was asked for; finished pieces are kept.
        ExportError: A format cannot be written, and why.
        ModelError: The source is not whole.
        Failure: The base is another one than the run was trained on.
    """
    config = work.config
    tell = Teller(work.emit, work.stop, len(_steps(config)))
    if not (work.run.export / INDEX).is_file():
        _write(work, tell)
    else:
        work.emit.choose("export", "kept", "an earlier attempt has finished it; only what comes "
                         "after is done")
    if config.push.repo or config.push.folder:
        _push(work, tell)
    index = read_json(work.run.export / INDEX)
    return {"bytes": float(sum(piece["bytes"] for piece in index["pieces"].values())),
            "formats": float(len(config.formats)), **_measured(work.run.export / PARITY)}


def _steps(config: ExportConfig) -> list[str]:
    """Return what there is to do, for the count."""
    after = [name for name, wanted in (("parity", config.parity.enabled),
                                       ("push", config.push.repo or config.push.folder)) if wanted]
    return [*config.formats, "extras", *after]


def _write(work: Work[ExportConfig], tell: Teller) -> None:
    config = work.config
    work.emit.stage("loading", "Looking at the model")
    source = find_source(config.source, work.runs)
    shelf, thrown = Shelf.open(work.run, source.fingerprint())
    if thrown:
        work.emit.warn("export_anew", "The model's files are others than those that the earlier "
                       "attempt worked on: everything is exported anew.")
    writer = Writer(source, config, shelf, tell)
    for name in config.formats:
        if name in shelf.pieces:
            work.emit.choose(f"format.{name}", "kept", "an earlier attempt has written it")
        else:
            writer.write(name)
            for note in shelf.pieces[name]["notes"]:
                work.emit.warn("export_note", note)
        tell.piece_done()
    work.stop.check()
    work.emit.stage("saving", "Writing what belongs beside it")
    writer.extras()
    tell.piece_done()
    if config.parity.enabled:
        _compare(work, writer, tell)
    _publish(work, source, shelf)


def _compare(work: Work[ExportConfig], writer: Writer, tell: Teller) -> None:
    """Ask source and formats the same prompts; the report becomes a piece of the export."""
    from trainer.export.parity import Options, check_base, check_parity

    shelf, source, chosen = writer.shelf, writer.source, work.config.parity
    tell.stage("comparing", "Comparing with the source")
    options: Options = {"count": chosen.prompts, "max_new_tokens": chosen.max_new_tokens,
                        "progress": tell.sides, "cancelled": tell.unwanted}
    artefacts = [_artefact(writer, name) for name in work.config.formats]
    report = (check_base(source.base, artefacts, **options) if source.run is None
              else check_parity(source.run, source.checkpoint, artefacts, **options))
    write_json(shelf.partial / PARITY, report.to_json())
    write_atomic(shelf.partial / "parity.md", report.to_markdown())
    for name in (PARITY, "parity.md"):
        shelf.add(name, shelf.partial / name, [])
    for compared in report.artefacts:
        for side in compared.sides:
            if side.verdict in ("different", "not run"):
                work.emit.warn(f"parity_{side.verdict.replace(' ', '_')}", " ".join(
                    [f"{compared.format}, {side.program}:", *side.reasons, side.advice]).strip())
    tell.piece_done()


def _artefact(writer: Writer, name: Format) -> Artefact:
    """Return a format as the parity check knows it: by the numbers that it stores."""
    family = FORMATS[name].family
    stored = (writer.config.dtype if family == "merged" else "stored" if family == "adapter"
              else name.removeprefix("gguf-"))
    return Artefact(family, stored, writer.place(name))


def _publish(work: Work[ExportConfig], source: Source, shelf: Shelf) -> None:
    """Rename the export into place; a whole model in it can be asked and trained from then on."""
    if "merged" in work.config.formats and source.run is not None:
        describe(work.run, source.run.read_config(), work.config.name)
    shelf.finish({"run": work.run.id, "source": work.config.source, "made_at": time.time(),
                  "fingerprint": shelf.fingerprint, "formats": work.config.formats})


def _push(work: Work[ExportConfig], tell: Teller) -> None:
    """Copy and send the export; what an earlier attempt has sent is not sent again."""
    from trainer.export.push import Place, push_to_hub
    from trainer.export.push_files import push_to_folder

    chosen, folder = work.config.push, pushed_folder(work.config, work.run.export)
    told = read_json(work.run.path / PUSHED) or {}
    if chosen.folder and "folder" not in told:
        tell.stage("pushing", f"Copying to {chosen.folder}")
        copied = push_to_folder(folder, Path(chosen.folder), progress=tell.bytes,
                                cancelled=tell.unwanted)
        told["folder"] = {"path": chosen.folder, "notes": copied.notes}
        write_json(work.run.path / PUSHED, told)
    if chosen.repo and "repo" not in told:
        tell.stage("pushing", f"Sending to {chosen.repo}")
        sent = push_to_hub(folder, Place(chosen.repo, private=chosen.private,
                                         existing=chosen.existing),
                           progress=tell.bytes, cancelled=tell.unwanted)
        told["repo"] = {"name": chosen.repo, "url": sent.url, "commit": sent.commit,
                        "notes": sent.notes}
        write_json(work.run.path / PUSHED, told)
    for note in dict.fromkeys(note for one in told.values() for note in one["notes"]):
        work.emit.warn("push_note", note)
    tell.piece_done()


def pushed_folder(config: ExportConfig, export: Path) -> Path:
    """Return what is sent: the folder of the only format, which hubs expect at the root, or all."""
    families = {"gguf" if name.startswith("gguf") else name for name in config.formats}
    return export / families.pop() if len(families) == 1 else export


def _measured(parity: Path) -> Metrics:
    report = read_json(parity)
    if not isinstance(report, dict):
        return {}
    verdicts = [one["verdict"] for one in report["artefacts"]]
    return {"parity_same": float(sum(v in ("same", "close") for v in verdicts)),
            "parity_different": float(verdicts.count("different"))}
