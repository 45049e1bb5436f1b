"""Whether a tuner fits a model: what can be said once the headers of its files are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from trainer.contract.config import RunConfig
from trainer.contract.config.checks.memory import FUSED_HEAD
from trainer.contract.config.optimizers import GALORE_ONLY
from trainer.contract.families import fused_parameters, quantized_problems
from trainer.contract.models import (
    ModelError,
    ModelFacts,
    read_adapter,
    require_mergeable,
    resolve_adapter,
)
from trainer.contract.problems import Problem
from trainer.contract.targets import (
    EMBEDDINGS,
    HEADS,
    adapted,
    is_inside,
    is_named,
    layer_of,
    linear_shapes,
    target_names,
)

Shape = tuple[int, int]
# Which of a layer's widths a block size must divide: (out, in).
_BLOCKS: dict[str, tuple[str, Callable[[RunConfig], int], tuple[int, ...]]] = {
    "oft": ("oft.oft_block_size", lambda c: c.tuner.oft.oft_block_size, (1,)),
    "boft": ("boft.boft_block_size", lambda c: c.tuner.boft.boft_block_size, (1,)),
    "c3a": ("c3a.block_size", lambda c: c.tuner.c3a.block_size, (0, 1)),
    "road": ("road.group_size", lambda c: c.tuner.road.group_size, (0,)),
    "vblora": ("vblora.vector_length", lambda c: c.tuner.vblora.vector_length, (0, 1)),
    "gralora": ("gralora.gralora_k", lambda c: c.tuner.gralora.gralora_k, (0, 1)),
    "miss": ("r", lambda c: c.tuner.r if c.tuner.miss.init_weights == "bat" else 1, (0, 1))}
_SPREAD = {"fourierft": lambda c: c.tuner.fourierft.n_frequency,
           "waveft": lambda c: c.tuner.waveft.n_frequency}
_OF_WEIGHTS = ("pissa", "pissa_niter_16", "olora", "loftq", "eva")


def unfit(config: RunConfig, facts: ModelFacts) -> list[Problem]:
    """Return what of the tuner section this model cannot have."""
    found = [*quantized_problems(config, facts), *_projected(config, facts)]
    if config.tuner.continue_from or not config.tuner.is_layered:
        return [*found, *_tokens(config, facts), *_depth(config, facts),
                *_frozen(config, facts)]
    shapes = adapted(config, facts)
    for rule in (_targets, _patterns, _depth, _parameters, _tokens, _whole):
        found += rule(config, facts)
    for shaped in (_blocks, _sizes, _ranks):
        found += shaped(config, shapes.values())
    return found


def adapter_problems(config: RunConfig, runs: Path) -> list[Problem]:
    """Return why the finished adapters that a config names cannot be merged or trained further.

    Args:
        config: The run.
        runs: The folder that holds the runs.
    """
    found, tuner = [], config.tuner
    for name in config.model.adapters:
        try:
            require_mergeable(read_adapter(resolve_adapter(name, runs)).folder)
        except ModelError as error:
            found.append(_of_error("model.adapters", error, name))
    if not tuner.continue_from or not tuner.is_adapter:
        return found
    try:
        kind = read_adapter(resolve_adapter(tuner.continue_from, runs)).kind
    except ModelError as error:
        return [*found, _of_error("tuner.continue_from", error, tuner.continue_from)]
    if kind != tuner.type.upper():
        found.append(Problem(
            field="tuner.continue_from", code="continue_kind", params={"name": kind},
            message=f"The adapter '{tuner.continue_from}' is of the method {kind}, the run is set "
            f"to {tuner.type.upper()}.",
            advice="Choose the method that the adapter was trained with."))
    return found


def _of_error(field: str, error: ModelError, name: str) -> Problem:
    return Problem(field=field, code=error.code, message=str(error), advice=error.advice,
                   params={"name": name})


def _projected(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    """Names of modules whose gradients are to be projected, and that no layer has."""
    training, known = config.training, linear_shapes(facts)
    wanted = training.projection.target_modules
    if training.optim not in GALORE_ONLY["training.optim"] or not wanted or not known:
        return
    if not any(is_named(module, name) for module in known for name in wanted):
        yield Problem(field="training.projection.target_modules", code="projection_target",
                      message=f"No linear layer is named {', '.join(wanted)}.",
                      advice=f"Leave it empty, or use names such as {_last_names(known)[0]}.",
                      params={"name": ", ".join(wanted)})


def _targets(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    """Names that no layer has; LoRA also takes embeddings, and the head where it gives words."""
    names, known = target_names(config.tuner.target_modules), linear_shapes(facts)
    if config.tuner.target_parameters and not names:
        return
    others = EMBEDDINGS if config.tuner.type == "lora" else frozenset()
    if config.facts.head:
        others -= set(HEADS)
    missing = [name for name in names if name not in others and not any(
        module == name or module.endswith(f".{name}") for module in known)]
    if missing or not (known or names):
        yield Problem(field="tuner.target_modules", code="no_target",
                      message=f"No linear layer is named {', '.join(missing) or 'at all'}.",
                      advice="Use 'all-linear', or names such as "
                      f"{', '.join(_last_names(known)[:4]) or 'q_proj'}.",
                      params={"name": ", ".join(missing)})


def _last_names(modules: Iterable[str]) -> list[str]:
    return sorted({module.rpartition(".")[2] for module in modules})


def _patterns(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    modules = adapted(config, facts)
    for name in ("rank_pattern", "alpha_pattern"):
        for key in getattr(config.tuner, name) if config.tuner.type == "lora" else ():
            if not any(re.match(rf"(.*\.)?({key})$", module) for module in modules):
                yield Problem(field=f"tuner.{name}", code="pattern_matches_nothing",
                              message=f"'{key}' is the name of no adapted layer.",
                              advice="Write a layer's name, or a pattern for all of its name "
                              "after a dot.", params={"key": key})


def _depth(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    depth, tuner = facts.depth, config.tuner
    given = tuner.layers_to_transform if tuner.is_layered else []
    beyond = [number for number in given if number >= depth]
    if beyond and depth:
        yield Problem(field="tuner.layers_to_transform", code="layer_beyond",
                      message=f"There is no layer {beyond[0]}: the model has {depth}, from 0.",
                      advice=f"Write numbers up to {depth - 1}.",
                      params={"layer": str(beyond[0]), "depth": str(depth)})
    if tuner.type == "freeze" and depth and abs(tuner.freeze.layers) > depth:
        yield Problem(field="tuner.freeze.layers", code="layer_beyond",
                      message=f"The model has {depth} layers, not {abs(tuner.freeze.layers)}.",
                      advice=f"Write at most {depth}.",
                      params={"layer": str(tuner.freeze.layers), "depth": str(depth)})


def _frozen(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    """Names of weights to be trained that the model has not."""
    if config.tuner.type != "freeze" or not facts.tensors:
        return
    freeze = config.tuner.freeze
    for where, names, inside in (("modules", freeze.modules, True),
                                 ("extra_modules", freeze.extra_modules, False)):
        known = {part for name in facts.tensors if (layer_of(name) is not None) == inside
                 for part in name.split(".")[:-1]}
        known |= {"score"} if config.facts.head and not inside else set()
        for missing in [name for name in names if name not in known]:
            yield Problem(field=f"tuner.freeze.{where}", code="freeze_no_module",
                          message=f"No weight {'in' if inside else 'outside'} the layers is named "
                          f"{missing}.", advice="Write names such as "
                          f"{'mlp, q_proj' if inside else 'embed_tokens, norm'}.",
                          params={"name": missing})


def _parameters(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    tuner = config.tuner
    fused = fused_parameters(facts)
    for name in tuner.target_parameters if tuner.type == "lora" else ():
        if not any(key == name or key.endswith(f".{name}") for key in (*fused, *facts.tensors)):
            yield Problem(field="tuner.target_parameters", code="no_parameter",
                          message=f"No parameter is named {name}.",
                          advice=f"This model has {', '.join(fused)}." if fused else
                          "Leave it empty: this model has no fused experts.",
                          params={"name": name})


def _tokens(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    size, tuner = int(facts.text_config.get("vocab_size") or 0), config.tuner
    ids = tuner.trainable_token_indices if tuner.type == "lora" else []
    if size and ids and max(ids) >= size:
        yield Problem(field="tuner.trainable_token_indices", code="token_beyond",
                      message=f"There is no token {max(ids)}: the vocabulary has {size:,}.",
                      advice="Write ids of the model's tokens.",
                      params={"token": str(max(ids)), "size": str(size)})
    if ids and facts.config.get("tie_word_embeddings") and config.objective in FUSED_HEAD:
        yield Problem(field="tuner.trainable_token_indices", code="tokens_fused_head",
                      message="Embeddings and head are one weight here, and "
                      f"'{config.objective}' computes from that weight itself: at the head what "
                      "the tokens learn would not count.",
                      advice="Leave the ids empty, or train embed_tokens whole.",
                      params={"objective": config.objective})
    if ids and (tuner.use_dora or tuner.init_lora_weights == "eva") and (
            EMBEDDINGS & set(target_names(tuner.target_modules))):
        yield Problem(field="tuner.trainable_token_indices", code="tokens_under_dora",
                      message="DoRA and EVA look at the layer below an adapter, and at embeddings "
                      "or head they find the trained tokens in its place.",
                      advice="Leave the ids empty, or take embeddings and head out of the "
                      "target modules.")


def _whole(config: RunConfig, facts: ModelFacts) -> Iterator[Problem]:
    """Modules that cannot be trained whole here."""
    tuner, linear = config.tuner, linear_shapes(facts)
    tied = bool(facts.config.get("tie_word_embeddings"))
    targets = adapted(config, facts)
    for name in tuner.modules_to_save:
        if targets and all(is_inside(f"{module}.weight", name) for module in targets):
            yield _cannot_save(name, "module_holds_targets", "It holds every layer that would be "
                               "adapted", "Name smaller modules, or choose full training.")
            continue
        exists = name == "lm_head" or any(is_inside(key, name) for key in facts.tensors)
        packed = config.model.quantization != "none" and any(
            is_inside(f"{module}.weight", name) for module in linear)
        if not exists:
            yield _cannot_save(name, "module_missing", "The model has no such module",
                               "Write names such as embed_tokens, lm_head, norm.")
        elif packed:
            yield _cannot_save(name, "module_quantized", "Its weights are quantized",
                               "Adapt it instead, or choose quantization 'none'.")
        elif tied and name in EMBEDDINGS and tuner.type != "lora":
            yield _cannot_save(name, "module_tied", "Embeddings and head are one weight here, "
                               "which PEFT keeps together for LoRA only",
                               "Choose LoRA, or leave it out.")


def _cannot_save(name: str, code: str, why: str, advice: str) -> Problem:
    return Problem(field="tuner.modules_to_save", code=code, params={"name": name},
                   message=f"'{name}' cannot be trained whole: {why[0].lower()}{why[1:]}.",
                   advice=advice)


def _blocks(config: RunConfig, shapes: Iterable[Shape]) -> Iterator[Problem]:
    if config.tuner.type not in _BLOCKS:
        return
    path, size_of, sides = _BLOCKS[config.tuner.type]
    size = size_of(config)
    widths = sorted({shape[side] for shape in shapes for side in sides})
    odd = [width for width in widths if width % size]
    if odd:
        shared = [n for n in range(min(size, min(widths)), 1, -1)
                  if not any(width % n for width in widths)]
        yield Problem(field=f"tuner.{path}", code="block_divides",
                      message=f"{size} does not divide a layer's width of {odd[0]}.",
                      advice=f"Choose {shared[0]}, or another divisor of all widths." if shared
                      else "Choose another method: the widths have no divisor in common.",
                      params={"size": str(size), "width": str(odd[0])})


def _sizes(config: RunConfig, shapes: Iterable[Shape]) -> Iterator[Problem]:
    """More numbers than a layer has."""
    tuner = config.tuner
    for rows, columns in shapes:
        asked = tuner.r * (rows + columns) if tuner.type == "shira" else (
            _SPREAD[tuner.type](config) if tuner.type in _SPREAD else 0)
        if asked > rows * columns:
            path = "r" if tuner.type == "shira" else f"{tuner.type}.n_frequency"
            yield Problem(field=f"tuner.{path}", code="more_than_weights",
                          message=f"{asked:,} numbers are more than the {rows * columns:,} "
                          "weights of a layer.", advice="Lower it.",
                          params={"asked": str(asked), "weights": str(rows * columns)})
            return


def _ranks(config: RunConfig, shapes: Iterable[Shape]) -> Iterator[Problem]:
    tuner = config.tuner
    least = min((min(shape) for shape in shapes), default=0)
    begins = tuner.type == "lora" and tuner.init_lora_weights in _OF_WEIGHTS
    limited = begins or tuner.type in ("miss", "randlora", "hra")
    if limited and least and tuner.r > least:
        yield Problem(field="tuner.r", code="rank_beyond",
                      message=f"A layer of width {least} has no {tuner.r} directions.",
                      advice=f"Choose a rank of at most {least}.",
                      params={"r": str(tuner.r), "width": str(least)})
