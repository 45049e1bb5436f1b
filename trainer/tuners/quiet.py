"""Notes of PEFT to library developers that say nothing to a person who trains."""

from __future__ import annotations

import warnings

BENIGN = (
    # AdaLoRA keeps which ranks are left under another kind of key; PEFT itself adds patterns for
    # fused experts. Keys of the config that match nothing are refused before a start.
    r"The following (rank|alpha)_pattern keys did not match",
    r"Converting a tensor with requires_grad=True to a scalar",
    # BOFT has a slower way without its CUDA extension.
    r"Failed to load the CUDA extension",
    r"Setting boft_n_butterfly_factor to 1",
    # SHiRA's sparse tensors are made by PEFT itself.
    r"Sparse invariant checks are implicitly disabled",
    # Norms have no class in common; that they train and merge is tested.
    r"Unsupported layer type",
    r"lora with eva initialization used with low_cpu_mem_usage",
    # Weights are tied where the model ties them, else there is nothing to tie.
    r"You have requested `ensure_weight_tying`",
    # Head and embeddings are parted before such an adapter is merged.
    r"Model has `tie_word_embeddings=True` and a tied layer is part of the adapter",
    # PEFT asks Transformers by a name that has a successor.
    r"`is_gradient_checkpointing` is deprecated",
    # LLM.int8 computes in float16, which the page says.
    r"MatMul8bitLt: inputs will be cast",
)


def ignore_benign() -> None:
    """Leave such notes out from now on."""
    for message in BENIGN:
        warnings.filterwarnings("ignore", message=message)
