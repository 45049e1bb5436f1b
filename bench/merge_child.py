"""``python -m bench.merge_child make|merge FOLDER MAX_SHARD``: a model with an adapter; merging it.

The weights are random: only their sizes matter here.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from bench.data_child import peak_bytes
from bench.report import ROOT
from trainer.contract.config import parse
from trainer.contract.rundir import RunDir
from trainer.engines.guard import die_with_parent

STARTER = ROOT / "assets" / "starter"
WORDS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def make(folder: Path, max_shard: str) -> dict[str, Any]:
    """Write a base of about 310 MB in bf16, and a run's folder with an adapter over it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    base = folder / "base"
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=4096, hidden_size=1024, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=8, num_key_value_heads=4, head_dim=128, tie_word_embeddings=True,
    )).to(torch.bfloat16)
    model.save_pretrained(base, max_shard_size=max_shard)
    for name in WORDS:
        shutil.copy(STARTER / name, base / name)
    run = RunDir(folder / "runs" / "big")
    run.create(parse({"name": "big", "model": {"name_or_path": str(base)}}), {"state": "completed"})
    laid: Any = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear",
                                                 init_lora_weights=False))
    laid.save_pretrained(run.adapter)
    for name in WORDS:
        shutil.copy(STARTER / name, run.adapter / name)
    sizes = [path.stat().st_size for path in base.glob("*.safetensors")]
    return {"bytes": sum(sizes), "files": len(sizes), "shard": max(sizes)}


def merge(folder: Path, max_shard: str) -> dict[str, Any]:
    """Merge both as the studio does; returns the highest resident set of the whole process."""
    from trainer.export.merge import merge_run

    size = int(max_shard.removesuffix("MB")) * 1_000_000
    report = merge_run(RunDir(folder / "runs" / "big"), folder / "merged", shard_bytes=size)
    assert report.streamed, report.reason
    return {"peak": peak_bytes(), "files": len(report.files)}


if __name__ == "__main__":
    die_with_parent()
    task = {"make": make, "merge": merge}[sys.argv[1]]
    print(json.dumps(task(Path(sys.argv[2]), sys.argv[3])))
