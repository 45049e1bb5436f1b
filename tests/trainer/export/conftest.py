"""Tiny models of every exported family, made without torch: random weights, real tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from trainer.contract.places import starter

HIDDEN, INNER, HEADS, KV_HEADS, HEAD, LAYERS = 64, 96, 4, 2, 32, 2
SENTENCE_PIECES = ["a", "b", "c", "ab", "bc", "abc", "▁", "▁a", "▁abc", "aa", "d", "é"]


def head_of(kind: str) -> int:
    """Return the size of a head; llama.cpp's qwen2 has heads that fill the model's width."""
    return HIDDEN // HEADS if kind == "qwen2" else HEAD


def base_config(kind: str, rows: int, **more: Any) -> dict[str, Any]:
    gemma = kind.startswith("gemma")
    names = {"gemma3_text": "Gemma3", "gemma2": "Gemma2", "gemma": "Gemma", "llama": "Llama",
             "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    config = {"model_type": kind, "architectures": [f"{names[kind]}ForCausalLM"],
              "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
              "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
              "head_dim": head_of(kind),
              "vocab_size": rows, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
              "hidden_act": "gelu_pytorch_tanh" if gemma else "silu",
              "rope_parameters": {"rope_type": "default", "rope_theta": 50000.0},
              "tie_word_embeddings": gemma}
    if kind in {"gemma2", "gemma3_text"}:
        config |= {"sliding_window": 128, "query_pre_attn_scalar": HEAD}
    if kind == "gemma2":
        config |= {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    if kind == "gemma3_text":
        config["rope_parameters"] = {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    return config | more


def shapes(kind: str, rows: int) -> dict[str, tuple[int, ...]]:
    query, key = HEADS * head_of(kind), KV_HEADS * head_of(kind)
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, HIDDEN),
                                         "model.norm.weight": (HIDDEN,)}
    if not kind.startswith("gemma"):
        found["lm_head.weight"] = (rows, HIDDEN)
    for layer in range(LAYERS):
        block: dict[str, tuple[int, ...]] = {
            "self_attn.q_proj.weight": (query, HIDDEN), "self_attn.k_proj.weight": (key, HIDDEN),
            "self_attn.v_proj.weight": (key, HIDDEN), "self_attn.o_proj.weight": (HIDDEN, query),
            "mlp.gate_proj.weight": (INNER, HIDDEN), "mlp.up_proj.weight": (INNER, HIDDEN),
            "mlp.down_proj.weight": (HIDDEN, INNER), "input_layernorm.weight": (HIDDEN,),
            "post_attention_layernorm.weight": (HIDDEN,)}
        if kind == "qwen2":
            block |= {"self_attn.q_proj.bias": (query,), "self_attn.k_proj.bias": (key,),
                      "self_attn.v_proj.bias": (key,)}
        if kind in {"qwen3", "gemma3_text"}:
            block |= {"self_attn.q_norm.weight": (HEAD,), "self_attn.k_norm.weight": (HEAD,)}
        if kind in {"gemma2", "gemma3_text"}:
            block |= {"pre_feedforward_layernorm.weight": (HIDDEN,),
                      "post_feedforward_layernorm.weight": (HIDDEN,)}
        found |= {f"model.layers.{layer}.{name}": shape for name, shape in block.items()}
    return found


def pieces_tokenizer(*, scheme: str = "") -> dict[str, Any]:
    """Return a tokenizer.json as Transformers makes it from a SentencePiece model."""
    special = ["<unk>", "<s>", "</s>"]
    texts = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *SENTENCE_PIECES]
    vocab = {text: number for number, text in enumerate(texts)}
    merges = [[piece[:cut], piece[cut:]] for piece in SENTENCE_PIECES if len(piece) > 1
              for cut in range(1, len(piece)) if {piece[:cut], piece[cut:]} <= set(vocab)]
    added = [{"id": number, "content": text, "special": True, "normalized": False,
              "single_word": False, "lstrip": False, "rstrip": False}
             for number, text in enumerate(special)]
    added.append({**added[0], "id": len(texts), "special": False, "normalized": True,
                  "content": "▁▁" if scheme == "gemma" else "<extra>"})
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    normalizer: Any = {"type": "Sequence",
                       "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
    before = None
    if scheme:
        normalizer = replace if scheme == "gemma" else None
        before = ({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                   "invert": False} if scheme == "gemma" else
                  {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme,
                   "split": False})
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}},
              {"Sequence": {"id": "A", "type_id": 0}}]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": before, "decoder": None,
            "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single,
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [1],
                                                          "tokens": ["<s>"]}}},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": vocab, "merges": merges}}


def bytes_tokenizer(tokens: int = 300) -> dict[str, Any]:
    """Return the starter's tokenizer.json with its first tokens only."""
    found: dict[str, Any] = json.loads((starter() / "tokenizer.json").read_text("utf-8"))
    model = found["model"]
    model["vocab"] = {text: number for text, number in model["vocab"].items() if number < tokens}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    for number, token in enumerate(found["added_tokens"], tokens):
        token["id"] = number
    return found


class Models:
    """Makes model folders below a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def make(self, kind: str, *, tokenizer: dict[str, Any] | None = None, dtype: str = "float32",
             config: dict[str, Any] | None = None, name: str = "") -> Path:
        """Write a model folder; tests change its files."""
        folder = self.home / (name or kind)
        folder.mkdir()
        pieces = kind in {"llama", "mistral", "gemma", "gemma2", "gemma3_text"}
        scheme = "gemma" if kind.startswith("gemma") else ""
        table = tokenizer or (pieces_tokenizer(scheme=scheme) if pieces else bytes_tokenizer())
        rows = len(table["model"]["vocab"]) + len(table["added_tokens"]) + 3
        chance = np.random.default_rng(7)
        weights = {key: (chance.standard_normal(shape) * 0.05).astype(dtype)
                   for key, shape in shapes(kind, rows).items()}
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        write(folder / "config.json", base_config(kind, rows, **(config or {})))
        write(folder / "tokenizer.json", table)
        named = ({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
                 if table["model"]["byte_fallback"] else
                 {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
        write(folder / "tokenizer_config.json", named)
        return folder


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def change(path: Path, **values: Any) -> None:
    write(path, json.loads(path.read_text(encoding="utf-8")) | values)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    home = tmp_path / "models"
    home.mkdir()
    return Models(home)
