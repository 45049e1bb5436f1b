"""Which engine answers for each model, each choice with its reason."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.engines.kinds import EngineKind
from trainer.engines.targets import Target
from trainer.evaluation.finding import Place, Remote
from trainer.failures import Failure

ENDPOINT = "endpoint"
TRANSFORMERS, VLLM, LLAMA = "transformers", "vllm", "llama.cpp"
# vLLM takes half a minute to start, in which Transformers has answered as many.
FEW_ROWS = 64


@dataclass(frozen=True)
class Plan:
    """How one model of an evaluation is asked.

    Attributes:
        number: Its place in the config, from 1.
        name: As the config has it.
        place: What it is.
        kind: How its engine is started; None for endpoints.
        why: Why this engine, in words.
        blind: Why it cannot tell how likely a text is, so started; '' when it can.
    """

    number: int
    name: str
    place: Place
    kind: EngineKind | None
    why: str
    blind: str = ""

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self.kind.name if self.kind else ENDPOINT

    @property
    def target(self) -> Target:
        """What is loaded; only of models of this machine."""
        assert not isinstance(self.place, Remote)
        return self.place


@dataclass(frozen=True)
class Wish:
    """What the choice depends on besides the models.

    Attributes:
        engine: As the config has it.
        device: 'cpu' or a GPU's uuid.
        rows: How many questions there are for each model; None when it is not known.
    """

    engine: str
    device: str
    rows: int | None


def choose(names: Sequence[str], places: Sequence[Place], wish: Wish,
           kinds: Mapping[str, EngineKind]) -> list[Plan]:
    """Return how each model is asked. May start interpreters to look for engines.

    Models of the same base get the same engine, since what is measured is how the models differ.

    Raises:
        Failure: The engine that is asked for is not installed, or cannot serve a model.
    """
    chosen = _Chooser(wish, kinds, [one for one in places if not isinstance(one, Remote)])
    return [Plan(number, name, place, *chosen.of(name, place))
            for number, (name, place) in enumerate(zip(names, places, strict=True), start=1)]


class _Chooser:
    def __init__(self, wish: Wish, kinds: Mapping[str, EngineKind],
                 targets: Sequence[Target]) -> None:
        self._wish, self._kinds, self._targets = wish, kinds, targets
        self._missing: dict[str, str] = {}

    def of(self, name: str, place: Place) -> tuple[EngineKind | None, str, str]:
        if isinstance(place, Remote):
            return None, "it answers by itself", without_likelihood(place)
        asked, why = self._wish.engine, "it was asked for"
        if place.model.is_gguf:
            asked, why = LLAMA, "GGUF files need it"
        elif asked == "auto":
            reason = self._against_vllm(place)
            asked, why = (TRANSFORMERS, reason) if reason else (VLLM, "it is the fastest here")
        kind = self._kinds[asked]
        if missing := self._lacks(kind):
            raise Failure("engine_not_installed", f"'{name}' needs the engine {asked}. {missing}",
                          f"Run: {kind.available().install}" if kind.available().install
                          else "Choose another engine, or 'auto'.")
        if refusal := kind.refusal(place):
            raise Failure("engine_cannot", f"The engine {asked} cannot serve '{name}'. {refusal}",
                          "Choose the engine 'auto'.")
        return kind, why, without_likelihood(place) or self._ends(kind, place)

    def _ends(self, kind: EngineKind, place: Target) -> str:
        """Say why an engine must not be asked how likely texts are; '' when it may."""
        device = self._wish.device
        if kind.tells_likelihoods(device, kind.max_rank(device, place.adapter)):
            return ""
        return f"With an adapter, {kind.name} ends on a processor when it is asked for that."

    def _against_vllm(self, place: Target) -> str:
        """Say why vLLM is not taken for a model and the others of its base; '' when it is."""
        if self._wish.rows is not None and self._wish.rows < FEW_ROWS:
            return f"{self._wish.rows} rows are answered before vLLM has started"
        kind = self._kinds[VLLM]
        if missing := self._lacks(kind):
            return missing
        for one in self._targets:
            if one.model.folder != place.model.folder:
                continue
            if refusal := kind.refusal(one):
                return f"vLLM cannot serve '{one.name}': {refusal}"
            if one.adapter and self._wish.device == "cpu":
                return f"'{one.name}' is an adapter, which vLLM is slow with on a processor"
        return ""

    def _lacks(self, kind: EngineKind) -> str:
        """Say why a kind cannot be used here, '' when it can; asked once."""
        if kind.name not in self._missing:
            found = kind.available()
            reason = "" if found.installed else found.reason
            if not reason and found.devices == "gpu" and self._wish.device == "cpu":
                reason = f"The {kind.name} that is installed needs a GPU."
            if not reason and found.devices == "cpu" and self._wish.device != "cpu":
                reason = f"The {kind.name} that is installed was built for processors."
            self._missing[kind.name] = reason
        return self._missing[kind.name]


def without_likelihood(place: Place) -> str:
    """Say why a model cannot tell how likely a text is; '' when it can."""
    if isinstance(place, Remote):
        return "An endpoint does not tell how likely given texts are."
    return "llama.cpp's server does not tell how likely given texts are." \
        if place.model.is_gguf else ""


def version_of(kind: EngineKind) -> str:
    """Return an engine's version as its interpreter's packages say, '' when they do not."""
    python = {VLLM: kind.settings.vllm_python, LLAMA: kind.settings.llama_python}.get(kind.name)
    if python is None:
        return importlib.metadata.version("transformers")
    package = "llama_cpp_python" if kind.name == LLAMA else "vllm*"
    found = _packages(python, package)
    return found[0].name.split("-")[1].removesuffix(".dist") if found else ""


def _packages(python: Path, package: str) -> list[Path]:
    return sorted(python.parent.parent.glob(f"lib/python*/site-packages/{package}-*.dist-info"))
