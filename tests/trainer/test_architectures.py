"""Tiny random models of many families: two steps, saved, loaded, merged; LoRA, QLoRA and full."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.adapter_sizes import adapter_shapes
from trainer.contract.families import fused_parameters
from trainer.contract.models import read_folder

pytestmark = pytest.mark.training

SIZE: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
LATENT = {"q_lora_rank": 64, "kv_lora_rank": 64, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
          "v_head_dim": 16, "num_key_value_heads": 4, "n_routed_experts": 4, "n_group": 1,
          "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
          "n_shared_experts": 1, "first_k_dense_replace": 1}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}), "mistral": ("Mistral", {"sliding_window": 16}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}), "qwen3": ("Qwen3", {"head_dim": 16}),
    "gemma2": ("Gemma2", {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16}),
    "gemma3": ("Gemma3Text", {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16}),
    "phi3": ("Phi3", {}), "glm4": ("Glm4", {"head_dim": 16}), "smollm3": ("SmolLM3", {}),
    "granite": ("Granite", {}), "olmo2": ("Olmo2", {}), "cohere": ("Cohere", {}),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen3_moe": ("Qwen3Moe", {**EXPERTS, "head_dim": 16, "decoder_sparse_step": 1}),
    "deepseek_v3": ("DeepseekV3", LATENT), "gpt_oss": ("GptOss", {
        "num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16, "sliding_window": 16})}
MERGES = 1e-4
# Trained in every run of the tests: dense, with windows, with fused projections, with experts.
OFTEN = ("llama", "gemma3", "phi3", "qwen3_moe")


def each(names: Iterable[str]) -> list[Any]:
    """Return families as parameters; all but a few belong to the long tests."""
    return [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long)
            for name in names]


@pytest.fixture(scope="module")
def tokenizer_folder(cf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    cf.make_tokenizer(folder)
    return folder


@pytest.fixture
def family(tmp_path: Path, tokenizer_folder: Path) -> Any:
    """Write a tiny random model of a family."""
    import shutil

    import torch
    import transformers

    def make(name: str) -> Path:
        prefix, over = FAMILIES[name]
        folder = tmp_path / name
        shutil.copytree(tokenizer_folder, folder)
        torch.manual_seed(0)
        config = getattr(transformers, f"{prefix}Config")(**{**SIZE, **over})
        model = transformers.AutoModelForCausalLM.from_config(config)
        model.save_pretrained(folder)
        return folder

    return make


def said(model: Any) -> Any:
    """Return the logits of two rows, as training computes them.

    On CPUs bitsandbytes answers from 4-bit weights by a kernel of its own in bfloat16.
    """
    import torch

    ids = torch.arange(10, 40).reshape(2, 15)
    with torch.no_grad():
        return model.train()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


@pytest.fixture
def trained(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train a run for two steps; return it, and what the trained model says and trains."""
    from trainer import work

    kept: dict[str, Any] = {}
    original = work.save

    def save(context: Any, bench: Any, model: Any, template: Any) -> None:
        kept["logits"] = said(model)
        kept["count"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        original(context, bench, model, template)

    def train(name: str, folder: Path, **over: Any) -> tuple[Any, dict[str, Any]]:
        values = cf.merge({"model": {"name_or_path": str(folder)},
                           "training": {"max_steps": 2}}, over)
        run = runs.make(name, **values)
        events = runs.train(run)
        assert cf.end_of(events).outcome == "completed", cf.end_of(events)
        losses = list(cf.series(events, "loss").values())
        assert len(losses) == 2 and losses[0] != losses[1] and losses[0] > 0
        return run, dict(kept)

    monkeypatch.setattr(work, "save", save)
    return train


def load(run: Any, *, merged: bool = False) -> Any:
    """Load a finished run over its base, as the chat does or merged."""
    from trainer import model as models
    from trainer.adapters import attach_adapter, merge_adapters
    from trainer.precision import choose

    config = run.read_config()
    if (run.model / "config.json").is_file():
        config = config.model_copy(update={"model": config.model.model_copy(update={
            "name_or_path": str(run.model)})})
    base = models.load_model(models.locate(config.model, run.path.parent, lambda text: None),
                             config, choose(config, "cpu", None))
    if not run.adapter.exists():
        return base
    return merge_adapters(base, (run.adapter,)) if merged else attach_adapter(base, run.adapter)


@pytest.mark.parametrize("name", each(FAMILIES))
def test_a_family_trains_saves_loads_and_merges(family: Any, trained: Any, name: str) -> None:
    import math

    import torch

    folder = family(name)
    run, kept = trained(f"{name}-lora", folder)
    torch.testing.assert_close(said(load(run)), kept["logits"], atol=MERGES, rtol=0)
    torch.testing.assert_close(said(load(run, merged=True)), kept["logits"], atol=MERGES, rtol=0)
    counted = adapter_shapes(run.read_config(), read_folder(folder)).values()
    assert sum(math.prod(shape) for shape in counted) == kept["count"]
    run, kept = trained(f"{name}-qlora", folder, model={"quantization": "nf4"})
    torch.testing.assert_close(said(load(run)), kept["logits"], atol=MERGES, rtol=0)
    run, kept = trained(f"{name}-full", folder, tuner={"type": "full"})
    torch.testing.assert_close(said(load(run)), kept["logits"], atol=MERGES, rtol=0)


@pytest.mark.parametrize("name", each(["mixtral", "qwen3_moe", "deepseek_v3", "gpt_oss"]))
def test_experts_are_adapted_as_parameters(family: Any, trained: Any, name: str) -> None:
    import torch

    folder = family(name)
    fused = fused_parameters(read_folder(folder))
    run, kept = trained(f"{name}-experts", folder, tuner={"target_parameters": fused})
    torch.testing.assert_close(said(load(run)), kept["logits"], atol=MERGES, rtol=0)
    torch.testing.assert_close(said(load(run, merged=True)), kept["logits"], atol=MERGES, rtol=0)
