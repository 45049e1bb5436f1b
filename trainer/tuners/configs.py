"""PEFT's config for every adapter method of the tuner section."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from trainer.contract.config import RunConfig, TunerConfig
from trainer.contract.targets import EMBEDDINGS, FEED_FORWARD, NORMS, target_names

if TYPE_CHECKING:
    from peft import PeftConfig

Kwargs = dict[str, Any]
# AdaLoRA must know the number of steps; the loop tells it when training begins.
STEPS_NOT_KNOWN_YET = 10**9


def peft_config(config: RunConfig, names: Sequence[str] = ()) -> PeftConfig:
    """Return PEFT's config for a run whose tuner is an adapter.

    Args:
        config: The run.
        names: What 'all-linear' stands for where PEFT wants names; empty leaves it to PEFT.
    """
    import peft

    tuner = config.tuner
    name, build = _BUILDERS[tuner.type]
    kwargs: Kwargs = {"task_type": "SEQ_CLS" if config.facts.head else "CAUSAL_LM"}
    if tuner.is_layered:
        kwargs |= _targets(tuner, list(names))
    made: PeftConfig = getattr(peft, name)(**kwargs, **build(tuner))
    if tuner.type == "shira":
        made.random_seed = config.training.seed
    return made


def _targets(tuner: TunerConfig, names: list[str]) -> Kwargs:
    kwargs: Kwargs = {
        "target_modules": target_names(tuner.target_modules) or names or "all-linear"}
    if tuner.modules_to_save:
        kwargs["modules_to_save"] = list(tuner.modules_to_save)
    if tuner.layers_to_transform and tuner.type not in ("ia3", "shira", "road"):
        kwargs["layers_to_transform"] = list(tuner.layers_to_transform)
    return kwargs


def _lora(tuner: TunerConfig) -> Kwargs:
    kwargs: Kwargs = {
        "r": tuner.r, "lora_alpha": tuner.lora_alpha, "lora_dropout": tuner.lora_dropout,
        "use_rslora": tuner.use_rslora, "use_dora": tuner.use_dora, "bias": tuner.bias,
        "rank_pattern": dict(tuner.rank_pattern), "alpha_pattern": dict(tuner.alpha_pattern),
        "init_lora_weights": _INITS.get(tuner.init_lora_weights, tuner.init_lora_weights)}
    if tuner.target_parameters:
        kwargs["target_parameters"] = list(tuner.target_parameters)
    if tuner.trainable_token_indices:
        kwargs["trainable_token_indices"] = sorted(set(tuner.trainable_token_indices))
    if EMBEDDINGS & set(tuner.modules_to_save):
        kwargs["ensure_weight_tying"] = True
    if tuner.init_lora_weights == "eva":
        from peft import EvaConfig

        kwargs["eva_config"] = EvaConfig(rho=1.0)
    return kwargs


def _adalora(tuner: TunerConfig) -> Kwargs:
    own = tuner.adalora
    return {"init_r": own.init_r, "target_r": own.target_r, "tinit": own.tinit,
            "tfinal": own.tfinal, "deltaT": own.deltaT, "lora_alpha": tuner.lora_alpha,
            "lora_dropout": tuner.lora_dropout, "total_step": STEPS_NOT_KNOWN_YET}


def _oft(tuner: TunerConfig) -> Kwargs:
    return {"oft_block_size": tuner.oft.oft_block_size, "r": 0,
            "module_dropout": tuner.lora_dropout,
            "use_cayley_neumann": tuner.oft.use_cayley_neumann}


def _boft(tuner: TunerConfig) -> Kwargs:
    return {"boft_block_size": tuner.boft.boft_block_size, "boft_dropout": tuner.lora_dropout}


def _vera(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "vera_dropout": tuner.lora_dropout, "d_initial": tuner.vera.d_initial,
            "save_projection": tuner.vera.save_projection}


def _randlora(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "randlora_alpha": tuner.lora_alpha, "sparse": tuner.randlora.sparse,
            "randlora_dropout": tuner.lora_dropout, "save_projection": True}


def _ia3(tuner: TunerConfig) -> Kwargs:
    names = "|".join(map(re.escape, tuner.ia3.feedforward_modules or FEED_FORWARD))
    return {"feedforward_modules": rf"(.*\.)?({names})"}


def _loha(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "alpha": tuner.lora_alpha, "module_dropout": tuner.lora_dropout,
            "rank_dropout": tuner.loha.rank_dropout}


def _lokr(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "alpha": tuner.lora_alpha, "module_dropout": tuner.lora_dropout,
            "decompose_both": tuner.lokr.decompose_both,
            "decompose_factor": tuner.lokr.decompose_factor}


def _miss(tuner: TunerConfig) -> Kwargs:
    form = tuner.miss.init_weights
    return {"r": tuner.r, "miss_dropout": tuner.lora_dropout,
            "init_weights": True if form == "balance" else form}


def _fourierft(tuner: TunerConfig) -> Kwargs:
    return {"n_frequency": tuner.fourierft.n_frequency, "scaling": tuner.fourierft.scaling}


def _hra(tuner: TunerConfig) -> Kwargs:
    """Return no ``apply_GS``: PEFT's pairs of equal reflections have no directions of their own."""
    return {"r": tuner.r}


def _vblora(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "num_vectors": tuner.vblora.num_vectors,
            "vector_length": tuner.vblora.vector_length, "vblora_dropout": tuner.lora_dropout}


def _shira(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r}


def _hira(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "hira_dropout": tuner.lora_dropout}


def _delora(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "delora_lambda": tuner.delora.delora_lambda,
            "module_dropout": tuner.lora_dropout}


def _gralora(tuner: TunerConfig) -> Kwargs:
    return {"r": tuner.r, "alpha": tuner.lora_alpha, "gralora_dropout": tuner.lora_dropout,
            "gralora_k": tuner.gralora.gralora_k}


def _c3a(tuner: TunerConfig) -> Kwargs:
    return {"block_size": tuner.c3a.block_size}


def _road(tuner: TunerConfig) -> Kwargs:
    return {"variant": tuner.road.variant, "group_size": tuner.road.group_size}


def _waveft(tuner: TunerConfig) -> Kwargs:
    return {"n_frequency": tuner.waveft.n_frequency, "scaling": tuner.waveft.scaling}


def _ln_tuning(tuner: TunerConfig) -> Kwargs:
    return {"target_modules": list(NORMS)}


def _prompt_tuning(tuner: TunerConfig) -> Kwargs:
    return {"num_virtual_tokens": tuner.prompt.num_virtual_tokens}


def _prefix_tuning(tuner: TunerConfig) -> Kwargs:
    return {"num_virtual_tokens": tuner.prompt.num_virtual_tokens,
            "encoder_hidden_size": tuner.prompt.encoder_hidden_size,
            "prefix_projection": tuner.prompt.prefix_projection}


def _p_tuning(tuner: TunerConfig) -> Kwargs:
    return {"num_virtual_tokens": tuner.prompt.num_virtual_tokens,
            "encoder_hidden_size": tuner.prompt.encoder_hidden_size}


# LoftQ's matrices are worked out once the adapter is attached.
_INITS = {"default": True, "loftq": True}
_BUILDERS: dict[str, tuple[str, Callable[[TunerConfig], Kwargs]]] = {
    "lora": ("LoraConfig", _lora), "adalora": ("AdaLoraConfig", _adalora),
    "oft": ("OFTConfig", _oft), "boft": ("BOFTConfig", _boft), "vera": ("VeraConfig", _vera),
    "randlora": ("RandLoraConfig", _randlora), "ia3": ("IA3Config", _ia3),
    "loha": ("LoHaConfig", _loha), "lokr": ("LoKrConfig", _lokr), "miss": ("MissConfig", _miss),
    "fourierft": ("FourierFTConfig", _fourierft), "hra": ("HRAConfig", _hra),
    "vblora": ("VBLoRAConfig", _vblora), "shira": ("ShiraConfig", _shira),
    "hira": ("HiraConfig", _hira), "delora": ("DeloraConfig", _delora),
    "gralora": ("GraloraConfig", _gralora), "c3a": ("C3AConfig", _c3a),
    "road": ("RoadConfig", _road), "waveft": ("WaveFTConfig", _waveft),
    "ln_tuning": ("LNTuningConfig", _ln_tuning),
    "prompt_tuning": ("PromptTuningConfig", _prompt_tuning),
    "prefix_tuning": ("PrefixTuningConfig", _prefix_tuning),
    "p_tuning": ("PromptEncoderConfig", _p_tuning),
}
