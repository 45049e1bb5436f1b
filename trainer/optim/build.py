"""From the config to one optimizer that steps, is moved by a schedule, saved and restored."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from transformers import Trainer, TrainingArguments

from trainer.contract.config.optimizers import LAYERWISE, PACKAGES
from trainer.contract.config.training import TrainingConfig
from trainer.contract.targets import is_named
from trainer.emit import EventWriter
from trainer.failures import Failure
from trainer.optim.adam_mini import AdamMini
from trainer.optim.blocks import Blocks, find_blocks
from trainer.optim.projected import Projected, Projection
from trainer.optim.shell import Group, Layerwise, Several, weights_of

OWN = {"muon", "badam", "adam_mini", "lomo", "adalomo", "galore_adamw", "galore_adamw_8bit",
       "galore_adafactor", "galore_adamw_layerwise", "apollo_adamw", "apollo_adamw_layerwise"}
_SCALES = {"galore": 0.25, "apollo": 1.0}


def transformers_name(optim: str) -> str:
    """Return the name that TrainingArguments gets; ours are made here and need none."""
    return "adamw_torch" if optim in OWN else optim


@dataclass(frozen=True)
class Bench:
    """What an optimizer is made of: the settings, the model, its weights in groups."""

    training: TrainingConfig
    args: TrainingArguments
    model: nn.Module
    groups: list[Group]

    @property
    def adam(self) -> dict[str, Any]:
        """Adam's settings."""
        return {"lr": self.args.learning_rate, "eps": self.args.adam_epsilon,
                "betas": (self.args.adam_beta1, self.args.adam_beta2)}

    @property
    def names(self) -> dict[nn.Parameter, str]:
        """The name of each trained weight."""
        return {p: n for n, p in self.model.named_parameters() if p.requires_grad}


def make(training: TrainingConfig, args: TrainingArguments, model: nn.Module,
         groups: list[Group]) -> Optimizer:
    """Return the optimizer that the config names.

    Args:
        training: The config's section.
        args: TRL's arguments, for the learning rate and Adam's settings.
        model: The model, its trained weights marked by ``requires_grad``.
        groups: Its trained weights, with ``weight_decay`` and, if need be, ``lr``.

    Raises:
        Failure: A package is missing, nothing fits the targets, or float16 needs whole gradients.
    """
    need_package(training.optim)
    bench = Bench(training, args, model, [g for g in groups if g["params"]])
    if training.optim not in OWN:
        return _of_transformers(bench)
    optimizer = _MAKERS[training.optim.removesuffix("_layerwise")](bench)
    if training.optim not in LAYERWISE:
        return optimizer
    if args.fp16:
        raise Failure("layerwise_fp16", f"'{training.optim}' steps before float16's loss scale "
                      "could be taken out of the gradients.", "Use bfloat16 or float32, or "
                      "another optimizer.")
    return Layerwise(optimizer)


def need_package(optim: str) -> None:
    """Raise a Failure when an optimizer's package is not installed."""
    package = PACKAGES.get(optim)
    if package and importlib.util.find_spec(package) is None:
        raise Failure("optimizer_package", f"The optimizer '{optim}' needs the package "
                      f"'{package}', which is not installed.", "Install it: pip install "
                      "'finestra[optim]'; or choose another optimizer.")


def unpaged(training: TrainingConfig, emit: EventWriter, model: Any) -> TrainingConfig:
    """Take the form without paging where there is no CUDA; said as a choice."""
    if not training.optim.startswith("paged_") or model.device.type == "cuda":
        return training
    name = {"paged_adamw_32bit": "adamw_torch"}.get(training.optim,
                                                    training.optim.removeprefix("paged_"))
    emit.choose("training.optim", name, "paged optimizers move their state between GPU and host "
                "memory; without CUDA there is nothing to move")
    return training.model_copy(update={"optim": name})


def _of_transformers(bench: Bench) -> Optimizer:
    """Return an optimizer that Transformers knows by name."""
    bench.args.optim = bench.training.optim
    cls, settings = Trainer.get_optimizer_cls_and_kwargs(bench.args, bench.model)
    if "torchao" in cls.__module__ and bench.groups[0]["params"][0].device.type == "cpu":
        cls = _eager(cls)
    optimizer: Optimizer = cls(bench.groups, **settings)
    if settings.get("optim_bits") == 8:
        _whole_embeddings(bench.model)
    return optimizer


def _eager(cls: type[Optimizer]) -> type[Optimizer]:
    """Return a torchao optimizer that does not compile: on CPU that takes minutes."""

    class Eager(cls):  # type: ignore[misc,valid-type]
        def step(self, closure: Any = None) -> Any:
            with torch.compiler.set_stance("force_eager"):
                return super().step(closure)

    return Eager


def _whole_embeddings(model: nn.Module) -> None:
    """Keep the moments of embeddings in 32 bits, as bitsandbytes advises."""
    import bitsandbytes

    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            manager.register_module_override(module, "weight", {"optim_bits": 32})


def _muon(bench: Bench) -> Optimizer:
    """Return Muon for the matrices inside the layers, AdamW for everything else."""
    settings, heads = bench.training.muon, _outer_weights(bench.model)
    matrices = _divided(bench.groups, lambda w: w.dim() == 2 and w not in heads)
    rest = _divided(bench.groups, lambda w: w.dim() != 2 or w in heads)
    rate = settings.adamw_learning_rate
    parts: list[Optimizer] = []
    if matrices:
        parts.append(torch.optim.Muon(matrices, lr=bench.args.learning_rate, weight_decay=0.0,
                                      momentum=settings.momentum, adjust_lr_fn="match_rms_adamw"))
    if rest:
        own = [{**group, "lr": rate} for group in rest] if rate else rest
        parts.append(torch.optim.AdamW(own, **bench.adam))
    return Several(*parts)


def _outer_weights(model: nn.Module) -> set[nn.Parameter]:
    """Return the weights of embeddings and heads."""
    found: set[nn.Parameter] = set()
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        if isinstance(module, nn.Embedding) or last in ("lm_head", "score", "embed_out"):
            found |= set(module.parameters())
    return found


def _divided(groups: list[Group], wanted: Callable[[nn.Parameter], bool]) -> list[Group]:
    """Return the groups with only the wanted weights, empty ones left out."""
    kept = [{**group, "params": [w for w in group["params"] if wanted(w)]} for group in groups]
    return [group for group in kept if group["params"]]


def _badam(bench: Bench) -> Optimizer:
    names = bench.names
    blocks = find_blocks([(name, weight) for weight, name in names.items()])
    if not blocks:
        raise Failure("optimizer_targets", "BAdam finds no layers in this model.",
                      "Choose another optimizer.")
    inside = {weight for block in blocks for _, weight in block}
    for weight in names:
        if weight not in inside:
            weight.requires_grad_(False)
    decayed = {names[w] for g in bench.groups if g.get("weight_decay") for w in g["params"]}
    own = bench.training.badam
    return Blocks(blocks, decayed, every=own.switch_every, order=own.switch_mode, **bench.adam,
                  weight_decay=bench.training.weight_decay)


def _adam_mini(bench: Bench) -> Optimizer:
    """Return Adam-mini with blocks of a head for queries and keys, else of a row."""
    config = getattr(bench.model, "config", None)
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    size = getattr(config, "head_dim", None) or (
        int(getattr(config, "hidden_size", 0)) // heads if heads else 0)
    names = bench.names

    def headed(weight: nn.Parameter) -> bool:
        return bool(re.search(r"\b(q_proj|k_proj)\.weight$", names[weight]))

    groups = [{**group, "rows": int(size or 1)} for group in _divided(bench.groups, headed)]
    groups += [{**group, "rows": 1} for group in
               _divided(bench.groups, lambda w: not headed(w))]
    return AdamMini(groups, **bench.adam)


def _adalomo(bench: Bench) -> Optimizer:
    """Return Adafactor with steps relative to the weights: AdaLomo's rule (arXiv:2310.10195)."""
    from transformers import Adafactor

    return Adafactor(bench.groups, lr=bench.args.learning_rate, scale_parameter=True,
                     relative_step=False, warmup_init=False)


def _lomo(bench: Bench) -> Optimizer:
    return torch.optim.SGD(bench.groups, lr=bench.args.learning_rate)


def _projected(bench: Bench) -> Optimizer:
    """Return GaLore or APOLLO around AdamW, its 8-bit form, or Adafactor."""
    kind, own = bench.training.optim.partition("_")[0], bench.training.projection
    scale = _SCALES[kind] if own.scale is None else own.scale
    targets = _projection_targets(bench)
    groups = [{**g, "projected": True} for g in _divided(bench.groups, targets.__contains__)]
    groups += _divided(bench.groups, lambda w: w not in targets)
    how = Projection("galore" if kind == "galore" else "apollo", own.rank, own.update_proj_gap,
                     scale)
    return Projected(groups, lambda inner: _inner(bench, inner), how, bench.args.learning_rate)


def _inner(bench: Bench, groups: list[Group]) -> Optimizer:
    optim = bench.training.optim
    if optim == "galore_adafactor":
        from transformers import Adafactor

        return Adafactor(groups, lr=bench.args.learning_rate, scale_parameter=False,
                         relative_step=False)
    if optim == "galore_adamw_8bit":
        import bitsandbytes

        _whole_embeddings(bench.model)
        inner: Optimizer = bitsandbytes.optim.AdamW8bit(groups, **bench.adam)
        return inner
    return torch.optim.AdamW(groups, **bench.adam)


def _projection_targets(bench: Bench) -> set[nn.Parameter]:
    """Return the matrices whose gradients are projected.

    Raises:
        Failure: No linear layer fits.
    """
    wanted, outer = bench.training.projection.target_modules, _outer_weights(bench.model)
    trained = set(weights_of(bench.groups))
    found = {module.weight for name, module in bench.model.named_modules()
             if isinstance(module, nn.Linear) and module.weight in trained
             and module.weight not in outer
             and (not wanted or any(is_named(name, one) for one in wanted))}
    if not found:
        named = f" that {', '.join(wanted)} would fit" if wanted else ""
        raise Failure("optimizer_targets", f"There is no trained linear layer{named}.",
                      "Name modules of this model such as q_proj, or leave the list empty.")
    return found


_MAKERS: dict[str, Callable[[Bench], Optimizer]] = {
    "muon": _muon, "badam": _badam, "adam_mini": _adam_mini, "lomo": _lomo, "adalomo": _adalomo,
    "galore_adamw": _projected, "galore_adamw_8bit": _projected, "galore_adafactor": _projected,
    "apollo_adamw": _projected}
