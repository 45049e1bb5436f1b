"""Each loss of answers against a plain loop over tokens, and in real runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent

pytestmark = pytest.mark.training


def batch() -> tuple[Any, Any, Any]:
    """Return logits (2, 6, 50), the base's logits and labels (2, 6) with gaps."""
    import torch

    chance = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(2, 6, 50, generator=chance)
    base = logits + torch.randn(2, 6, 50, generator=chance)
    labels = torch.randint(0, 50, (2, 6), generator=chance)
    labels[0, :3] = labels[1, 4] = -100
    return logits, base, labels


def shares(values: list[float]) -> list[float]:
    """Return the softmax in double precision, without torch."""
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    return [p / sum(powers) for p in powers]


def by_hand(name: str, logits: Any, base: Any, labels: Any) -> list[float]:
    """Return the loss of each trained token, from the formulas, one token after the other."""
    found = []
    for line in range(labels.shape[0]):
        for at in range(1, labels.shape[1]):
            right = int(labels[line, at])
            if right == -100:
                continue
            row = [float(v) for v in logits[line, at - 1]]
            p, q = shares(row), shares([float(v) for v in base[line, at - 1]])
            nll = -math.log(p[right])
            top = shares(sorted(row, reverse=True)[:20])
            entropy = -sum(t * math.log(t) for t in top) / math.log(20)
            kl = sum(b * (math.log(b) - math.log(a)) for a, b in zip(p, q, strict=True))
            spread = sum(-math.log(a) for a in p) / len(p)
            found.append({"nll": nll, "dft": p[right] * nll, "eaft": entropy ** 2 * nll,
                          "asft": p[right] * nll + 0.3 * kl,
                          "smoothed": 0.9 * nll + 0.1 * spread}[name])
    return found


@pytest.mark.parametrize("name", ["nll", "dft", "eaft", "asft", "smoothed"])
def test_losses_are_those_of_the_formulas(name: str) -> None:
    from trainer.loops.sft_losses import TokenLoss, score_logits

    logits, base, labels = batch()
    loss = TokenLoss("nll" if name == "smoothed" else name, eaft_alpha=2.0, asft_alpha=0.3,
                     smoothing=0.1 if name == "smoothed" else 0.0)
    scores = score_logits(loss, logits, labels, base)
    expected = by_hand(name, logits, base, labels)
    assert scores.losses.tolist() == pytest.approx(expected, rel=1e-5)
    assert int(scores.count) == len(expected) == 7


def test_weights_pass_no_gradient() -> None:
    """The gradient of DFT and EAFT is the weight times that of the likelihood."""
    import torch

    from trainer.loops.sft_losses import dft, eaft, smoothed

    logits, _, _ = batch()
    rows, targets = logits[0].requires_grad_(), torch.arange(6)
    plain = torch.autograd.grad(smoothed(rows, targets, 0.0).sum(), rows)[0]
    for loss in (dft, eaft):
        weights = (loss(rows, targets) / smoothed(rows, targets, 0.0)).detach()
        found = torch.autograd.grad(loss(rows, targets).sum(), rows)[0]
        torch.testing.assert_close(found, weights[:, None] * plain)
    assert torch.all(eaft(rows, targets) <= smoothed(rows, targets, 0.0))


def test_asft_is_dft_where_nothing_moved() -> None:
    import torch

    from trainer.loops.sft_losses import asft, dft

    logits, base, _ = batch()
    targets = torch.arange(6)
    torch.testing.assert_close(asft(logits[0], targets, logits[0], 5.0), dft(logits[0], targets))
    assert float(asft(logits[0], targets, base[0], 5.0).sum()) > float(
        dft(logits[0], targets).sum())


RUN: dict[str, Any] = {"max_steps": 12, "learning_rate": 1e-2, "eval_steps": 4,
                       "group_by_length": False}


@pytest.mark.parametrize(("name", "over"), [
    ("dft", {"sft": {"loss_type": "dft"}}), ("eaft", {"sft": {"loss_type": "eaft"}}),
    ("asft", {"sft": {"loss_type": "asft"}}),
    ("smooth", {"training": {"label_smoothing_factor": 0.1}}),
    ("asft-full", {"sft": {"loss_type": "asft"}, "tuner": {"type": "full"}}),
    ("asft-pissa", {"sft": {"loss_type": "asft"}, "tuner": {"init_lora_weights": "pissa"}})])
def test_runs_learn_with_every_loss(runs: Any, cf: Any, held_out: Path, name: str,
                                    over: dict[str, Any]) -> None:
    """What is measured stays the likelihood: the base measures the same with every loss."""
    training = {**RUN, **over.get("training", {})}
    run = runs.make(name, **{**over, "training": training, "data": {"eval": [str(held_out)]}})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    measured = cf.series(events, "eval_loss")
    assert measured[12] < measured[8] < measured[4] and measured[12] < 5.3  # the base: 6.6
    chosen = {e.field: e.reason for e in events if isinstance(e, ChoiceEvent)}
    assert ("lm_head" in chosen) == (name != "dft")
    assert ("reference" in chosen) == (name in ("asft-full", "asft-pissa"))


def first(runs: Any, cf: Any, name: str, **over: Any) -> tuple[float, float]:
    """Return the loss of the first step and the evaluation loss at a learning rate of nearly 0."""
    data = {"val_size": 12, **over.pop("data", {})}
    training = {"max_steps": 1, "learning_rate": 1e-12, "group_by_length": False,
                "per_device_train_batch_size": 36, **over.pop("training", {})}
    events = runs.train(runs.make(name, data=data, training=training, **over))
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    return cf.series(events, "loss")[1], end.metrics["eval_loss"]


def test_the_first_step_and_the_evaluation_of_each_loss(runs: Any, cf: Any) -> None:
    """At the first step model and base are one, whatever the tuner; measuring knows no loss."""
    nll, measured = first(runs, cf, "nll")
    dft, measured_dft = first(runs, cf, "dft", sft={"loss_type": "dft"})
    found = {name: first(runs, cf, name, **over) for name, over in {
        "asft": {"sft": {"loss_type": "asft", "asft_alpha": 50}},
        "asft-pissa": {"sft": {"loss_type": "asft", "asft_alpha": 50},
                       "tuner": {"init_lora_weights": "pissa"}},
        "asft-packed": {"sft": {"loss_type": "asft", "asft_alpha": 50},
                        "training": {"packing": "bfd", "gradient_checkpointing": True}}}.items()}
    for loss, seen in found.values():
        assert loss == pytest.approx(dft, abs=1e-4) and seen == pytest.approx(measured, abs=1e-4)
    assert dft < 0.5 * nll and measured_dft == pytest.approx(measured, abs=1e-5)
    smooth, seen = first(runs, cf, "smooth", training={"label_smoothing_factor": 0.2})
    assert abs(smooth - nll) > 1e-3 and seen == pytest.approx(measured, abs=1e-5)
    noisy, seen = first(runs, cf, "noisy", training={"neftune_noise_alpha": 20})
    assert abs(noisy - nll) > 1e-3 and seen == pytest.approx(measured, abs=1e-5)


@pytest.mark.parametrize("over", [{"target_modules": ["q_proj", "lm_head"]},
                                  {"modules_to_save": ["lm_head"]}])
def test_an_adapter_on_the_head_is_trained_and_measured(runs: Any, cf: Any, tmp_path: Path,
                                                        held_out: Path, over: dict[str, Any]
                                                        ) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "untied"
    cf.make_tiny_model(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.save_pretrained(folder)
    run = runs.make("head", model={"name_or_path": str(folder)}, tuner=over,
                    data={"eval": [str(held_out)]}, training={**RUN, "max_steps": 10})
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    assert cf.series(events, "loss")[10] < 0.7 * cf.series(events, "loss")[1]
    weights = load_file(run.adapter / "adapter_model.safetensors")
    head = {name: value for name, value in weights.items() if "lm_head" in name}
    assert head and all(bool(value.abs().max() > 0) for value in head.values())
    assert end.metrics["eval_loss"] == pytest.approx(plain_loss(run, folder), abs=1e-3)


def plain_loss(run: Any, folder: Path) -> float:
    """Measure the saved adapter on the 12 evaluation rows with PEFT alone."""
    import torch
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), run.adapter)
    tables = [Dataset.from_file(str(path)) for path in (run.path / "tokens").rglob("rows.arrow")]
    (held,) = [table for table in tables if len(table) == 12]
    total = count = 0.0
    with torch.no_grad():
        for row in held:
            labels = torch.tensor(row["labels"])
            logits = model(input_ids=torch.tensor(row["input_ids"])[None]).logits[0]
            trained = labels[1:] != -100
            total += float(torch.nn.functional.cross_entropy(
                logits[:-1][trained], labels[1:][trained], reduction="sum"))
            count += int(trained.sum())
    return total / count
