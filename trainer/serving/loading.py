"""The model that is served, loaded once."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import model as models
from trainer.model import Base
from trainer.precision import choose, find_gpu
from trainer.quantization import keep_layout
from trainer.serving.batch import Forward
from trainer.serving.choice import ModelChoice
from trainer.serving.hot import HotAdapters
from trainer.serving.picking import Sampling, defaults_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass
class Served:
    """A model in memory, its tokenizer, and what is known of both."""

    base: Base
    tokenizer: PreTrainedTokenizerBase
    forward: Forward
    adapters: HotAdapters
    context: int
    sampling: Sampling

    @property
    def vocabulary(self) -> int:
        """How many tokens the model reads."""
        table: Any = self.forward.model.get_input_embeddings()
        return int(table.weight.shape[0])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def load(choice: ModelChoice, runs: Path, say: Callable[[str], None] = _say) -> Served:
    """Load a model, ready to answer.

    Args:
        choice: What and how.
        runs: The folder of runs, for models that are named by a run's id.
        say: Told how it goes on.

    Raises:
        ModelError: It cannot be loaded.
        Failure: It cannot be fetched, or the device cannot be used.
    """
    # With each token anew it would say that LLM.int8 computes in float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    config = choice.config()
    base = models.locate(config.model, runs, say)
    precision = choose(config, choice.device, find_gpu())
    say(f"{base.name}: {precision.device.value}, {precision.weights.value}"
        f" ({precision.compute.reason}), quantization {choice.quantization}")
    model: Any = models.load_model(base, config, precision)
    model.eval().requires_grad_(False)
    keep_layout(model)
    if choice.quantization == "none":
        model.to(precision.device.value)
    # Imported by now, so that the first adapter is there at once.
    importlib.import_module("peft")
    tokenizer = models.load_tokenizer(base.folder)
    forward = Forward(model)
    joined = forward.probe(_few(tokenizer))
    say("Requests share a forward pass." if joined else "Requests are continued one by one: as it "
        "is held here, this model does not say the same to rows that share a forward pass.")
    return Served(base, tokenizer, forward, HotAdapters(model, base),
                  _context(model, choice.max_model_len), defaults_of(base.folder))


def _few(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return five ordinary tokens."""
    ids: list[int] = tokenizer.encode("The quick brown fox jumps over", add_special_tokens=False)
    return (ids * 5)[:5]


def _context(model: Any, asked: int) -> int:
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
    return min(int(own), asked) if asked else int(own)
