"""Well-known open-weight bases, and what training one needs at least. Pure.

The facts are in ``templates/models/catalogue.yaml``. Memory is never stored: it follows from the
number of weights, as ``rough_memory`` says, until a model's own files are here; from then on
``trainer.contract.plan`` counts them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from trainer.contract.choose import BYTES_OF_DTYPE, DeviceKind
from trainer.contract.models import HUB_ID
from trainer.contract.places import share
from trainer.contract.plan import FOUR_BITS, OVERHEAD_BYTES

Kind = Literal["base", "instruct", "reasoning", "vision"]
Method = Literal["lora", "qlora", "full"]
METHODS: tuple[Method, ...] = ("lora", "qlora", "full")
# What every figure is for: a small batch of long rows, activations computed again.
ROWS, TOKENS, RANK = 2, 1024, 8
# A dense model of N weights is about (128 N / 12)^(1/3) wide and a 128th of that deep: 12 h²
# weights a layer (arXiv:2001.08361, section 2.1), and the usual ratio of width to depth.
_ASPECT, _PER_LAYER = 128, 12
# Inputs and outputs of a layer's seven linear layers together, in widths.
_ADAPTED_WIDTHS = 20
_VOCABULARY = 128_000
# Below this, input and output share their embeddings.
_TIED_BELOW = 4e9


class CatalogueModel(BaseModel):
    """One well-known base; what is None is not known here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, Field(pattern=rf"^{HUB_ID.pattern}$")]
    family: str
    kind: Kind
    billions: Annotated[float, Field(gt=0, le=2000)]
    active: Annotated[float, Field(gt=0)] | None = None
    licence: str | None = None
    context: Annotated[int, Field(ge=512)] | None = None
    template: str
    gated: bool | None = None
    released: Annotated[int, Field(ge=2018, le=2030)]
    own_code: bool = False
    quantized: str = ""
    modelscope: str = ""

    @property
    def parameters(self) -> int:
        """Number of weights, as the catalogue rounds it."""
        return round(self.billions * 1e9)

    @property
    def active_parameters(self) -> int:
        """Number of weights that work on one token."""
        return round((self.active or self.billions) * 1e9)

    @property
    def modelscope_id(self) -> str:
        """Its id on ModelScope, '' when not known."""
        return self.id if self.modelscope == "=" else self.modelscope

    @property
    def obstacle(self) -> Literal["", "own_code", "quantized"]:
        """Why a run cannot train it as it is published, '' when it can."""
        return "own_code" if self.own_code else "quantized" if self.quantized else ""


@cache
def load_catalogue() -> tuple[CatalogueModel, ...]:
    """Read the catalogue, in the order of its file."""
    text = (share() / "templates" / "models" / "catalogue.yaml").read_text(encoding="utf-8")
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(TypeAdapter(list[CatalogueModel]).validate_python(fast(text).get_single_data()))


def find(name: str) -> CatalogueModel | None:
    """Return the model of a hub id, upper and lower case alike, or None."""
    return _by_id().get(name.casefold())


@cache
def _by_id() -> dict[str, CatalogueModel]:
    return {model.id.casefold(): model for model in load_catalogue()}


@dataclass(frozen=True)
class Shape:
    """A model's size as far as memory goes; ``experts`` are weights that stay whole in 4 bits."""

    parameters: int
    active: int

    @property
    def width(self) -> float:
        """About its hidden size."""
        return float((_ASPECT * self.active / _PER_LAYER) ** (1 / 3))

    @property
    def depth(self) -> float:
        """About its number of layers."""
        return self.width / _ASPECT

    @property
    def embeddings(self) -> float:
        """About the weights of its embeddings, which no method makes smaller."""
        tables = 1 if self.parameters < _TIED_BELOW else 2
        return min(self.parameters / 2, tables * _VOCABULARY * self.width)


def rough_memory(shape: Shape, method: Method, *, device: DeviceKind = "cuda",
                 dtype: str = "bfloat16") -> int:
    """Return about how many bytes training takes, from the number of weights alone.

    ``lora`` keeps the weights in ``dtype``, ``qlora`` in 4 bits but for embeddings and experts
    (one parameter for all, which is not quantized), ``full`` in float32 with gradients and Adam's
    two states: 16 bytes a weight. An adapter of rank 8 beside every linear layer has 16 bytes a
    weight too. Activations are those of ``plan.activation_bytes`` with gradient checkpointing,
    two rows of 1,024 tokens.
    """
    each = BYTES_OF_DTYPE[dtype]
    adapter = 16 * RANK * _ADAPTED_WIDTHS * shape.width * shape.depth
    weights: float = {"lora": each * shape.parameters + adapter,
                      "qlora": _four_bits(shape, each) + adapter,
                      "full": 16 * shape.parameters}[method]
    activations = (shape.depth + 17) * each * ROWS * TOKENS * shape.width
    return round(weights + activations + OVERHEAD_BYTES[device])


def _four_bits(shape: Shape, each: int) -> float:
    experts = shape.parameters - shape.active
    whole = experts + min(shape.embeddings, shape.active / 2)
    return FOUR_BITS[True] * (shape.parameters - whole) + each * whole


_SIZE = re.compile(r"(?:(\d+)x)?(\d+(?:[._]\d+)?)([bm])\b", re.IGNORECASE)


def sizes_in(name: str) -> list[float]:
    """Return the sizes that a model's name speaks of, in 10^9 weights: 'Qwen3-30B-A3B' 30 and 3."""
    return [int(times or 1) * float(number.replace("_", ".")) / (1 if unit in "bB" else 1000)
            for times, number, unit in _SIZE.findall(name.rpartition("/")[2].replace("-A", "-"))]
