"""The trained model as it is: the base in its stored 16 or 32 bits, with the adapter over it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer import model as models
from trainer.adapters import attach_adapter
from trainer.contract.config import RunConfig
from trainer.export.merge_source import Trained
from trainer.export.parity_judge import TOP, Said
from trainer.generate import generate_ids
from trainer.precision import Choice, Precision, choose, find_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.contract.models import ModelFacts

# In float32 a model takes twice its 16 bits, and some more while it computes.
_ROOM = 1.3


def is_on_gpu() -> bool:
    """Tell whether the check computes on a GPU."""
    return find_gpu() is not None


@dataclass(frozen=True)
class Subject:
    """What is compared with: the weights, the config they were trained by, the folder of runs.

    ``has_rows``: the config names data that prompts can be taken from.
    """

    config: RunConfig
    trained: Trained
    runs: Path
    has_rows: bool = True


@contextmanager
def trained_model(subject: Subject) -> Iterator[tuple[Any, str]]:
    """Yield the model, and the format that it computes in; its memory is free afterwards.

    Raises:
        ModelError: It cannot be loaded.
    """
    model, computes = _load(subject)
    try:
        yield model, computes
    finally:
        del model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _load(subject: Subject) -> tuple[Any, str]:
    config, trained = subject.config, subject.trained
    whole = {"quantization": "none", "dtype": "auto"}
    if trained.is_whole:
        whole |= {"name_or_path": str(trained.folder), "adapters": [], "revision": None}
    config = config.model_copy(update={"model": config.model.model_copy(update=whole)})
    base = models.locate(config.model, subject.runs, lambda text: None)
    precision = _precision(config, base.facts)
    model: Any = models.load_model(base, config, precision)
    if not trained.is_whole:
        model = attach_adapter(model, trained.adapters[-1])
    return model.to(precision.device.value).eval(), precision.weights.value


def _precision(config: RunConfig, facts: ModelFacts) -> Precision:
    """Compute in float32, where the GPU has room for it; a CPU is no faster in 16 bits."""
    found = choose(config, "auto", find_gpu())
    if not found.on_cpu and facts.parameters * 4 * _ROOM > torch.cuda.mem_get_info()[0]:
        return replace(found, weights=found.compute)
    exact = Choice("float32", "to compare with")
    return replace(found, weights=exact, compute=exact)


def ask(model: Any, prompts: Sequence[Sequence[int]], ends: Sequence[int], limit: int,
        done: Callable[[], None]) -> list[Said]:
    """Return what the model answers greedily, and how likely it finds that.

    Args:
        model: In eval mode.
        prompts: Token ids.
        ends: Tokens that end an answer.
        limit: Longest answer.
        done: Called after each prompt; may raise.
    """
    found = []
    for prompt in prompts:
        answer: list[int] = []
        for token in generate_ids(model, list(prompt), eos_ids=(), max_new_tokens=limit):
            answer.append(token)
            if token in ends:
                break
        found.append(_scored(model, prompt, answer))
        done()
    return found


def _scored(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> Said:
    ids = torch.tensor([[*prompt, *answer]], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0]
    # Virtual tokens stand before all others.
    found = logits[-len(answer) - 1:-1].float().log_softmax(-1)
    values, places = found.topk(min(TOP, found.shape[-1]))
    top = [dict(zip(row, some, strict=True))
           for row, some in zip(places.tolist(), values.tolist(), strict=True)]
    chosen = found.gather(1, ids[0, -len(answer):, None])[:, 0].tolist()
    return Said(list(prompt), answer, chosen, top)
