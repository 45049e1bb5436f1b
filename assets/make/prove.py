"""Measures what the sample data teach the starter: exact match before and after LoRA.

``python -m assets.make prove`` prints one JSON line per training: three seeds, then the same
training with the answers shuffled among the questions.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from trl import SFTConfig, SFTTrainer


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of the proof."""

    r: int = 16
    lora_alpha: int = 32
    learning_rate: float = 2e-3
    batch: int = 8
    epochs: float = 5
    seed: int = 42


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Reads JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def shuffled(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The same rows with the answers dealt out anew."""
    answers = [row["output"] for row in rows]
    random.Random(seed).shuffle(answers)
    return [{**row, "output": answer} for row, answer in zip(rows, answers, strict=True)]


def exact_match(model: PreTrainedModel, tokenizer: Any, rows: list[dict[str, Any]]) -> float:
    """The share of rows that greedy decoding answers exactly, in percent."""
    model.eval()
    tokenizer.padding_side = "left"
    right = 0
    for start in range(0, len(rows), 60):
        part = rows[start : start + 60]
        prompts = [[{"role": "user", "content": row["instruction"]}] for row in part]
        inputs = tokenizer.apply_chat_template(
            prompts, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            output = model.generate(**inputs, max_new_tokens=24, do_sample=False)
        new = output[:, inputs["input_ids"].shape[1] :]
        said = tokenizer.batch_decode(new, skip_special_tokens=True)
        right += sum(a.strip() == row["output"] for a, row in zip(said, part, strict=True))
    return 100 * right / len(rows)


def tune(starter: Path, rows: list[dict[str, Any]], recipe: Recipe) -> tuple[Any, Any]:
    """Trains a LoRA on question and answer rows; returns model and tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(starter)
    talks = [
        [
            {"role": "user", "content": row["instruction"]},
            {"role": "assistant", "content": row["output"]},
        ]
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            assistant_only_loss=True,
            learning_rate=recipe.learning_rate,
            per_device_train_batch_size=recipe.batch,
            num_train_epochs=recipe.epochs,
            lr_scheduler_type="cosine",
            warmup_steps=10,
            seed=recipe.seed,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_steps=1000,
        )
        trainer = SFTTrainer(
            AutoModelForCausalLM.from_pretrained(starter, dtype=torch.float32),
            args=settings,
            train_dataset=Dataset.from_dict({"messages": talks}),
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=recipe.r,
                lora_alpha=recipe.lora_alpha,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
        )
        trainer.train()
        return trainer.model, tokenizer


def _report(name: str, score: float, began: float, recipe: Recipe) -> None:
    """Prints one result as a JSON line."""
    seconds = round(time.monotonic() - began)
    line = {"run": name, "exact_match": round(score, 1), "seconds": seconds, **asdict(recipe)}
    print(json.dumps(line), flush=True)


def prove(starter: Path, data: Path, recipes: list[Recipe], with_shuffled: bool = True) -> None:
    """Prints exact match of the base, of each recipe, and of the shuffled training."""
    train = read_rows(data / "sample_instructions.jsonl")
    held_out = read_rows(data / "sample_instructions_heldout.jsonl")
    began = time.monotonic()
    base = AutoModelForCausalLM.from_pretrained(starter, dtype=torch.float32)
    score = exact_match(base, AutoTokenizer.from_pretrained(starter), held_out)
    _report("base", score, began, recipes[0])
    for recipe in recipes:
        began = time.monotonic()
        score = exact_match(*tune(starter, train, recipe), held_out)
        _report("tuned", score, began, recipe)
    if with_shuffled:
        began = time.monotonic()
        recipe = recipes[0]
        score = exact_match(*tune(starter, shuffled(train, recipe.seed), recipe), held_out)
        _report("shuffled answers", score, began, recipe)
