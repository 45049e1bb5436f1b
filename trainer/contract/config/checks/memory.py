"""Memory, speed and the losses of answers and classes: what cannot be combined."""

from __future__ import annotations

from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem

# TRL's trainers of these compute from the head's weight itself; ours of the others do not.
FUSED_HEAD = ("dpo", "orpo", "simpo", "cpo", "kto", "grpo", "rloo", "distillation")
# Found out by trying: what comes before a row in a packed sequence changes what is said of it.
LEAKING = ("bloom", "falcon_h1", "gpt_oss", "jamba", "mamba", "opt", "qwen3_5", "qwen3_5_text",
           "qwen3_next", "recurrent_gemma")


def _problem(path: str, code: str, message: str, advice: str, **params: str) -> list[Problem]:
    return [Problem(field=path, code=code, message=message, advice=advice, params=params)]


def _smoothing(config: RunConfig) -> list[Problem]:
    """Label smoothing spreads the target of cross-entropy; other losses have none."""
    if config.training.label_smoothing_factor == 0:
        return []
    loss, plain = "", ""
    if config.objective in ("sft", "pretrain"):
        loss, plain = config.sft.loss_type, "nll"
    elif config.objective == "classification":
        loss, plain = config.classification.loss_type, "cross_entropy"
    if loss == plain:
        return []
    return _problem("training.label_smoothing_factor", "smoothing_loss",
                    f"The loss '{loss}' weighs tokens or classes itself and has no label "
                    "smoothing.", f"Set it to 0, or choose the loss '{plain}'.",
                    loss=loss, plain=plain)


def _kernels_twice(config: RunConfig) -> list[Problem]:
    if not (config.training.use_liger_kernel and config.training.use_kernels):
        return []
    return _problem("training.use_kernels", "kernels_twice",
                    "Liger and the hub's kernels replace the same layers.",
                    "Switch one of them off.")


def _pure_bf16(config: RunConfig) -> list[Problem]:
    training, dtype = config.training, config.model.dtype
    if not training.pure_bf16 or config.tuner.type not in ("full", "freeze"):
        return []
    if dtype not in ("auto", "bfloat16"):
        return _problem("training.pure_bf16", "pure_bf16_dtype",
                        f"Pure bf16 holds and computes in bfloat16, not in {dtype}.",
                        "Set the precision to 'auto', or switch pure bf16 off.", dtype=dtype)
    return []


def _fp8(config: RunConfig) -> list[Problem]:
    """Accelerate puts float8 layers in place of linear ones, under autocast in bfloat16."""
    if not config.training.fp8:
        return []
    if config.tuner.is_adapter:
        return _problem("training.fp8", "fp8_adapter",
                        "Float8 layers take the place of those that an adapter stands beside.",
                        "Choose full training, or switch fp8 off; QLoRA saves more memory.")
    if config.model.dtype not in ("auto", "bfloat16"):
        return _problem("training.fp8", "fp8_dtype", "What is not in float8 is computed in "
                        f"bfloat16, not in {config.model.dtype}.",
                        "Set the precision to 'auto', or switch fp8 off.",
                        dtype=config.model.dtype)
    if config.training.pure_bf16:
        return _problem("training.fp8", "fp8_pure", "fp8 computes under autocast, pure bf16 "
                        "without it.", "Switch one of them off.")
    return []


def _adapter_on_head(config: RunConfig) -> list[Problem]:
    tuner = config.tuner
    if config.objective not in FUSED_HEAD or not tuner.is_layered:
        return []
    names = tuner.target_modules
    targets = names.split(",") if isinstance(names, str) else names
    if not any(name.strip().rpartition(".")[2] == "lm_head" for name in targets):
        return []
    return _problem("tuner.target_modules", "lm_head_fused",
                    f"'{config.objective}' computes from the head's own weight and never builds "
                    "logits: an adapter on lm_head would not be trained.",
                    "Take lm_head out, or put it among the modules trained whole.",
                    objective=config.objective)


RULES = (_smoothing, _kernels_twice, _pure_bf16, _fp8, _adapter_on_head)


def packing_problems(config: RunConfig, family: str) -> list[Problem]:
    """Return why rows of a model cannot be packed; the trainer tries it once more itself.

    ``family`` is the ``model_type`` of its config.
    """
    training = config.training
    if config.objective != "sft" or family not in LEAKING:
        return []
    names = [name for name, is_on in (("packing", training.packing != "none"),
                                      ("padding_free", training.padding_free)) if is_on]
    return [problem for name in names for problem in _problem(
        f"training.{name}", "packing_family",
        f"In a '{family}' model a row of a packed sequence sees the rows before it.",
        "Switch it off; grouping by length saves most of the padding.", family=family)]
