"""Answers that grow: shown as they come, cut where a stop string begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.training
STOPS = ("<|end|>", "User:")


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return "".join(map(chr, ids))


def streamed(text: str, stops: tuple[str, ...] = STOPS) -> tuple[list[str], int]:
    from trainer.generate import stream_text

    shown: list[str] = []
    count = stream_text(iter(map(ord, text)), Letters(), shown.append, stops=stops)
    return shown, count


@pytest.mark.parametrize(("text", "answer"), [
    ("It is red.", "It is red."), ("It is red.<|end|>User: why?", "It is red."),
    ("1 < 2 <| 3", "1 < 2 <| 3"), ("Use User", "Use User"), ("User: a", ""), ("", "")])
def test_nothing_of_a_stop_string_is_ever_shown(text: str, answer: str) -> None:
    from trainer.generate import cut_at

    shown, count = streamed(text)
    assert "".join(shown) == answer == cut_at(text, STOPS)
    assert all(shown) and count <= len(text)


def test_without_stop_strings_every_character_is_shown_at_once() -> None:
    assert streamed("a<|end|>", ()) == (list("a<|end|>"), 8)


def test_generation_ends_with_the_stop_string() -> None:
    assert streamed("ab<|end|>" + "x" * 50)[1] == len("ab<|end|>")


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
