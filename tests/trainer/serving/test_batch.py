"""Sequences in one pass: the same as alone, in every kind of model; or one by one where not."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.serving
SIZE: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2, "initializer_range": 0.1}
WINDOW = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 12}
LINEAR = {"layer_types": ["linear_attention", "full_attention"], "head_dim": 16,
          "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
          "linear_value_head_dim": 8, "num_experts": 0, "mlp_only_layers": [0, 1]}
# Whether rows may share a pass: windows, absolute places, slopes; recurrent layers may not.
FAMILIES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "llama": ("Llama", {}, True), "mistral": ("Mistral", {"sliding_window": 12}, True),
    "gemma3": ("Gemma3Text", WINDOW, True), "gemma2": ("Gemma2", WINDOW, True),
    "gpt2": ("GPT2", {"n_positions": 256}, True), "bloom": ("Bloom", {}, True),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}, True),
    "qwen3_next": ("Qwen3Next", LINEAR, False)}
LENGTHS = (31, 5, 18)
STEPS = 12


def make(family: str) -> tuple[Any, bool]:
    import torch
    import transformers

    name, more, joins = FAMILIES[family]
    torch.manual_seed(1)
    config = getattr(transformers, f"{name}Config")(**{**SIZE, **more})
    short = name.removesuffix("Text")
    kind = getattr(transformers, f"{name}ForCausalLM", None) or getattr(
        transformers, f"{name}LMHeadModel", None) or getattr(transformers, f"{short}ForCausalLM")
    return kind(config).eval(), joins


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_come_and_go_are_told_the_same_as_alone(family: str) -> None:
    import torch

    from trainer.generate import generate_ids
    from trainer.serving.batch import Batch, Forward

    model, joins = make(family)
    forward = Forward(model)
    assert forward.probe([11, 22, 33, 44, 55]) == joins and forward.width == 400
    prompts = [torch.randint(5, 400, (length,)).tolist() for length in LENGTHS]
    alone = [list(generate_ids(model, prompt, eos_ids=(), max_new_tokens=STEPS))
             for prompt in prompts]
    if not joins:
        return
    batch, found = Batch(forward), {}
    rows: list[int] = []
    for step in range(STEPS + len(prompts)):
        if step < len(prompts):
            logits, cache = forward.read(prompts[step], forward.new_cache())
            found[step] = [int(logits[0].argmax())]
            batch.join(cache, len(prompts[step]))
            rows.append(step)
        for row, token in zip(rows, batch.step([found[row][-1] for row in rows]).argmax(-1),
                              strict=True):
            found[row].append(int(token))
        keep = [place for place, row in enumerate(rows) if len(found[row]) < STEPS]
        rows = [rows[place] for place in keep]
        batch.keep(keep)
        if not rows:
            break
    assert [found[index][:STEPS] for index in range(len(prompts))] == alone
    assert len(batch) == 0


def test_a_long_prompt_is_read_in_pieces_until_nobody_waits(monkeypatch: Any) -> None:
    import torch

    from trainer.serving import batch as module
    from trainer.serving.batch import Forward

    model, _ = make("llama")
    forward = Forward(model)
    forward.probe([11, 22, 33, 44, 55])
    ids = torch.randint(5, 400, (50,)).tolist()
    whole = forward.read(ids, forward.new_cache())[0]
    monkeypatch.setattr(module, "CHUNK", 16)
    asked: list[int] = []
    pieces, cache = forward.read(ids, forward.new_cache(),
                                 goes_on=lambda: not asked.append(1))  # type: ignore[func-returns-value]
    assert torch.allclose(whole, pieces, atol=1e-4) and cache.get_seq_length() == 50
    assert len(asked) == 4
    with pytest.raises(InterruptedError):
        forward.read(ids, forward.new_cache(), goes_on=lambda: False)
