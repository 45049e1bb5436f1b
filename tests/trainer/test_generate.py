"""Answering token by token says what PEFT's own generation says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.training


@pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning")
@pytest.mark.parametrize("kind", ["lora", "prompt_tuning", "p_tuning", "prefix_tuning"])
def test_token_by_token_is_what_peft_generates(kind: str, runs: Any, cf: Any,
                                               tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from trainer.adapters import attach_adapter
    from trainer.generate import generate_ids

    prompt = {} if kind == "lora" else {"prompt": {"num_virtual_tokens": 6}}
    run = runs.make(kind, tuner={"type": kind, **prompt},
                    training={"max_steps": 30, "learning_rate": 0.3 if prompt else 0.01})
    assert cf.end_of(runs.train(run)).outcome == "completed"
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    plain = list(generate_ids(base.eval(), [5, 9, 14], eos_ids=(), max_new_tokens=12))
    model = attach_adapter(base, run.adapter).eval()
    ids = torch.tensor([[5, 9, 14]])
    with torch.inference_mode():
        wanted = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids),
                                do_sample=False, max_new_tokens=12, min_new_tokens=12,
                                eos_token_id=None, pad_token_id=0)[0, 3:].tolist()
    found = list(generate_ids(model, [5, 9, 14], eos_ids=(), max_new_tokens=12))
    assert found == wanted
    assert kind == "prompt_tuning" or found != plain  # it learns too little in 30 steps
