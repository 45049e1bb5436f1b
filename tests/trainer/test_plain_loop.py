"""A plain PyTorch loop finds the losses and weights of a run, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.training
STEPS, BATCH, RATE = 5, 4, 5e-3


def plain_model(folder: Path) -> Any:
    """Attach LoRA with PEFT alone, from the seed that the run has."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, set_seed

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    set_seed(42)
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16,
                                            target_modules="all-linear"))


def plain_losses(model: Any, rows: list[dict[str, list[int]]]) -> list[float]:
    """Train with AdamW, a cosine from the first step and clipping, one row after the other."""
    import math

    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.999), eps=1e-8,
                                  weight_decay=0.0)
    found = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        batch = rows[step * BATCH:(step + 1) * BATCH]
        tokens = sum(label != -100 for row in batch for label in row["labels"][1:])
        total = 0.0
        optimizer.zero_grad()
        for row in batch:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(
                logits, torch.tensor(row["labels"][1:]), reduction="sum") / tokens
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        found.append(total)
    return found


def test_five_steps_of_a_lora_run(runs: Any, cf: Any, tiny_model: Path) -> None:
    import torch
    from datasets import Dataset
    from safetensors.torch import load_file

    run = runs.make("run", data={"shuffle": False}, training={
        "max_steps": STEPS, "per_device_train_batch_size": BATCH, "learning_rate": RATE})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    table = Dataset.from_file(str(next((run.path / "tokens").rglob("rows.arrow"))))
    model = plain_model(tiny_model)
    expected = plain_losses(model, [dict(row) for row in table])
    assert list(cf.series(events, "loss").values()) == pytest.approx(expected, abs=1e-4)
    weights = load_file(run.adapter / "adapter_model.safetensors")
    assert weights
    for name, value in model.named_parameters():
        if value.requires_grad:
            torch.testing.assert_close(weights[name.replace(".default", "")], value.detach(),
                                       atol=1e-3, rtol=1e-3)
