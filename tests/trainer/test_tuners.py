"""Every adapter of the form trains, is written, and says the same on the base as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from trainer.contract.config.tuner import TUNERS
from trainer.contract.models import read_adapter

pytestmark = pytest.mark.training

SMALL: dict[str, dict[str, Any]] = {
    "boft": {"boft": {"boft_block_size": 4}}, "oft": {"oft": {"oft_block_size": 16}},
    "vera": {"r": 16}, "vblora": {"r": 2, "vblora": {"num_vectors": 8, "vector_length": 16}},
    "fourierft": {"fourierft": {"n_frequency": 50}}, "c3a": {"c3a": {"block_size": 16}},
    "road": {"road": {"group_size": 16}}, "waveft": {"waveft": {"n_frequency": 100}},
    "adalora": {"adalora": {"init_r": 6, "target_r": 4, "tinit": 1, "tfinal": 1}},
    "prompt_tuning": {"prompt": {"num_virtual_tokens": 4}},
    "prefix_tuning": {"prompt": {"num_virtual_tokens": 4}},
    "p_tuning": {"prompt": {"num_virtual_tokens": 4}}}
LORA: dict[str, dict[str, Any]] = {
    "plain": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "pissa": {"init_lora_weights": "pissa"}, "niter": {"init_lora_weights": "pissa_niter_16"},
    "olora": {"init_lora_weights": "olora", "use_rslora": True},
    "pissa-dora": {"init_lora_weights": "pissa", "use_dora": True, "rank_pattern": {"q_proj": 4}},
    "eva": {"init_lora_weights": "eva"}, "fa": {"lora_fa": True},
    "plus": {"loraplus_lr_ratio": 16.0}, "bias": {"bias": "all"},
    "patterns": {"rank_pattern": {"q_proj": 2, "layers.1.mlp.*": 4},
                 "alpha_pattern": {"v_proj": 64}},
    "tokens": {"trainable_token_indices": [5, 9]}, "layers": {"layers_to_transform": [1]},
    "embeddings": {"modules_to_save": ["embed_tokens"], "target_modules": "q_proj, v_proj"},
    "norms": {"modules_to_save": ["norm"]}}
# What is done in every run of the tests; the other forms are left to the long ones.
OFTEN = ("plain", "dora", "pissa", "eva", "fa", "plus", "patterns", "tokens", "embeddings")


@pytest.fixture
def trained(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train a run; return it, its losses, and what the trained model says in the end."""
    import torch

    from trainer import work

    kept: dict[str, Any] = {}
    original = work.save

    def save(context: Any, bench: Any, model: Any, template: Any) -> None:
        model.train(context.config.model.quantization != "none")
        ids = torch.arange(10, 40).reshape(2, 15)
        with torch.no_grad():
            kept["logits"] = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        kept["trained"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        kept["model"] = model
        original(context, bench, model, template)

    monkeypatch.setattr(work, "save", save)

    def train(name: str, **over: Any) -> tuple[Any, dict[int, float], dict[str, Any]]:
        values = {"training": {"max_steps": 3}, **over}
        run = runs.make(name, **values)
        events = runs.train(run)
        assert cf.end_of(events).outcome == "completed", cf.end_of(events)
        return run, cf.series(events, "loss"), dict(kept)

    return train


def said_by_files(run: Any, *, merged: bool = False, base: Path | None = None) -> Any:
    """Return what the finished adapter says over its untouched base, as the chat loads it."""
    import torch

    from trainer import model as models
    from trainer.adapters import attach_adapter, merge_adapters
    from trainer.precision import choose

    config = run.read_config()
    found = models.locate(config.model, run.path.parent, lambda text: None)
    model = models.load_model(found, config, choose(config, "cpu", None))
    tuned = (merge_adapters(model, (run.adapter,)) if merged
             else attach_adapter(model, run.adapter))
    # On CPUs bitsandbytes answers from 4-bit weights by a kernel of its own in bfloat16.
    tuned.train(config.model.quantization != "none")
    ids = torch.arange(10, 40).reshape(2, 15)
    with torch.no_grad():
        return tuned(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def assert_the_same_everywhere(run: Any, kept: dict[str, Any], *, merges: bool = True) -> None:
    """Hold the files against the model that was trained: adapter, and merged."""
    import torch

    torch.testing.assert_close(said_by_files(run), kept["logits"], atol=1e-4, rtol=0)
    if merges:
        torch.testing.assert_close(said_by_files(run, merged=True), kept["logits"], atol=1e-4,
                                   rtol=0)


METHODS = [name for name in get_args(TUNERS) if name not in ("full", "freeze", "lora")]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_says_the_same_everywhere(trained: Any, method: str) -> None:
    run, losses, kept = trained(method, tuner={"type": method, **SMALL.get(method, {})})
    assert len(set(losses.values())) == len(losses) == 3
    found = read_adapter(run.adapter)
    assert found.is_mergeable == (method not in ("prompt_tuning", "prefix_tuning", "p_tuning"))
    assert_the_same_everywhere(run, kept, merges=found.is_mergeable)


@pytest.mark.parametrize("form", [
    pytest.param(form, marks=() if form in OFTEN else pytest.mark.long) for form in LORA])
def test_every_form_of_lora_says_the_same_everywhere(trained: Any, form: str) -> None:
    run, losses, kept = trained(form, tuner=LORA[form])
    assert len(set(losses.values())) == len(losses) == 3
    assert_the_same_everywhere(run, kept)


def test_continuing_goes_on_where_the_adapter_stood(trained: Any) -> None:
    quiet = {"max_steps": 6, "lr_scheduler_type": "constant", "group_by_length": False}
    _, losses, kept = trained("first", training=quiet)
    second, again, after = trained("second", tuner={"continue_from": "first"}, training={
        **quiet, "max_steps": 1})
    assert again[1] < 0.8 * losses[1]
    assert after["trained"] == kept["trained"]
    assert_the_same_everywhere(second, after)


def test_dpo_of_a_continued_adapter_begins_at_its_reference(trained: Any, pairs: Path) -> None:
    trained("first", training={"max_steps": 4})
    run, losses, kept = trained("second", objective="dpo", tuner={"continue_from": "first"},
                                data={"train": [str(pairs)]})
    assert losses[1] == pytest.approx(0.6931, abs=1e-3)
    assert_the_same_everywhere(run, kept)


def test_adapters_are_merged_first(trained: Any) -> None:
    _, losses, _ = trained("first", training={"max_steps": 6})
    run, again, kept = trained("second", model={"adapters": ["first"]})
    assert again[1] < 0.8 * losses[1]
    assert_the_same_everywhere(run, kept)


@pytest.mark.parametrize("form", [
    {"model": {"quantization": "nf4"}, "tuner": {"init_lora_weights": "loftq"}},
    {"model": {"quantization": "nf4"}, "tuner": {"use_dora": True}},
    {"model": {"quantization": "fp4", "double_quantization": False}, "tuner": {"lora_fa": True}},
    {"model": {"quantization": "int8"}, "tuner": {}},
    {"model": {"quantization": "int8"}, "tuner": {"type": "vera", "r": 16}}],
    ids=["loftq", "dora", "fp4-fa", "int8", "int8-vera"])
def test_quantized_bases_give_the_same_answers_again(trained: Any, form: Any) -> None:
    run, losses, kept = trained("quantized", **form)
    assert len(set(losses.values())) == 3
    assert_the_same_everywhere(run, kept, merges=False)


def test_lora_fa_holds_a_still(trained: Any) -> None:
    _, _, kept = trained("fa", tuner={"lora_fa": True})
    trained_names = {n for n, p in kept["model"].named_parameters() if p.requires_grad}
    assert trained_names and all(".lora_B." in name for name in trained_names)
    with kept["model"].disable_adapter():
        pass
    again = {n for n, p in kept["model"].named_parameters() if p.requires_grad}
    assert again == trained_names


def test_lora_fa_beside_its_own_reference(runs: Any, cf: Any) -> None:
    """PEFT lets all of an adapter learn after each look at the base: then nothing recomputes."""
    run = runs.make("fa", objective="kto", data={"train": ["sample_kto"]}, tuner={"lora_fa": True},
                    training={"max_steps": 2, "gradient_checkpointing": True})
    assert cf.end_of(runs.train(run)).outcome == "completed"


def test_lora_plus_multiplies_the_rate_of_b_alone() -> None:
    import torch

    from trainer.tuners.loraplus import lora_plus_groups

    model = torch.nn.Module()
    model.q = torch.nn.Module()
    for part in ("lora_A", "lora_B"):
        setattr(model.q, part, torch.nn.ModuleDict({"default": torch.nn.Linear(2, 2, bias=False)}))
    groups = lora_plus_groups([{"params": list(model.parameters()), "weight_decay": 0.1}], model,
                              ratio=16, learning_rate=1e-3)
    assert [(group.get("lr"), group["weight_decay"]) for group in groups] == [
        (None, 0.1), (0.016, 0.1)]
    assert groups[1]["params"] == [model.q.lora_B["default"].weight]


@pytest.mark.parametrize("freeze", [{"layers": 1}, {"layers": -1, "modules": ["mlp"]},
                                    {"layers": 0, "extra_modules": ["embed_tokens"]}])
def test_frozen_layers_stay_as_they_were(trained: Any, tiny_model: Path, freeze: Any) -> None:
    import torch
    from safetensors.torch import load_file

    run, _, _ = trained("freeze", tuner={"type": "freeze", "freeze": freeze})
    before = load_file(str(tiny_model / "model.safetensors"))
    after = load_file(str(run.model / "model.safetensors"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    if freeze["layers"] == 1:
        assert all(".layers.1." in name for name in moved)
    elif freeze["layers"] == -1:
        assert all(".layers.0.mlp." in name for name in moved)
    else:
        assert moved == {"model.embed_tokens.weight"}


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_an_end_of_a_tied_base_is_merged_alone(runs: Any, cf: Any, tiny_model: Path,
                                               end: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from trainer.adapters import attach_adapter, merge_adapters

    run = runs.make(end, tuner={"target_modules": [end, "q_proj"]}, training={"max_steps": 4})
    assert cf.end_of(runs.train(run)).outcome == "completed"

    def base() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()

    ids = torch.randint(5, base().config.vocab_size, (2, 9))
    with torch.no_grad():
        plain, adapted = base()(ids).logits, attach_adapter(base(), run.adapter)(ids).logits
        merged = merge_adapters(base(), (run.adapter,))(ids).logits
    assert (adapted - plain).abs().max() > 1e-3
    assert (merged - adapted).abs().max() < 1e-4
