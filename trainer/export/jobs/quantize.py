"""Quantizes a model by llm-compressor; run by path in whichever environment has that.

Reads ``{"source", "target", "kind", "group", "ignore", "texts", "rows", "length"}`` from standard
input. ``texts`` is a JSONL file of ``{"text"}``, rendered as the model reads them, of which the
first ``rows`` count; '' for kinds that need none. Weights and config are written to ``target``.
Its last line is the reason when it fails.
"""

import itertools
import json
import sys


def main() -> None:
    """Quantize one model."""
    wish = json.load(sys.stdin)
    import transformers
    from llmcompressor import oneshot

    if int(transformers.__version__.split(".")[0]) < 5:
        sys.exit(f"Transformers {transformers.__version__} reads the positions of this model's "
                 "config.json wrongly; install transformers 5 beside llm-compressor.")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        wish["source"], dtype="auto", trust_remote_code=False, use_safetensors=True,
        local_files_only=True)
    print("stage: loaded", flush=True)
    more = {}
    if wish["texts"]:
        rows = _rows(wish)
        more = {"dataset": rows, "num_calibration_samples": len(rows),
                "max_seq_length": wish["length"], "shuffle_calibration_samples": False}
    oneshot(model=model, recipe=_recipe(wish), **more)
    print("stage: saving", flush=True)
    model.save_pretrained(wish["target"], save_compressed=True)


def _recipe(wish):
    """Return what llm-compressor is to do, by kind."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    kind, ignore = wish["kind"], wish["ignore"]
    if kind == "fp8":
        return [QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=ignore)]
    if kind == "int8":
        return [QuantizationModifier(targets="Linear", scheme="W8A8", ignore=ignore)]
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group",
               "group_size": wish["group"]}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    if kind == "gptq":
        return [GPTQModifier(config_groups=groups, ignore=ignore)]
    import torch
    from llmcompressor.modifiers.transform.awq import AWQModifier

    if not torch.accelerator.is_available():
        # It pins what it keeps, to copy it faster to a GPU; torch refuses that without one.
        torch.Tensor.pin_memory = lambda self, device=None: self
    return [AWQModifier(), QuantizationModifier(config_groups=groups, ignore=ignore)]


def _rows(wish):
    """Return the texts as token ids, cut at the length, without marks of the tokenizer's own."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(wish["source"], trust_remote_code=False,
                                              local_files_only=True)
    with open(wish["texts"], encoding="utf-8") as file:
        lines = itertools.islice((line for line in file if line.strip()), wish["rows"])
        texts = [json.loads(line)["text"] for line in lines]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"][:wish["length"]]
           for text in texts]
    ids = [row for row in ids if row]
    return Dataset.from_dict({"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids]})


if __name__ == "__main__":
    main()
