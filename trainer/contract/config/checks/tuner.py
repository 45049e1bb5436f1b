"""What is trained: what cannot be combined."""

from __future__ import annotations

import re

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem

_FOUR_BITS = ("nf4", "fp4")
# These compute with the base's weights themselves, which PEFT does not unpack for them.
_NOT_ON = {"nf4": ("loha", "lokr", "hra", "delora"), "fp4": ("loha", "lokr", "hra", "delora"),
           "int8": ("hra", "delora")}
_FROM_WEIGHTS = ("pissa", "pissa_niter_16", "olora", "orthogonal")
_PROMPTS_LEARN = ("sft", "pretrain")


def _full_on_quantized(config: RunConfig) -> list[Problem]:
    if config.tuner.is_adapter or config.model.quantization == "none":
        return []
    return [Problem(field="model.quantization", code="full_on_quantized",
                    message="Quantized weights cannot be trained: full fine-tuning and freezing "
                    "need them whole.",
                    advice="Choose LoRA (that is QLoRA), or quantization 'none'.")]


def _on_quantized(config: RunConfig) -> list[Problem]:
    """What PEFT cannot do over weights in 4 or 8 bits; found out by trying each."""
    kind, tuner = config.model.quantization, config.tuner
    if kind == "none" or tuner.continue_from:
        return []
    found = []
    if tuner.type in _NOT_ON[kind] or (tuner.type == "miss" and tuner.miss.init_weights == "bat"):
        found.append(Problem(
            field="tuner.type", code="tuner_on_quantized", params={"tuner": tuner.type,
                                                                   "kind": kind},
            message=f"'{tuner.type}' multiplies the base's weights themselves, which are packed "
            f"in '{kind}'.", advice="Choose quantization 'none', or LoRA."))
    if tuner.type == "lora" and tuner.use_dora and kind == "int8":
        found.append(Problem(
            field="tuner.use_dora", code="dora_int8",
            message="DoRA cannot read the lengths of weights that LLM.int8 holds.",
            advice="Choose nf4 or fp4, or switch DoRA off."))
    if tuner.type == "lora" and tuner.init_lora_weights in _FROM_WEIGHTS:
        found.append(Problem(
            field="tuner.init_lora_weights", code="init_on_quantized",
            params={"init": tuner.init_lora_weights},
            message=f"'{tuner.init_lora_weights}' begins from whole weights; quantized ones "
            "would be rounded twice.",
            advice="Choose 'loftq' for 4-bit bases, 'default', or quantization 'none'."))
    return found


def _loftq(config: RunConfig) -> list[Problem]:
    tuner = config.tuner
    if tuner.type != "lora" or tuner.init_lora_weights != "loftq" or tuner.continue_from:
        return []
    if config.model.quantization in _FOUR_BITS and not config.model.adapters:
        return []
    return [Problem(field="tuner.init_lora_weights", code="loftq_needs_4bit",
                    message="LoftQ makes good what 4-bit rounding takes from the stored weights.",
                    advice="Choose quantization 'nf4' or 'fp4' without adapters merged first, or "
                    "another initialisation.")]


def _ranks(config: RunConfig) -> list[Problem]:
    """Ranks that a method cannot have."""
    tuner, found = config.tuner, []
    if tuner.type == "lora" and tuner.init_lora_weights == "orthogonal" and any(
            rank % 2 for rank in (tuner.r, *tuner.rank_pattern.values())):
        found.append(Problem(field="tuner.r", code="orthogonal_odd_rank",
                             message="Orthogonal initialisation needs even ranks.",
                             advice="Choose an even rank.", params={"r": str(tuner.r)}))
    if tuner.type == "hra" and tuner.r % 2:
        found.append(Problem(field="tuner.r", code="hra_odd_rank", params={"r": str(tuner.r)},
                             message="Reflections begin in pairs: the rank must be even.",
                             advice="Choose an even rank."))
    if tuner.type == "adalora" and tuner.adalora.target_r > tuner.adalora.init_r:
        found.append(Problem(field="tuner.adalora.target_r", code="adalora_ranks",
                             message="AdaLoRA takes ranks away: the mean rank left cannot be more "
                             "than the first.", advice="Raise the first rank, or lower the mean."))
    if tuner.type == "gralora" and tuner.r % tuner.gralora.gralora_k:
        found.append(Problem(field="tuner.gralora.gralora_k", code="gralora_rank",
                             message=f"The rank {tuner.r} is not a multiple of "
                             f"{tuner.gralora.gralora_k} blocks.", advice="Choose a divisor of "
                             "the rank.", params={"r": str(tuner.r),
                                                  "k": str(tuner.gralora.gralora_k)}))
    if tuner.type == "road" and tuner.road.group_size % 2:
        found.append(Problem(field="tuner.road.group_size", code="road_odd_group",
                             message="Outputs are turned in pairs: the group size must be even.",
                             advice="Choose an even number."))
    return found


def _adalora_steps(config: RunConfig) -> list[Problem]:
    steps, own = config.training.max_steps, config.tuner.adalora
    if config.tuner.type != "adalora" or steps is None or own.tinit + own.tfinal < steps:
        return []
    return [Problem(field="tuner.adalora.tinit", code="adalora_steps",
                    message=f"Ranks never move: {own.tinit} steps before and {own.tfinal} after "
                    f"leave none of {steps}.", advice="Lower them, or train longer.",
                    params={"steps": str(steps)})]


def _patterns(config: RunConfig) -> list[Problem]:
    tuner, found = config.tuner, []
    if tuner.type != "lora":
        return []
    for name in ("rank_pattern", "alpha_pattern"):
        for key, value in getattr(tuner, name).items():
            if value < 1 or not _is_expression(key):
                found.append(Problem(
                    field=f"tuner.{name}", code="pattern_invalid", params={"key": key},
                    message=f"'{key}': {value} is no module name (or pattern) with a number of "
                    "at least 1.", advice="Write q_proj: 16, or layers.0.mlp.*: 4."))
    return found


def _is_expression(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _numbers(config: RunConfig) -> list[Problem]:
    tuner, found = config.tuner, []
    if tuner.is_layered and any(number < 0 for number in tuner.layers_to_transform):
        found.append(Problem(field="tuner.layers_to_transform", code="layer_negative",
                             message="Layers are counted from 0.", advice="Write 0, 1, ..."))
    if tuner.type == "lora" and any(token < 0 for token in tuner.trainable_token_indices):
        found.append(Problem(field="tuner.trainable_token_indices", code="token_negative",
                             message="Ids of tokens begin at 0.", advice="Write their ids."))
    if tuner.type == "lokr" and tuner.lokr.decompose_factor == 0:
        found.append(Problem(field="tuner.lokr.decompose_factor", code="lokr_factor",
                             message="0 is no factor.", advice="Write -1, or a size above 0."))
    if tuner.type == "freeze" and not tuner.freeze.layers and not tuner.freeze.extra_modules \
            and not config.facts.head:
        found.append(Problem(field="tuner.freeze.layers", code="freeze_nothing",
                             message="With no layer and no module nothing is trained.",
                             advice="Write how many layers, or modules such as embed_tokens."))
    return found


def _plus_without_a(config: RunConfig) -> list[Problem]:
    tuner = config.tuner
    if tuner.type != "lora" or not tuner.lora_fa or not tuner.loraplus_lr_ratio:
        return []
    return [Problem(field="tuner.loraplus_lr_ratio", code="lora_plus_fa",
                    message="LoRA+ sets B's rate against A's, and LoRA-FA trains no A.",
                    advice="Switch one of them off.")]


def _parameters(config: RunConfig) -> list[Problem]:
    """What PEFT cannot do where LoRA stands beside a parameter instead of a layer."""
    tuner = config.tuner
    if tuner.type != "lora" or not tuner.target_parameters:
        return []
    wrong = [name for name, is_on in (
        ("use_dora", tuner.use_dora), ("lora_dropout", tuner.lora_dropout > 0),
        ("init_lora_weights", tuner.init_lora_weights not in ("default", "gaussian")))
        if is_on]
    return [Problem(field=f"tuner.{name}", code="parameters_only_plain", params={"name": name},
                    message=f"'{name}' works beside layers only, not beside target parameters.",
                    advice="Leave it at its default, or name no target parameters.")
            for name in wrong]


def _twice(config: RunConfig) -> list[Problem]:
    tuner = config.tuner
    if not tuner.is_layered:
        return []
    names = tuner.target_modules
    targets = {part.strip() for part in (names.split(",") if isinstance(names, str) else names)}
    both = sorted(targets & set(tuner.modules_to_save))
    found = [Problem(field="tuner.modules_to_save", code="module_twice", params={"name": name},
                     message=f"'{name}' cannot be adapted and trained whole.",
                     advice="Name it in one place.") for name in both]
    if tuner.type == "lora" and tuner.trainable_token_indices \
            and {"embed_tokens", *both} & set(tuner.modules_to_save):
        found.append(Problem(field="tuner.trainable_token_indices", code="tokens_twice",
                             message="All embeddings are trained whole already.",
                             advice="Leave the ids empty, or take embed_tokens away."))
    return found


def _named_like_the_adapter(config: RunConfig) -> list[Problem]:
    """PEFT finds modules to save by the end of their name; DeLoRA has a part 'delora_w_norm'."""
    caught = [name for name in config.tuner.modules_to_save if "delora_w_norm".endswith(name)]
    if config.tuner.type != "delora":
        return []
    return [Problem(field="tuner.modules_to_save", code="module_like_adapter",
                    params={"name": name, "tuner": config.tuner.type},
                    message=f"'{name}' would take a part of the adapter '{config.tuner.type}' too.",
                    advice="Choose LoRA, or leave that module out.") for name in caught]


def _continued(config: RunConfig) -> list[Problem]:
    """A finished adapter has begun long ago."""
    tuner = config.tuner
    if not tuner.continue_from or not tuner.is_adapter:
        return []
    wrong = []
    if tuner.type == "lora" and tuner.init_lora_weights != "default":
        wrong.append("tuner.init_lora_weights")
    if tuner.type == "prompt_tuning" and tuner.prompt.init_text:
        wrong.append("tuner.prompt.init_text")
    return [Problem(field=name, code="continue_begins", message="An adapter that is trained "
                    "further is not begun anew.", advice="Leave it at its default.")
            for name in wrong]


def _prompts(config: RunConfig) -> list[Problem]:
    """Virtual tokens stand before each sequence, and only some losses know of them."""
    tuner, training = config.tuner, config.training
    if not tuner.is_prompt:
        return []
    found = []
    if config.objective not in _PROMPTS_LEARN:
        found.append(Problem(
            field="tuner.type", code="prompt_objective",
            params={"tuner": tuner.type, "objective": config.objective},
            message=f"'{tuner.type}' puts virtual tokens before the text, which the loss of "
            f"'{config.objective}' does not count with.",
            advice="Choose LoRA, or the objective 'sft' or 'pretrain'."))
        return found
    if training.packing != "none" or training.padding_free:
        name = "packing" if training.packing != "none" else "padding_free"
        found.append(Problem(
            field=f"training.{name}", code="prompt_packing", params={"name": name},
            message="Virtual tokens stand before a sequence: of rows that share one only the "
            "first would have them.", advice="Switch packing and padding-free off, or choose "
            "LoRA."))
    if tuner.type == "prefix_tuning" and training.gradient_checkpointing:
        found.append(Problem(
            field="training.gradient_checkpointing", code="prefix_checkpointing",
            message="A prefix lies in the attention's cache, which gradient checkpointing "
            "throws away.", advice="Switch checkpointing off, or choose 'prompt_tuning'."))
    return found


def _bias_reference(config: RunConfig) -> list[Problem]:
    held = (config.facts.reference
            or (config.objective in ("grpo", "rloo")
                and getattr(config, config.objective).beta > 0)
            or (config.objective in _PROMPTS_LEARN and config.sft.loss_type == "asft"))
    if config.tuner.type != "lora" or config.tuner.bias == "none" or not held:
        return []
    return [Problem(field="tuner.bias", code="bias_reference",
                    message="Trained biases stay when the adapter is switched off: the reference "
                    "would move with the model.", advice="Choose 'none'.")]


RULES = (_full_on_quantized, _on_quantized, _loftq, _ranks, _adalora_steps, _patterns, _numbers,
         _plus_without_a, _parameters, _twice, _named_like_the_adapter, _continued, _prompts,
         _bias_reference)
