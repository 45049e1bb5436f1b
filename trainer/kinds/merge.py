"""A run that merges: adapters into one adapter, or models into one model."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

from trainer import model
from trainer.context import Work
from trainer.contract.config import ModelConfig, RunConfig, parse
from trainer.contract.files import read_json, write_json
from trainer.contract.kinds.merge import MergeConfig
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.export.described import describe
from trainer.kinds.telling import Teller

Metrics = dict[str, float | None]
REPORT = "merge.json"


def run(work: Work[MergeConfig]) -> Metrics:
    """Merge what the config names; what an earlier attempt has finished is kept.

    Raises:
        Stopped: A stop was asked for; nothing half is left.
        CombineError: The sources do not fit each other, and why.
        ModelError: One is not whole.
    """
    tell = Teller(work.emit, work.stop, 2)
    merge = _merge_adapters if work.config.what == "adapters" else _merge_models
    target = work.run.adapter if work.config.what == "adapters" else work.run.path / "model"
    if not (work.run.path / REPORT).is_file() or not target.is_dir():
        tell.stage("merging", f"Merging {len(work.config.sources)} {work.config.what}")
        report = merge(work, target, tell)
        for note in report["notes"]:
            work.emit.warn("merge_note", note)
        write_json(work.run.path / REPORT, report)
    tell.piece_done()
    if work.config.parity:
        told = read_json(work.run.path / REPORT)
        write_json(work.run.path / REPORT, {**told, "parity": _compare(work, tell)})
    tell.piece_done()
    return {"bytes": float(sum(path.stat().st_size for path in target.iterdir()))}


def _place(work: Work[MergeConfig], name: str) -> RunDir | None:
    """Return the run of a name, None for a folder."""
    found = RunDir(work.runs / name)
    return found if is_safe_name(name) and found.path.is_dir() else None


def _trained(work: Work[MergeConfig], name: str) -> RunConfig:
    """Return what a source was trained by; of a folder only its place is known."""
    if source := _place(work, name):
        return source.read_config()
    return parse({"model": {"name_or_path": name}})


def _merge_adapters(work: Work[MergeConfig], target: Path, tell: Teller) -> dict[str, Any]:
    from trainer.combine.adapters import combine_adapters
    from trainer.combine.modules import AdapterWish
    from trainer.combine.sources import WeightedAdapter

    config = work.config
    given = [WeightedAdapter(found.adapter if (found := _place(work, one.name))
                             else Path(os.path.expanduser(one.name)), one.weight, one.name)
             for one in config.sources]
    method: Any = config.method
    wish = AdapterWish(
        method=method, density=config.density if config.thins_out else None, seed=config.seed,
        majority_sign_method=config.majority_sign_method, svd_rank=config.svd_rank)
    report = combine_adapters(
        given, target, wish, cancelled=tell.unwanted,
        progress=lambda done, total, what: tell.count(done, total, "modules"))
    first = _place(work, config.sources[0].name)
    if first is not None:
        # The base's hashes and the template: by them engines know the base that it stands on.
        manifest = read_json(first.manifest) or {}
        write_json(work.run.manifest, {**manifest, "run": work.run.id,
                                       "merged_from": [one.name for one in config.sources]})
        describe(work.run, first.read_config(), config.name,
                 tuner={"type": "lora", "r": report.rank, "lora_alpha": report.rank})
    pairs = [{"between": [report.sources[a], report.sources[b]], "cosine": cosine}
             for (a, b), cosine in report.similarities.items()]
    return _document({**dataclasses.asdict(report), "similarities": pairs})


def _merge_models(work: Work[MergeConfig], target: Path, tell: Teller) -> dict[str, Any]:
    from trainer.combine.models import ModelWish, WeightedModel, combine_models

    config = work.config
    given = [WeightedModel(_model_folder(work, one.name), one.weight, one.name)
             for one in config.sources]
    method: Any = config.method
    wish = ModelWish(method=method, density=config.density if config.thins_out else None,
                     dtype=config.dtype, seed=config.seed)
    base = _model_folder(work, config.base) if config.base and wish.needs_base else None
    report = combine_models(given, target, wish, base=base, progress=tell.bytes,
                            cancelled=tell.unwanted)
    describe(work.run, _trained(work, config.sources[0].name), config.name)
    return _document(dataclasses.asdict(report))


def _model_folder(work: Work[MergeConfig], name: str) -> Path:
    if found := _place(work, name):
        return found.model
    return model.locate(ModelConfig(name_or_path=name), work.runs, lambda text: None).folder


def _document(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report as JSON values; its path is the run's own."""
    return {"version": 1, **{key: value for key, value in report.items() if key != "path"}}


def _compare(work: Work[MergeConfig], tell: Teller) -> dict[str, Any]:
    """Ask the result the same prompts in every form in which it will be used.

    An adapter is compared with itself merged into the base's weights, too.
    """
    from trainer.export.merge import merge_run
    from trainer.export.parity import check_parity
    from trainer.export.parity_sides import Artefact
    from trainer.work import quiet_libraries

    quiet_libraries()
    scratch = work.run.path / ".scratch"
    artefacts = [Artefact("merged", work.config.dtype, work.run.path / "model")]
    try:
        if work.config.what == "adapters":
            tell.stage("merging", "Merging it into the base, to compare")
            shutil.rmtree(scratch, ignore_errors=True)
            merge_run(work.run, scratch / "merged", progress=tell.bytes, cancelled=tell.unwanted)
            artefacts = [Artefact("adapter", "stored", work.run.adapter),
                         Artefact("merged", "stored", scratch / "merged")]
        tell.stage("comparing", "Comparing")
        report = check_parity(work.run, None, artefacts, progress=tell.sides,
                              cancelled=tell.unwanted)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return report.to_json()
