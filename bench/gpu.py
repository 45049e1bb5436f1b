"""Training speed on a CUDA device: models of known shapes with random weights.

Nothing is measured without CUDA. Each line is one run of the trainer on text that is packed, padded
or laid end to end, with the switches named; tokens a second, MFU and memory are the run's own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import ROOT, Number
from trainer.contract.config import RunConfig
from trainer.contract.config.checks import check
from trainer.contract.events import EndEvent, MetricsEvent, from_line
from trainer.contract.places import share
from trainer.contract.rundir import RunDir

STEPS, FIRST_COUNTED, LENGTH = 30, 10, 2048
# Qwen3-0.6B as its config.json has it, and the shape of an 8B (Qwen3-8B's).
SHAPES: dict[str, dict[str, Any]] = {
    "0.6B": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
             "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
             "vocab_size": 151_936, "tie_word_embeddings": True},
    "8B": {"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36,
           "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
           "vocab_size": 151_936, "tie_word_embeddings": False}}
WAYS: dict[str, dict[str, Any]] = {
    "padded": {}, "packed": {"packing": "bfd"},
    "padding-free": {"padding_free": True},
    "packed, Liger": {"packing": "bfd", "use_liger_kernel": True},
    "packed, compiled": {"packing": "bfd", "torch_compile": True}}


def has_cuda() -> bool:
    """Ask in a child whether torch sees a CUDA device."""
    asked = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def make_model(shape: dict[str, Any], folder: Path) -> Path:
    """Write a Qwen3 of a shape with random bfloat16 weights and the starter's tokenizer."""
    script = ("import json, sys, torch; from transformers import Qwen3Config, Qwen3ForCausalLM; "
              "torch.set_default_dtype(torch.bfloat16); torch.manual_seed(0); "
              "Qwen3ForCausalLM(Qwen3Config(**json.loads(sys.argv[1])))"
              ".save_pretrained(sys.argv[2])")
    subprocess.run([sys.executable, "-c", script, json.dumps(shape), str(folder)], check=True)
    starter = share() / "assets" / "starter"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (starter / name).is_file():
            shutil.copy(starter / name, folder / name)
    return folder


def write_text(target: Path) -> Path:
    """Write texts of uneven lengths, most far shorter than LENGTH tokens."""
    chance = random.Random(0)
    words = [f"word{n}" for n in range(2000)]
    rows = [" ".join(chance.choices(words, k=chance.randint(20, 400))) for _ in range(4000)]
    target.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), "utf-8")
    return target


def configs(models: dict[str, Path], text: Path) -> Iterator[tuple[str, RunConfig]]:
    """Yield (what it is, config) of everything that is measured and that can be combined."""
    for size, folder in models.items():
        for quantization in ("none", "nf4"):
            for way, switches in WAYS.items():
                config = RunConfig.model_validate({
                    "name": "bench", "objective": "pretrain",
                    "model": {"name_or_path": str(folder), "quantization": quantization,
                              "dtype": "bfloat16"},
                    "data": {"train": [str(text)], "max_length": LENGTH},
                    "tuner": {"r": 16, "lora_alpha": 32},
                    "training": {"max_steps": STEPS, "per_device_train_batch_size": 4,
                                 "gradient_checkpointing": True, "eval_steps": None,
                                 "save_steps": None, "group_by_length": False, **switches},
                    "evaluation": {"samples": 0}})
                if not check(config):
                    method = "LoRA bf16" if quantization == "none" else "QLoRA"
                    yield f"{size}, {method}, {way}", config


def run(config: RunConfig, place: RunDir) -> str:
    """Train once and return tokens a second, MFU and peak memory, or why it failed."""
    place.create(config, {})
    subprocess.run([sys.executable, "-m", "trainer", str(place.path)], cwd=ROOT, check=False,
                   capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    attempt = place.latest()
    assert attempt is not None
    events = [from_line(line) for line in attempt.events.read_bytes().splitlines()]
    end = events[-1]
    if not isinstance(end, EndEvent) or end.outcome != "completed":
        return f"failed: {getattr(end, 'message', end)}"
    seen = [event.values for event in events
            if isinstance(event, MetricsEvent) and event.step >= FIRST_COUNTED]

    def median(name: str) -> float:
        return statistics.median([value for values in seen
                                  if (value := values.get(name)) is not None] or [0.0])

    return (f"{median('tokens_per_s'):,.0f} tokens/s, MFU {median('mfu'):.1%}, "
            f"{max(values.get('memory_mib') or 0 for values in seen) / 1024:.1f} GiB")


def measure(folder: Path) -> list[Number]:
    """Measure every config; one line says so where there is no CUDA device."""
    if not has_cuda():
        return [Number("on a CUDA device", "not measured: there is none here")]
    models = {size: make_model(shape, folder / f"model-{size}") for size, shape in SHAPES.items()}
    text = write_text(folder / "text.jsonl")
    return [Number(what, run(config, RunDir(folder / f"gpu-{number}")))
            for number, (what, config) in enumerate(configs(models, text))]
