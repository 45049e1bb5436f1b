"""What is trained: every weight, or an adapter."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field


class TunerConfig(Section):
    """Full fine-tuning or LoRA; field names are those of PEFT."""

    type: Literal["lora", "full"] = field(
        "lora", "Method",
        "LoRA trains small matrices beside the frozen weights; full trains every weight.",
        basic=True)
    r: int = field(8, "LoRA rank", "Size of the adapter; 8 to 64 is usual.", basic=True,
                   ge=1, le=4096)
    lora_alpha: int = field(
        16, "LoRA alpha", "The adapter's output is scaled by alpha / rank.", basic=True,
        ge=1, le=65_536)
    lora_dropout: float = field(
        0.0, "LoRA dropout", "Share of adapter inputs zeroed while training.", ge=0, lt=1)
    target_modules: list[str] | str = field(
        "all-linear", "Target modules",
        "'all-linear' (every linear layer but the head), or names such as q_proj, v_proj.")
    use_rslora: bool = field(
        False, "rsLoRA", "Scale by alpha / sqrt(rank), steadier at high ranks "
        "(arXiv:2312.03732).")
    use_dora: bool = field(
        False, "DoRA", "Learn magnitude and direction apart (arXiv:2402.09353); slower.")
