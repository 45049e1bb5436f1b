"""Shapes of the bases that the recipes name, so that a recipe can be estimated without a network.

From each model's config.json on its hub: hidden size, layers, width of the MLP, heads, key-value
heads, size of a head, vocabulary, and whether the head is the embedding.
"""

from __future__ import annotations

from trainer.contract.models import ModelFacts

SHAPES: dict[str, tuple[int, int, int, int, int, int, int, bool]] = {
    "Qwen/Qwen3-0.6B": (1024, 28, 3072, 16, 8, 128, 151936, True),
    "Qwen/Qwen3-1.7B": (2048, 28, 6144, 16, 8, 128, 151936, True),
    "Qwen/Qwen3-4B-Instruct-2507": (2560, 36, 9728, 32, 8, 128, 151936, True),
    "Qwen/Qwen3-8B": (4096, 36, 12288, 32, 8, 128, 151936, False),
    "Qwen/Qwen3-14B": (5120, 40, 17408, 40, 8, 128, 151936, False),
    "Qwen/Qwen3-32B": (5120, 64, 25600, 64, 8, 128, 151936, False),
    "meta-llama/Llama-3.2-1B": (2048, 16, 8192, 32, 8, 64, 128256, True),
    "meta-llama/Llama-3.2-1B-Instruct": (2048, 16, 8192, 32, 8, 64, 128256, True),
    "meta-llama/Llama-3.2-3B-Instruct": (3072, 28, 8192, 24, 8, 128, 128256, True),
    "meta-llama/Llama-3.1-8B-Instruct": (4096, 32, 14336, 32, 8, 128, 128256, False),
    "google/gemma-3-1b-it": (1152, 26, 6912, 4, 1, 256, 262144, True),
    "mistralai/Mistral-7B-Instruct-v0.3": (4096, 32, 14336, 32, 8, 128, 32768, False),
    "microsoft/Phi-4-mini-instruct": (3072, 32, 8192, 24, 8, 128, 200064, True),
    "ibm-granite/granite-3.3-2b-instruct": (2048, 40, 8192, 32, 8, 64, 49159, True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": (960, 32, 2560, 15, 5, 64, 49152, True),
    "HuggingFaceTB/SmolLM3-3B": (2048, 36, 11008, 16, 4, 128, 128256, True),
}


def facts_of(name: str) -> ModelFacts:
    """Return what a base's files would say of it."""
    hidden, layers, inner, heads, groups, head, words, tied = SHAPES[name]
    tensors: dict[str, tuple[tuple[int, ...], str]] = {
        "model.embed_tokens.weight": ((words, hidden), "BF16"),
        "model.norm.weight": ((hidden,), "BF16")}
    if not tied:
        tensors["lm_head.weight"] = ((words, hidden), "BF16")
    for layer in range(layers):
        shapes = {"self_attn.q_proj": (heads * head, hidden),
                  "self_attn.k_proj": (groups * head, hidden),
                  "self_attn.v_proj": (groups * head, hidden),
                  "self_attn.o_proj": (hidden, heads * head), "mlp.gate_proj": (inner, hidden),
                  "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner)}
        for module, shape in shapes.items():
            tensors[f"model.layers.{layer}.{module}.weight"] = (shape, "BF16")
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = ((hidden,), "BF16")
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"],
              "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": inner,
              "num_attention_heads": heads, "num_key_value_heads": groups, "head_dim": head,
              "vocab_size": words, "tie_word_embeddings": tied}
    return ModelFacts(config, tensors)
