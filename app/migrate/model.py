"""The base model: where from, in which numbers, with which attention."""

from __future__ import annotations

from pathlib import Path

from app.migrate.draft import Draft
from trainer.contract.config import all_fields

ATTENTION = {"auto": "auto", "disabled": "eager", "off": "eager", "false": "eager",
             "sdpa": "sdpa", "fa2": "flash_attention_2", "true": "flash_attention_2",
             "fa3": "flash_attention_3"}
PREQUANTIZED = ("gptq", "awq", "aqlm", "mxfp4", "fp8")


def model(draft: Draft, folder: Path | None) -> None:
    """Set the section ``model``."""
    name = draft.text("model_name_or_path")
    if name:
        draft.put("model_name_or_path", "model.name_or_path", _located(name, folder))
    else:
        draft.refuse("import_no_model", "The file names no model (model_name_or_path).",
                     "Set model.name_or_path; now it is 'starter'.")
    revision = draft.text("model_revision")
    if revision == "main":
        draft.say("model_revision", "kept", "The main branch is what an empty revision means.",
                  "model.revision")
    elif revision:
        draft.put("model_revision", "model.revision", revision)
    _quantization(draft)
    _precision(draft)
    _attention(draft)


def _located(name: str, folder: Path | None) -> str:
    """Return a relative folder that lies beside the file by its whole path."""
    if folder is not None and not Path(name).is_absolute():
        for base in (folder, *list(folder.parents)[:3]):
            if (base / name / "config.json").is_file():
                return str((base / name).resolve())
    return name


def _quantization(draft: Draft) -> None:
    bits, method = draft.whole("quantization_bit"), draft.text("quantization_method").lower()
    form = draft.text("quantization_type", "nf4").lower()
    choices = all_fields()["model.quantization"].choices
    wanted = {4: form if form in ("nf4", "fp4") else "nf4", 8: "int8"}.get(bits or 0)
    if bits is None:
        draft.say("quantization_type", "kept", "It means something only beside quantization_bit.")
        draft.say("double_quantization", "kept",
                  "It means something only beside quantization_bit.")
    elif wanted is None:
        draft.drop("quantization_bit", f"{bits} bits are not among 4 and 8: the weights stay "
                   "whole.")
    else:
        draft.put("quantization_bit", "model.quantization",
                  wanted if wanted in choices else "nf4")
        draft.put("quantization_type", "model.quantization", wanted)
        if draft.has("double_quantization"):
            draft.put("double_quantization", "model.double_quantization",
                      draft.flag("double_quantization", True))
    _method(draft, method, bits if wanted else None)


def _method(draft: Draft, method: str, bits: int | None) -> None:
    if method in ("", "bnb", "bitsandbytes"):
        draft.say("quantization_method", "kept", "bitsandbytes is what quantizes here.",
                  "model.quantization" if bits else None)
    elif "quantization_bit" in draft.source and not bits:
        draft.drop("quantization_method", "The weights stay whole, see quantization_bit.")
    elif method in PREQUANTIZED:
        draft.say("quantization_method", "changed", "A model that was stored quantized is loaded "
                  "as it is; it says itself how.")
    else:
        draft.say("quantization_method", "changed", "bitsandbytes quantizes with the same bits.",
                  "model.quantization" if bits else None)


def _precision(draft: Draft) -> None:
    bf16, fp16, pure = draft.flag("bf16"), draft.flag("fp16"), draft.flag("pure_bf16")
    if bf16 or fp16 or pure:
        draft.values["model.dtype"] = "float16" if fp16 and not (bf16 or pure) else "bfloat16"
    for key, on in (("bf16", bf16), ("fp16", fp16)):
        if on:
            draft.put(key, "model.dtype", draft.values["model.dtype"])
        elif draft.has(key):
            draft.say(key, "kept", "Without bf16 and fp16 the device decides: model.dtype is "
                      "auto.", "model.dtype")
    if pure and draft.text("finetuning_type", "lora") in ("full", "freeze"):
        draft.put("pure_bf16", "training.pure_bf16", True)
    elif pure:
        draft.put("pure_bf16", "model.dtype", "bfloat16", "The base is held in bfloat16; adapters "
                  "stay in float32, which is steadier.")
    else:
        draft.say("pure_bf16", "kept", "It is off, as here.")


def _attention(draft: Draft) -> None:
    if "flash_attn" not in draft.source:
        return
    wanted = draft.text("flash_attn").lower()
    if wanted in ATTENTION:
        draft.put("flash_attn", "model.attn_implementation", ATTENTION[wanted])
    else:
        draft.drop("flash_attn", f"LLaMA-Factory has no attention '{wanted[:40]}'; Transformers "
                   "chooses.")
