"""Scoring only what is trained gives the numbers and gradients of TRL's head, token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing.:FutureWarning")]

FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


@pytest.fixture
def model(tiny_model: Path) -> Any:
    """The tiny model with TRL's fused head, and LoRA around it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    add_fused_lm_head(base, temperature=0.7, outputs=FIELDS)
    adapter = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(base, adapter)


@pytest.fixture
def batch(model: Any) -> dict[str, Any]:
    """Three rows of different length; prompts and padding are not trained."""
    import torch

    ids = torch.randint(5, model.config.vocab_size, (3, 14))
    mask = torch.ones_like(ids)
    labels = ids.clone()
    for row, (prompt, end) in enumerate([(3, 14), (0, 9), (6, 7)]):
        mask[row, end:] = 0
        labels[row, :prompt] = labels[row, end:] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def asked(model: Any, batch: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return what the fused head says, and the gradients of the mean loss."""
    outputs = model(**batch, fused_lm_head=True)
    (-outputs.log_probs.sum() / outputs.label_mask.sum()).backward()
    gradients = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    model.zero_grad()
    return {name: outputs[name].float() for name in (*FIELDS, "label_mask")}, gradients


@pytest.mark.parametrize("few", [True, False])
def test_it_says_what_trl_says(few: bool, model: Any, batch: dict[str, Any],
                               monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from trainer.loops import cpu_head

    monkeypatch.setattr(cpu_head, "LOGITS_BYTES", 2**30 if few else 0)
    likeliest = model(batch["input_ids"]).logits[0, 7].argmax()
    batch["labels"][0, 8] = likeliest
    theirs, their_gradients = asked(model, batch)
    cpu_head.score_trained_only(model, temperature=0.7)
    ours, our_gradients = asked(model, batch)
    for name, values in theirs.items():
        assert values.abs().sum() > 0, name
        torch.testing.assert_close(ours[name], values, atol=2e-5, rtol=1e-5, msg=name)
    assert len(our_gradients) == len(their_gradients) > 0
    for one, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_the_backbone_hands_over_only_what_is_asked(model: Any, batch: dict[str, Any]) -> None:
    from trainer.loops.cpu_head import only_states

    trained = batch["labels"][:, 1:] != -100
    base = model.get_base_model()
    whole = base(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    with only_states(base, trained):
        few = base(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert few.shape == (1, int(trained.sum()), whole.size(-1))
    assert (few[0] - whole[:, :-1][trained]).abs().max() < 1e-5
    again = base(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert again.shape == whole.shape


def test_calls_without_the_fused_head_are_as_they_were(model: Any, batch: dict[str, Any]) -> None:
    from trainer.loops.cpu_head import score_trained_only

    before = model(**batch)
    score_trained_only(model)
    after = model(**batch)
    assert after.logits.shape == before.logits.shape
    assert float(after.loss.detach()) == float(before.loss.detach()) > 0


def test_rows_without_a_trained_token_still_carry_a_gradient(model: Any,
                                                            batch: dict[str, Any]) -> None:
    from trainer.loops.cpu_head import score_trained_only

    score_trained_only(model)
    outputs = model(**{**batch, "labels": batch["labels"].fill_(-100)}, fused_lm_head=True)
    outputs.log_probs.sum().backward()
    assert float(outputs.log_probs.detach().abs().sum()) == 0


def test_a_model_without_the_fused_head_is_left_alone(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    from trainer.loops.cpu_head import score_trained_only

    plain = AutoModelForCausalLM.from_pretrained(tiny_model)
    score_trained_only(plain)
    assert "forward" not in vars(plain)
