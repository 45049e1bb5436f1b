"""What is asked of the tokenising stage, as plain values that go over a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from trainer.contract.config import OBJECTIVES, RowKind, RunConfig
from trainer.contract.config.data import DatasetUse, FilterConfig
from trainer.data.catalog import registry
from trainer.data.checking.check import shape_of
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.objectives import objectives_of, require_fit
from trainer.data.shapes.recognise import Shape
from trainer.data.tokens.fit import Overlong

BadRows = Literal["refuse", "skip"]
Duplicates = Literal["none", "exact", "near"]
Say = Callable[..., None]
_TELL_S = 0.2


@dataclass(frozen=True)
class Source:
    """A dataset as a person names it.

    ``home`` is Finestra's (its ``data`` folder has the user's registry); ``source`` a name, path or
    hub id; ``use`` what ``DatasetUse`` says besides, ``mapping`` what the columns mean, in place
    of the registry's word and of what the rows look like.
    """

    source: str
    home: Path | None = None
    subset: str | None = None
    split: str | None = None
    revision: str | None = None
    mapping: dict[str, str] | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Source:
        """Read it from an operation's params."""
        home, use = params.get("home"), params.get("use") or {}
        return cls(params["source"], Path(home) if home else None, use.get("subset"),
                   use.get("split"), use.get("revision"), params.get("mapping") or None)

    def spec(self) -> DatasetSpec:
        """Find the dataset.

        Raises:
            DatasetError: It is not there, or not here yet.
        """
        known = registry.load(self.home / "data" if self.home else None)
        if self.subset or self.split or self.revision:
            return known.resolve_use(DatasetUse(name=self.source, subset=self.subset,
                                                split=self.split, revision=self.revision))
        return known.resolve(self.source)

    def shape(self, spec: DatasetSpec) -> Shape:
        """Return what the rows mean.

        Raises:
            DatasetError: No row can be read, or the mapping does not fit.
        """
        if self.mapping is None:
            return shape_of(spec)
        from trainer.data.shapes.mapping import shape_from_mapping

        return shape_from_mapping(self.mapping)


@dataclass(frozen=True)
class PrepareRequest:
    """One dataset to be made into tokens, and how.

    ``limit`` counts rows of the file, bad ones too. ``folder`` is where the tokens go when there
    is no home; ``workers`` None means as many processes as are worth it. ``labels`` are the only
    classes of texts with a class; () takes those of the data.
    """

    data: Source
    model_folder: Path
    objective: str = "sft"
    template: str = "auto"
    max_length: int = 512
    overlong: Overlong = "cut_turns"
    bad_rows: BadRows = "refuse"
    train_on_prompt: bool = False
    mask_history: bool = False
    max_samples: int | None = None
    deduplicate: Duplicates = "none"
    near_threshold: float = 0.85
    filters: FilterConfig = field(default_factory=FilterConfig)
    workers: int | None = None
    folder: Path | None = None
    labels: tuple[str, ...] = ()

    @property
    def rows(self) -> RowKind:
        """The kind of rows that the objective reads; the tokens depend on nothing else of it."""
        return OBJECTIVES[self.objective].rows

    @classmethod
    def of(cls, config: RunConfig, use: DatasetUse, *, model_folder: Path, home: Path | None,
           folder: Path | None = None) -> PrepareRequest:
        """Make the request for one training set of a run; see ``for_eval``."""
        data = config.data
        limits = [n for n in (data.max_samples, use.max_samples) if n]
        labels = config.classification.labels if config.facts.rows == "labelled" else ()
        return cls(
            Source(use.name, home, use.subset, use.split, use.revision), model_folder,
            config.objective, data.template, data.max_length, data.overlong, data.bad_rows,
            data.train_on_prompt, data.mask_history, min(limits) if limits else None,
            data.deduplicate, data.near_threshold, data.filters, data.preprocessing_num_workers,
            folder, tuple(labels))

    def for_eval(self, max_samples: int | None = None) -> PrepareRequest:
        """Return the same for data that is only measured: nothing is filtered or left out."""
        return replace(self, max_samples=max_samples, deduplicate="none", filters=FilterConfig())

    def document(self) -> dict[str, Any]:
        """Return JSON values."""
        values = asdict(replace(self, filters=FilterConfig()))
        data = values.pop("data")
        use = {name: data.pop(name) for name in ("subset", "split", "revision")}
        paths = {"home": data["home"], "model_folder": self.model_folder, "folder": self.folder}
        return {**values, **data, "use": use, "filters": self.filters.model_dump(),
                **{name: str(path) if path else None for name, path in paths.items()}}

    @classmethod
    def from_document(cls, values: Mapping[str, Any]) -> PrepareRequest:
        """Read what ``document`` returned; what is left out has its default."""
        names = cls.__dataclass_fields__.keys() - {"data", "model_folder", "filters", "folder"}
        given = {name: values[name] for name in names if name in values}
        given |= {"labels": tuple(values.get("labels") or ())}
        return cls(Source.of(values), Path(values["model_folder"]), **given,
                   filters=FilterConfig.model_validate(values.get("filters") or {}),
                   folder=Path(values["folder"]) if values.get("folder") else None)


def every(say: Say, seconds: float = _TELL_S) -> Say:
    """Return a ``say`` that passes on only what comes so long after the last."""
    last = 0.0

    def tick(**values: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            say(**values)
    return tick


def sound_shape(source: Source, spec: DatasetSpec, objective: str) -> Shape:
    """Return the shape of data that fits an objective.

    Raises:
        DatasetError: It does not.
    """
    shape = source.shape(spec)
    require_fit(shape, objective, spec.name)
    return shape


def pick_objective(shape: Shape, name: str, wanted: str | None) -> str:
    """Return the objective that is wanted, else the most usual one that the data fit.

    Raises:
        DatasetError: They do not fit what is wanted, or nothing at all.
    """
    fitting = objectives_of(shape.kind)
    if wanted or not fitting:
        require_fit(shape, wanted or "sft", name)
    return wanted or fitting[0]
