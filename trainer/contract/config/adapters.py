"""Fields that only one tuner has; each class is a section below ``tuner``."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field


class FreezeConfig(Section):
    """Train some layers of the model itself."""

    layers: int = field(
        2, "Layers trained", "So many of the last layers; below 0 so many of the first.",
        basic=True, ge=-1000, le=1000)
    modules: list[str] = field(
        list, "Modules trained", "Only these parts of the layers, such as mlp, q_proj; empty "
        "means all.")
    extra_modules: list[str] = field(
        list, "Besides", "Modules outside the layers, such as embed_tokens, norm, lm_head.")


class AdaLoraConfig(Section):
    """AdaLoRA (arXiv:2303.10512)."""

    init_r: int = field(12, "First rank", "Rank of every layer in the beginning.", basic=True,
                        ge=1, le=4096)
    target_r: int = field(8, "Mean rank", "Mean rank that is left in the end.", basic=True,
                          ge=1, le=4096)
    tinit: int = field(0, "Begin after", "Steps before ranks begin to move.", unit="steps", ge=0)
    tfinal: int = field(0, "Settle for", "Last steps in which ranks stand still.", unit="steps",
                        ge=0)
    deltaT: int = field(1, "Move every", "Steps between two moves.", unit="steps", ge=1)


class OFTConfig(Section):
    """Orthogonal fine-tuning (arXiv:2306.07280)."""

    oft_block_size: int = field(32, "Block size", "Size of the orthogonal blocks; divides the "
                                "layers' widths.", basic=True, ge=2, le=8192)
    use_cayley_neumann: bool = field(True, "Cayley-Neumann", "Approximate the Cayley transform: "
                                     "faster.")


class BOFTConfig(Section):
    """BOFT (arXiv:2311.06243)."""

    boft_block_size: int = field(4, "Block size", "Divides the layers' widths.", basic=True, ge=2,
                                 le=8192)


class VeraConfig(Section):
    """VeRA (arXiv:2310.11454)."""

    d_initial: float = field(0.1, "First value", "Of the trained vector d.", gt=0, le=10)
    save_projection: bool = field(True, "Keep projections", "Store the random matrices with the "
                                  "adapter, so that it loads alike everywhere.")


class RandLoraConfig(Section):
    """RandLoRA (arXiv:2502.00987)."""

    sparse: bool = field(False, "Sparse bases", "Random bases of -1, 0 and 1.")


class LoHaConfig(Section):
    """LoHa (arXiv:2108.06098)."""

    rank_dropout: float = field(0.0, "Rank dropout", "Share of ranks left out.", ge=0, lt=1)


class LoKrConfig(Section):
    """LoKr (arXiv:2309.14859)."""

    decompose_factor: int = field(-1, "Factor", "Size of the smaller factor; -1 chooses.", ge=-1,
                                  le=8192)
    decompose_both: bool = field(False, "Both factors", "Write the smaller factor as a low-rank "
                                 "product too.")


class MissConfig(Section):
    """MiSS (arXiv:2409.15371)."""

    init_weights: Literal["balance", "bat", "mini"] = field(
        "balance", "Form", "balance; bat couples with the weight; mini shares more.")


class FourierFTConfig(Section):
    """FourierFT (arXiv:2405.03003)."""

    n_frequency: int = field(1000, "Frequencies", "Trained coefficients a layer.", basic=True,
                             ge=1, le=10_000_000)
    scaling: float = field(150.0, "Scaling", "Factor of the update.", gt=0, le=100_000)


class VBLoRAConfig(Section):
    """VB-LoRA (arXiv:2405.15179)."""

    num_vectors: int = field(256, "Vectors", "Size of the shared bank.", ge=2, le=100_000)
    vector_length: int = field(64, "Vector length", "Divides the layers' widths.", basic=True,
                               ge=1, le=8192)


class IA3Config(Section):
    """IA3 (arXiv:2205.05638)."""

    feedforward_modules: list[str] = field(
        list, "Feed-forward modules", "Targets whose input is scaled instead of their output; "
        "empty takes the layers that close the feed-forward blocks (down_proj).")


class DeLoRAConfig(Section):
    """DeLoRA (arXiv:2503.18225)."""

    delora_lambda: int = field(15, "Lambda", "First strength: a bound of how far weights move.",
                               ge=1, le=1000)


class GraLoRAConfig(Section):
    """GraLoRA (arXiv:2505.20355)."""

    gralora_k: int = field(2, "Blocks", "Each weight is cut into so many times so many blocks; "
                           "divides the rank and the layers' widths.", basic=True, ge=1, le=64)


class C3AConfig(Section):
    """C3A (arXiv:2407.19342)."""

    block_size: int = field(64, "Block size", "Divides the layers' widths, in and out.",
                            basic=True, ge=1, le=8192)


class RoadConfig(Section):
    """RoAd (arXiv:2409.00119)."""

    variant: Literal["road_1", "road_2", "road_4"] = field(
        "road_1", "Variant", "How many angles and scales a pair of outputs has: 1, 2 or 4.",
        basic=True)
    group_size: int = field(64, "Group size", "Outputs are paired within groups of this size; "
                            "even, divides the layers' widths.", ge=2, le=8192)


class WaveFTConfig(Section):
    """WaveFT (arXiv:2505.12532)."""

    n_frequency: int = field(2592, "Coefficients", "Trained wavelet coefficients a layer.",
                             basic=True, ge=1, le=10_000_000)
    scaling: float = field(25.0, "Scaling", "Factor of the update.", gt=0, le=100_000)


class PromptConfig(Section):
    """Prompt tuning, prefix tuning and p-tuning."""

    num_virtual_tokens: int = field(20, "Virtual tokens", "Trained tokens before the text.",
                                    basic=True, unit="tokens", ge=1, le=4096)
    encoder_hidden_size: int | None = field(
        None, "Encoder width", "Hidden size of the encoder of p-tuning and prefix tuning; empty "
        "takes the model's.", ge=1, le=65_536, only={"tuner.type": ("prefix_tuning", "p_tuning")})
    prefix_projection: bool = field(
        False, "Projection", "Make the prefix by a small network.",
        only={"tuner.type": ("prefix_tuning",)})
    init_text: str | None = field(
        None, "First text", "Words that the virtual tokens begin as.", max_length=2000,
        only={"tuner.type": ("prompt_tuning",)})
