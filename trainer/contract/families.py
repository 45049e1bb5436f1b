"""What families of models need specially, in one place. Pure functions of a model's files."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass

from trainer.contract.config import RunConfig
from trainer.contract.models import ModelFacts
from trainer.contract.problems import Problem

_EXPERT = re.compile(r"\.experts(\.\d+)?(\.|$)")
_ROUTER = re.compile(r"\.(mlp|block_sparse_moe|feed_forward)\.(gate|router)$")
_FEED_FORWARD = ("gate_proj", "up_proj", "down_proj", "w1", "w2", "w3")


def is_mixture(facts: ModelFacts) -> bool:
    """Tell whether the model is a mixture of experts."""
    return any(_EXPERT.search(name) for name in facts.tensors)


def is_fused(facts: ModelFacts, module: str) -> bool:
    """Tell whether a stored weight is a slice of a fused parameter, or a router.

    In a mixture PEFT takes the names of feed-forward layers for those of the experts, also where
    they are layers of their own; so they are left out with them.
    """
    if _EXPERT.search(module) or _ROUTER.search(module):
        return True
    return module.rpartition(".")[2] in _FEED_FORWARD and is_mixture(facts)


@dataclass(frozen=True)
class Note:
    """Something about a family that the page says: which field, what it is, and why."""

    field: str
    value: str
    reason: str


def fused_parameters(facts: ModelFacts) -> list[str]:
    """Return the names that LoRA can target of experts that are one parameter in Transformers 5."""
    if not is_mixture(facts):
        return []
    inside = "mlp.experts"
    return [f"{inside}.gate_up_proj", f"{inside}.down_proj"]


def notes(config: RunConfig, facts: ModelFacts) -> list[Note]:
    """Return what is special about this model's family for this run."""
    found = []
    tuner, fused = config.tuner, fused_parameters(facts)
    if fused and tuner.is_layered and not (tuner.type == "lora" and tuner.target_parameters):
        names = ", ".join(fused)
        found.append(Note("tuner.target_parameters", "experts are not adapted", (
            "the experts are one parameter for all, which no adapter stands beside: only "
            "attention is adapted. Name them as target parameters to train "
            f"them: {names}")))
    if attention_wanted(facts) and config.model.attn_implementation == "auto":
        found.append(Note("model.attn_implementation", "eager", EAGER_REASON))
    return found


EAGER_REASON = "this family bounds its attention scores, which only eager attention computes"


def attention_wanted(facts: ModelFacts) -> str:
    """Return the attention back end that a family needs, '' when Transformers may choose."""
    return "eager" if facts.text_config.get("attn_logit_softcapping") else ""


def quantized_problems(config: RunConfig, facts: ModelFacts,
                       is_installed: Callable[[str], bool] | None = None) -> list[Problem]:
    """Return why a base whose stored weights are quantized already cannot be used as asked.

    Args:
        config: The run.
        facts: The base's files.
        is_installed: Tells whether a package can be imported; looks on this machine by default.
    """
    method = facts.quantization
    if not method:
        return []
    found, name = [], config.model.name_or_path
    if config.model.quantization != "none":
        found.append(Problem(
            field="model.quantization", code="quantized_twice", params={"method": method},
            message=f"'{name}' is quantized already, by {method}.",
            advice="Choose quantization 'none': it is loaded as it is stored."))
    if not config.tuner.is_adapter:
        found.append(Problem(
            field="tuner.type", code="full_on_stored_quantized", params={"method": method},
            message=f"The weights of '{name}' are quantized by {method}: they cannot be trained.",
            advice="Choose LoRA, or the unquantized model."))
    elif config.tuner.type not in STORED_TUNERS:
        found.append(Problem(
            field="tuner.type", code="tuner_on_stored_quantized",
            params={"method": method, "tuner": config.tuner.type},
            message=f"'{config.tuner.type}' is not known to work on weights quantized by {method}.",
            advice="Choose LoRA."))
    look = is_installed or (lambda package: importlib.util.find_spec(package) is not None)
    package, command = PACKAGES.get(method, ("", ""))
    if not command:
        found.append(Problem(
            field="model.name_or_path", code="quantized_unknown", params={"method": method},
            message=f"'{name}' is quantized by '{method}', which is not known here.",
            advice="Use the unquantized model."))
    elif not look(package):
        found.append(Problem(
            field="model.name_or_path", code="quantized_package", scope="machine",
            params={"method": method, "command": command},
            message=f"'{name}' is quantized by {method}, whose package is not installed.",
            advice=f"Install it: {command}; or use the unquantized model."))
    return found


# What holds a stored quantization: the module to import and how to get it.
PACKAGES = {"gptq": ("gptqmodel", "pip install gptqmodel optimum"),
            "awq": ("gptqmodel", "pip install gptqmodel"),
            "aqlm": ("aqlm", "pip install 'aqlm[gpu,cpu]'"),
            "hqq": ("hqq", "pip install hqq"),
            "compressed-tensors": ("compressed_tensors", "pip install compressed-tensors"),
            "bitsandbytes": ("bitsandbytes", "pip install bitsandbytes"),
            "eetq": ("eetq", "pip install eetq"),
            "torchao": ("torchao", "pip install torchao")}
STORED_TUNERS = ("lora", "prompt_tuning", "prefix_tuning", "p_tuning", "ln_tuning")
