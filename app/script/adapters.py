"""PEFT's config of a run, written as Python."""

from __future__ import annotations

from typing import Any

from app.script.gather import Ingredients
from trainer.contract.config import TunerConfig

Kwargs = dict[str, Any]
_CLASSES = {
    "lora": "LoraConfig", "adalora": "AdaLoraConfig", "oft": "OFTConfig", "boft": "BOFTConfig",
    "vera": "VeraConfig", "randlora": "RandLoraConfig", "ia3": "IA3Config", "loha": "LoHaConfig",
    "lokr": "LoKrConfig", "miss": "MissConfig", "fourierft": "FourierFTConfig",
    "hra": "HRAConfig", "vblora": "VBLoRAConfig", "shira": "ShiraConfig", "hira": "HiraConfig",
    "delora": "DeloraConfig", "gralora": "GraloraConfig", "c3a": "C3AConfig",
    "road": "RoadConfig", "waveft": "WaveFTConfig", "ln_tuning": "LNTuningConfig",
    "prompt_tuning": "PromptTuningConfig", "prefix_tuning": "PrefixTuningConfig",
    "p_tuning": "PromptEncoderConfig"}
_DROPOUT = {"lora": "lora_dropout", "adalora": "lora_dropout", "oft": "module_dropout",
            "boft": "boft_dropout", "vera": "vera_dropout", "randlora": "randlora_dropout",
            "loha": "module_dropout", "lokr": "module_dropout", "miss": "miss_dropout",
            "hira": "hira_dropout", "delora": "module_dropout", "gralora": "gralora_dropout"}
_RANKED = ("lora", "vera", "randlora", "loha", "lokr", "miss", "hra", "shira", "hira", "delora",
           "gralora")
_ALPHA = {"lora": "lora_alpha", "adalora": "lora_alpha", "randlora": "randlora_alpha",
          "loha": "alpha", "lokr": "alpha", "gralora": "alpha"}
_UNTARGETED = ("ln_tuning", "prompt_tuning", "prefix_tuning", "p_tuning")


def adapter(found: Ingredients) -> tuple[str, Kwargs] | None:
    """Return (PEFT's class, its arguments); None when the base's own weights are trained."""
    tuner = found.config.tuner
    if tuner.type not in _CLASSES:
        return None
    kwargs: Kwargs = {"task_type": "SEQ_CLS" if found.config.facts.head else "CAUSAL_LM"}
    if tuner.type not in _UNTARGETED:
        kwargs["target_modules"] = tuner.target_modules
        if tuner.modules_to_save or found.config.facts.head:
            kwargs["modules_to_save"] = [*tuner.modules_to_save,
                                         *(["score"] if found.config.facts.head else [])]
        if tuner.layers_to_transform and tuner.type not in ("ia3", "shira", "road"):
            kwargs["layers_to_transform"] = list(tuner.layers_to_transform)
    if tuner.type in _RANKED:
        kwargs["r"] = tuner.r
    for names, value in ((_ALPHA, tuner.lora_alpha), (_DROPOUT, tuner.lora_dropout)):
        if name := names.get(tuner.type):
            kwargs[name] = value
    return _CLASSES[tuner.type], kwargs | _own(found, tuner)


def _own(found: Ingredients, tuner: TunerConfig) -> Kwargs:
    """Return the arguments that only one method has."""
    if tuner.type == "lora":
        return _lora(found, tuner)
    if tuner.type == "oft":
        return {**tuner.oft.model_dump(), "r": 0}
    if tuner.type == "miss":
        form = tuner.miss.init_weights
        return {"init_weights": True if form == "balance" else form}
    if tuner.type == "adalora":
        return {**tuner.adalora.model_dump(), "total_step": found.config.training.max_steps or 1000}
    if tuner.type in ("prompt_tuning", "prefix_tuning", "p_tuning"):
        kept = {"num_virtual_tokens"}
        if tuner.type != "prompt_tuning":
            kept.add("encoder_hidden_size")
        if tuner.type == "prefix_tuning":
            kept.add("prefix_projection")
        return dict(tuner.prompt.model_dump(include=kept))
    own = getattr(tuner, tuner.type, None)
    return {} if own is None or tuner.type == "ia3" else dict(own.model_dump())


def _lora(found: Ingredients, tuner: TunerConfig) -> Kwargs:
    init: Any = True if tuner.init_lora_weights == "default" else tuner.init_lora_weights
    if init in ("eva", "loftq", "corda"):
        found.differs.append(f"The adapter begins as usual, not as '{init}'.")
        init = True
    if tuner.lora_fa:
        found.differs.append("LoRA-FA's frozen A is trained too.")
    kwargs: Kwargs = {"use_rslora": tuner.use_rslora, "use_dora": tuner.use_dora,
                      "bias": tuner.bias, "rank_pattern": dict(tuner.rank_pattern),
                      "alpha_pattern": dict(tuner.alpha_pattern), "init_lora_weights": init}
    if tuner.target_parameters:
        kwargs["target_parameters"] = list(tuner.target_parameters)
    if tuner.trainable_token_indices:
        kwargs["trainable_token_indices"] = list(tuner.trainable_token_indices)
    return kwargs
