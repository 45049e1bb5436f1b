"""What preflight says of a run's data: every row read, a template that works, nothing leaked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.choices import Choice
from app.dataread import DatasetReader, Origin, Without
from app.datarows import ViewOptions, lengths
from app.datasets import SMALL_BYTES, DataService
from trainer.contract import Problem, RunConfig
from trainer.contract.config import OBJECTIVES, DatasetUse
from trainer.contract.plan import held_out
from trainer.data import DatasetError, DatasetSpec
from trainer.data.catalog.registry import Registry
from trainer.data.checking.leakage import find as find_leaks
from trainer.data.reading.rows import listed
from trainer.data.shapes.mapping import Kind, Shape
from trainer.data.shapes.objectives import objectives_of, require_fit
from trainer.data.shapes.uses import Use
from trainer.data.templates.sandbox import TemplateError
from trainer.data.tokens.mix import mixed_rows

PAIRS_SPLIT = "each pair is read as a desired and an undesired answer"
ANSWERS_KNOWN = "the last answer of each row is read as the right one"


@dataclass
class DataFindings:
    """What was found; ``rows`` is None when a training set cannot be used or is not here.

    ``mixed_rows`` is what an epoch reads of several training sets, ``held_rows`` what is measured,
    ``kinds`` of what kind each training set is.
    """

    problems: list[Problem] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    rows: int | None = 0
    mixed_rows: int | None = None
    held_rows: int | None = None
    kinds: dict[str, Kind] = field(default_factory=dict)

    def without(self, why: Without) -> tuple[None, None]:
        """Note why a dataset has no rows here."""
        if isinstance(why, Problem):
            self.problems.append(why)
        else:
            self.choices.append(why)
        return None, None


class DataFit:
    """Holds configs against the data; remembers what it has asked of unchanged files."""

    def __init__(self, data: DataService) -> None:
        """Ask ``data``."""
        self._data = data
        self._templates: dict[object, dict[str, Any] | Problem] = {}
        self._leaks: dict[object, int] = {}

    def look(self, config: RunConfig, known: Registry, origin: Origin,
             model: Path | None) -> DataFindings:
        """Return problems and choices of a config's data.

        A file that is not small and was never read is read in a child; until then it is a problem
        for the web, while the command line waits for it.

        Args:
            config: A valid config.
            known: The registry.
            origin: Who asks.
            model: The folder of the base, when it is on this machine.
        """
        found = DataFindings()
        specs: dict[str, list[DatasetSpec]] = {"train": [], "eval": []}
        counts: dict[str, list[int | None]] = {"train": [], "eval": []}
        for split in ("train", "eval"):
            for use in config.data.uses("train" if split == "train" else "eval"):
                looked = _Look(self._data, config, known, origin, f"data.{split}")
                rows, spec = looked.at(use, found)
                if spec is not None:
                    specs[split].append(spec)
                counts[split].append(rows)
        _count(config, counts["train"], found)
        found.held_rows = _held(config, counts["eval"], found.rows)
        if model is not None and config.facts.templated:
            self._template(config, model, found)
        if not found.problems:
            self._leak(specs["train"], specs["eval"], found)
            self._lengths(config, found)
        return found

    def _template(self, config: RunConfig, model: Path, found: DataFindings) -> None:
        """Say which template is used and how its answers are told apart, or why it cannot be."""
        name = config.data.template
        key = (name, *_stamps(model))
        if key not in self._templates:
            self._templates[key] = self._describe(name, model)
        told = self._templates[key]
        if isinstance(told, Problem):
            found.problems.append(told)
            return
        value = str(told.get("name") or name)
        how = str(told.get("reason") or told.get("how") or "")
        found.choices.append(Choice("data.template", value, how))

    def _describe(self, name: str, model: Path) -> dict[str, Any] | Problem:
        try:
            return self._data.ask("describe", {"model_folder": str(model), "template": name})
        except (DatasetError, TemplateError) as error:
            advice = error.advice or "Choose a chat template by its name."
            return Problem(field="data.template", code=error.code, message=error.message,
                           advice=advice, params={"name": name})

    def _leak(self, train: list[DatasetSpec], held: list[DatasetSpec],
              found: DataFindings) -> None:
        """Tell of evaluation rows that are trained on; only where that takes moments."""
        if not train or sum(spec.size() for spec in (*train, *held)) > SMALL_BYTES:
            return
        for spec in held:
            key = (spec.stamp(), repr(spec.entry), *((t.stamp(), repr(t.entry)) for t in train))
            if key not in self._leaks:
                self._leaks[key] = find_leaks(train, spec).leaked
            if leaked := self._leaks[key]:
                found.choices.append(Choice(
                    "data.eval", spec.name, f"{leaked:,} of its rows stand in the training data "
                    "as well: they measure memory"))

    def _lengths(self, config: RunConfig, found: DataFindings) -> None:
        """Tell how many rows are too long, where that was measured already."""
        data = config.data
        options = ViewOptions(config.model.name_or_path, data.template, data.max_length,
                              data.overlong, data.train_on_prompt, data.mask_history)
        for name, kind in found.kinds.items():
            usual = objectives_of(kind)[0]
            same = OBJECTIVES[usual].rows == config.facts.rows
            seen = replace(options, objective="" if same else config.objective)
            try:
                told, _ = lengths(self._data, name, seen, start=False)
            except (DatasetError, TemplateError):
                continue
            if told and told.get("rows"):
                found.choices.append(Choice(
                    "data.max_length", f"{data.max_length:,}",
                    f"{name}: half of the rows have up to {told['p50']:,} tokens, the longest "
                    f"{told['max']:,}; {told['over_max_length']:,} are longer"))


@dataclass(frozen=True)
class _Look:
    """Looks at one dataset of a config."""

    data: DataService
    config: RunConfig
    known: Registry
    origin: Origin
    where: str

    def at(self, use: DatasetUse, found: DataFindings) -> tuple[int | None, DatasetSpec | None]:
        """Return (usable rows, what it is); problems and choices go into ``found``."""
        reader = DatasetReader(self.data, self.known, self.origin, self.where)
        read = reader.read(use, self._limit(use))
        if not isinstance(read, tuple):
            return found.without(read)
        spec, report = read
        try:
            require_fit(report.shape, self.config.objective, spec.name)
            report.require(self.config.data.bad_rows)
        except DatasetError as error:
            return found.without(reader.refused(use, error, spec))
        skipped = f"; {report.bad_rows:,} rows are skipped" if report.bad_rows else ""
        found.choices.append(Choice(self.where, f"{use.name}: {report.shape.kind}",
                                    f"{report.shape.reason}; {report.rows:,} rows{skipped}"))
        self._say_use(use, report.shape, found)
        limit = self._limit(use)
        rows = min(report.usable, limit or report.usable)
        return rows * (2 if self._use(report.shape).splits_pairs else 1), spec

    def _use(self, shape: Shape) -> Use:
        return Use(shape, self.config.facts.rows)

    def _say_use(self, use: DatasetUse, shape: Shape, found: DataFindings) -> None:
        """Tell what the rows are read as, where that is not what they look like."""
        if self.where == "data.train":
            found.kinds[use.name] = shape.kind
        rows = self.config.facts.rows
        if self._use(shape).splits_pairs:
            found.choices.append(Choice(self.where, use.name, PAIRS_SPLIT))
        if rows == "prompts" and shape.kind != "prompt_only":
            found.choices.append(Choice(self.where, use.name, ANSWERS_KNOWN))
        if rows == "labelled" and shape.mapping.classes \
                and not self.config.classification.labels:
            found.choices.append(Choice(
                "classification.labels", str(len(shape.mapping.classes)),
                f"the classes of the training data: {listed(sorted(shape.mapping.classes))}"))
        if shape.kind == "prompt_only" and not shape.mapping.columns.reference:
            found.problems += self._without_reference(use)

    def _without_reference(self, use: DatasetUse) -> list[Problem]:
        """Return what cannot be measured or rewarded without a right answer."""
        config = self.config
        held = self.where == "data.eval" or (config.data.val_size and not config.data.eval)
        problems = []
        if config.evaluation.exact_match and held:
            problems.append(Problem(
                field="evaluation.exact_match", code="no_reference", params={"name": use.name},
                message=f"Exact match needs right answers, and '{use.name}' has none.",
                advice="Name the column that has them as 'reference', or switch exact match off."))
        if held and set(config.evaluation.metrics) - {"json"}:
            problems.append(Problem(
                field="evaluation.metrics", code="metrics_no_reference", params={"name": use.name},
                message=f"Answers are compared with right ones, and '{use.name}' has none.",
                advice="Name the column that has them as 'reference', or leave the metrics empty."))
        if self.where == "data.train" and config.facts.generates and any(
                reward.name == "exact_answer" for reward in config.rollout.rewards):
            problems.append(Problem(
                field="rollout.rewards", code="reward_needs_reference", params={"name": use.name},
                message="The reward 'exact_answer' compares with right answers, and "
                        f"'{use.name}' has none.",
                advice="Name the column that has them as 'reference', or choose another reward."))
        return problems

    def _limit(self, use: DatasetUse) -> int | None:
        limits = [n for n in (self.config.data.max_samples, use.max_samples) if n]
        return min(limits) if limits and self.where == "data.train" else None


def _count(config: RunConfig, counts: list[int | None], found: DataFindings) -> None:
    """Count the training rows, and what an epoch reads of them when several sets are mixed."""
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        found.rows = None
        return
    found.rows = sum(known)
    if len(known) > 1 and found.rows:
        share = max(0.0, 1 - held_out(config, found.rows) / found.rows)
        found.mixed_rows = mixed_rows(
            [round(count * share) for count in known],
            [use.weight for use in config.data.uses("train")], config.data.mix_strategy,
            config.training.seed)


def _held(config: RunConfig, counts: list[int | None], rows: int | None) -> int | None:
    """Return how many rows are measured; None while that is not known."""
    if counts:
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None
    return None if rows is None else held_out(config, rows)


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json",
                                        "chat_template.jinja")]
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
