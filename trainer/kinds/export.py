"""A run that exports: pieces one after the other, compared with their source, whole at once."""

from __future__ import annotations

import time
from pathlib import Path

from trainer.context import Work
from trainer.contract.files import read_json, write_json
from trainer.contract.kinds.export import FORMATS, ExportConfig
from trainer.export.described import describe
from trainer.export.pieces import Writer
from trainer.export.shelf import INDEX, Shelf
from trainer.export.source import Source, find_source
from trainer.kinds.telling import Teller

Metrics = dict[str, float | None]
PARITY = "parity.json"


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
    from trainer.export.parity import Artefact, check_parity

    shelf, chosen = writer.shelf, work.config.parity
    artefacts = [Artefact(FORMATS[name].family, name, writer.place(name))
                 for name in work.config.formats]
    tell.stage("comparing", "Comparing with the source")
    report = check_parity(
        writer.source.run, writer.source.checkpoint, artefacts, prompts=None,
        max_new_tokens=chosen.max_new_tokens, progress=tell.prompts, cancelled=tell.unwanted)
    write_json(shelf.partial / PARITY, report.to_json())
    (shelf.partial / "parity.md").write_text(report.to_markdown(), encoding="utf-8")
    for name in (PARITY, "parity.md"):
        shelf.add(name, shelf.partial / name, [])
    for compared in report.artefacts:
        for side in compared.sides:
            if side.verdict in ("different", "not run"):
                work.emit.warn(f"parity_{side.verdict.replace(' ', '_')}", " ".join(
                    [f"{compared.format}, {side.program}:", *side.reasons, side.advice]).strip())
    tell.piece_done()


def _publish(work: Work[ExportConfig], source: Source, shelf: Shelf) -> None:
    """Rename the export into place; a whole model in it can be asked and trained from then on."""
    if "merged" in work.config.formats and source.run is not None:
        describe(work.run, source.run.read_config(), work.config.name)
    shelf.finish({"run": work.run.id, "source": work.config.source, "made_at": time.time(),
                  "fingerprint": shelf.fingerprint, "formats": work.config.formats})


def _push(work: Work[ExportConfig], tell: Teller) -> None:
    from trainer.export.push import push_to_folder, push_to_hub

    chosen = work.config.push
    folder = pushed_folder(work.config, work.run.export)
    if chosen.folder:
        tell.stage("pushing", f"Copying to {chosen.folder}")
        push_to_folder(folder, Path(chosen.folder).expanduser(), progress=tell.bytes,
                       cancelled=tell.unwanted)
    if chosen.repo:
        tell.stage("pushing", f"Sending to {chosen.repo}")
        push_to_hub(folder, chosen.repo, private=chosen.private, progress=tell.bytes,
                    cancelled=tell.unwanted)
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
