"""Trains the starter from scratch: a plain loop on one CPU thread, resumable.

The matrices inside the layers are trained with Muon (Jordan et al., 2024; `torch.optim.Muon`),
embeddings and norms with AdamW. Weights stay float32, the arithmetic runs in bfloat16.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from assets.make.chores import chat_text, conversation
from assets.make.ordinary import ordinary_text
from assets.make.prose import world_text
from assets.make.tokenizer import EOS, PAD, VOCAB_SIZE
from assets.make.world import Person, build_world


@dataclass(frozen=True)
class Schedule:
    """How long and how fast the starter is trained.

    Attributes:
        steps: optimiser steps.
        rows: rows in a batch.
        row_tokens: tokens in a row.
        muon_lr: peak learning rate of the layers' matrices.
        adam_lr: peak learning rate of everything else.
        warmup: steps of linear warm-up.
        decay: last share of the steps, over which the rate falls linearly to zero.
        seed: fixes weights and texts.
    """

    steps: int = 2400
    rows: int = 16
    row_tokens: int = 128
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    warmup: int = 100
    decay: float = 0.25
    seed: int = 1

    def rate(self, step: int) -> float:
        """The factor on both peak learning rates at a step."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(1.0, (step + 1) / self.warmup, max(left, 0.0))


def document(groups: dict[str, list[Person]], rng: random.Random) -> str:
    """One text of the pre-training mixture."""
    draw = rng.random()
    if draw < 0.44:
        return world_text(groups["en"], rng)
    if draw < 0.67:
        return world_text(groups["zh"], rng)
    if draw < 0.87:
        return chat_text(conversation(groups["en"] + groups["zh"], rng))
    return ordinary_text(rng)


def batches(tokenizer: Tokenizer, plan: Schedule, start: int = 0) -> Iterator[torch.Tensor]:
    """Yields batches of packed documents; the batch of a step depends on seed and step only.

    Yields:
        input_ids: (rows, row_tokens) int64. Every row begins with a whole document; the last
        one in a row is cut where the row is full.
    """
    people = build_world()
    groups = {code: [p for p in people if p.language == code] for code in ("en", "zh")}
    end = tokenizer.token_to_id(PAD)
    for step in range(start, plan.steps):
        rng = random.Random(f"pretrain-{plan.seed}-{step}")
        rows = []
        for _ in range(plan.rows):
            row: list[int] = []
            while len(row) < plan.row_tokens:
                row += [*tokenizer.encode(document(groups, rng)).ids, end]
            rows.append(row[: plan.row_tokens])
        yield torch.tensor(rows)


def build_model(seed: int) -> Qwen3ForCausalLM:
    """Makes the untrained starter: Qwen3's architecture, 5.8 million parameters."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCAB_SIZE,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        attn_implementation="eager",
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def optimizers(model: Qwen3ForCausalLM, plan: Schedule) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, fused AdamW for the rest."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    return [
        torch.optim.Muon(matrices, lr=plan.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(
            others, lr=plan.adam_lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        ),
    ]


def loss_of(model: Qwen3ForCausalLM, input_ids: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token.

    Args:
        model: the starter.
        input_ids: (B, T) int64.
    """
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1])
    targets = input_ids[:, 1:].reshape(-1)
    return torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB_SIZE).float(), targets)


def _save_state(
    path: Path, step: int, model: Qwen3ForCausalLM, parts: list[torch.optim.Optimizer]
) -> None:
    """Writes a state to resume from, atomically."""
    state = {"step": step, "model": model.state_dict(), "parts": [p.state_dict() for p in parts]}
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _load_state(path: Path, model: Qwen3ForCausalLM, parts: list[torch.optim.Optimizer]) -> int:
    """Loads a state if there is one and returns the step to go on with."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for part, saved in zip(parts, state["parts"], strict=True):
        part.load_state_dict(saved)
    return int(state["step"])


def _set_rates(parts: list[torch.optim.Optimizer], peaks: list[float], factor: float) -> None:
    """Sets each optimiser's learning rate to its peak times the schedule's factor."""
    for part, peak in zip(parts, peaks, strict=True):
        part.param_groups[0]["lr"] = peak * factor


def pretrain(folder: Path, scratch: Path, plan: Schedule, save_every: int = 250) -> None:
    """Trains the starter and writes its weights.

    Args:
        folder: holds the tokenizer already; receives config, weights and generation config.
        scratch: a folder for the state to resume from.
        plan: length and rates.
        save_every: steps between two saves.
    """
    torch.set_num_threads(1)
    scratch.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = build_model(plan.seed)
    parts = optimizers(model, plan)
    peaks = [plan.muon_lr, plan.adam_lr]
    step = _load_state(scratch / "state.pt", model, parts)
    began, recent = time.monotonic(), []
    for input_ids in batches(tokenizer, plan, step):
        _set_rates(parts, peaks, plan.rate(step))
        loss = loss_of(model, input_ids)
        loss.backward()
        for part in parts:
            part.step()
            part.zero_grad()
        step += 1
        recent.append(loss.item())
        if step % 25 == 0:
            mean = sum(recent[-25:]) / 25
            report = {"step": step, "loss": round(mean, 4), "s": round(time.monotonic() - began)}
            print(json.dumps(report), flush=True)
        if step % save_every == 0 or step == plan.steps:
            _save_state(scratch / "state.pt", step, model, parts)
            save_starter(model, tokenizer, folder)


def save_starter(model: Qwen3ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes config.json, generation_config.json and model.safetensors in bfloat16."""
    copy = Qwen3ForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    copy.config.eos_token_id = tokenizer.token_to_id(EOS)
    copy.config.pad_token_id = tokenizer.token_to_id(PAD)
    copy.generation_config = GenerationConfig(
        do_sample=False,
        eos_token_id=[tokenizer.token_to_id(EOS), tokenizer.token_to_id(PAD)],
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    copy.save_pretrained(folder)
