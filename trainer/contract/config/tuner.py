"""What is trained: every weight, some of them, or an adapter."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.adapters import (
    AdaLoraConfig,
    BOFTConfig,
    C3AConfig,
    DeLoRAConfig,
    FourierFTConfig,
    FreezeConfig,
    GraLoRAConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    MissConfig,
    OFTConfig,
    PromptConfig,
    RandLoraConfig,
    RoadConfig,
    VBLoRAConfig,
    VeraConfig,
    WaveFTConfig,
)
from trainer.contract.config.base import Section, field
from trainer.contract.config.texts import Place

TUNERS = Literal["lora", "full", "freeze", "adalora", "oft", "boft", "vera", "randlora", "ia3",
                 "loha", "lokr", "miss", "fourierft", "hra", "vblora", "shira", "hira",
                 "delora", "gralora", "c3a", "road", "waveft", "ln_tuning",
                 "prompt_tuning", "prefix_tuning", "p_tuning"]
LORA_INITS = Literal["default", "gaussian", "pissa", "pissa_niter_16", "olora", "orthogonal",
                     "eva", "loftq"]
_LORA = {"tuner.type": ("lora",)}
_RANKED = {"tuner.type": ("lora", "vera", "randlora", "loha", "lokr", "miss", "hra", "vblora",
                          "shira", "hira", "delora", "gralora")}
_SCALED = {"tuner.type": ("lora", "adalora", "randlora", "loha", "lokr", "gralora")}
_DROPPING = {"tuner.type": ("lora", "adalora", "vera", "randlora", "oft", "boft", "loha", "lokr",
                            "miss", "vblora", "hira", "delora", "gralora")}
# They begin by taking something out of the base, which only the finished adapter gives back.
TAKEN_OUT = ("pissa", "pissa_niter_16", "olora")
LAYERED = ("lora", "adalora", "oft", "boft", "vera", "randlora", "ia3", "loha", "lokr", "miss",
           "fourierft", "hra", "vblora", "shira", "hira", "delora", "gralora", "c3a", "road",
           "waveft")
PROMPTED = ("prompt_tuning", "prefix_tuning", "p_tuning")
_LAYERED = {"tuner.type": LAYERED}


class TunerConfig(Section):
    """Full fine-tuning, freezing or one of PEFT's methods; field names are those of PEFT.

    The fields of LoRA stand here; what only another method has, in the section of its name.
    """

    type: TUNERS = field(
        "lora", "Method",
        "LoRA trains small matrices beside the frozen weights; full trains every weight, freeze "
        "some layers; the others are further adapters of PEFT.", basic=True)
    r: int = field(8, "Rank", "Size of the adapter; 8 to 64 is usual.", basic=True,
                   ge=1, le=4096, only=_RANKED)
    lora_alpha: int = field(
        16, "Alpha", "The adapter's output is scaled by alpha / rank.", basic=True,
        ge=1, le=65_536, only=_SCALED)
    lora_dropout: float = field(
        0.0, "Adapter dropout", "Share of adapter inputs zeroed while training.", ge=0, lt=1,
        only=_DROPPING)
    target_modules: list[str] | str = field(
        "all-linear", "Target modules",
        "'all-linear' (every linear layer but the head), or names such as q_proj, v_proj.",
        only=_LAYERED)
    modules_to_save: list[str] = field(
        list, "Modules trained whole", "Modules that are trained and kept whole beside the "
        "adapter, such as embed_tokens, lm_head.", only=_LAYERED)
    layers_to_transform: list[int] = field(
        list, "Layers", "Numbers of the layers to adapt, from 0; empty means all.",
        only={"tuner.type": tuple(name for name in LAYERED
                                  if name not in ("ia3", "shira", "road"))})
    continue_from: Place | None = field(
        None, "Continue adapter", "A finished adapter to train further, as a run's id or a "
        "folder, instead of a new one.", max_length=4096,
        only={"tuner.type": (*LAYERED, "ln_tuning", *PROMPTED)})
    init_lora_weights: LORA_INITS = field(
        "default", "Initialisation", "How the matrices begin: default (zero product), PiSSA from "
        "the weight's singular vectors (arXiv:2404.02948), OLoRA (arXiv:2406.01775), EVA from "
        "activations of the data (arXiv:2410.07170, ranks stay alike), LoftQ for 4-bit bases "
        "(arXiv:2310.08659).", only=_LORA)
    use_rslora: bool = field(
        False, "rsLoRA", "Scale by alpha / sqrt(rank), steadier at high ranks "
        "(arXiv:2312.03732).", only=_LORA)
    use_dora: bool = field(
        False, "DoRA", "Learn magnitude and direction apart (arXiv:2402.09353); slower.",
        only=_LORA)
    loraplus_lr_ratio: float | None = field(
        None, "LoRA+", "Learning rate of B relative to A (arXiv:2402.12354); 16 is usual, empty "
        "means the same.", ge=1, le=1000, only=_LORA)
    lora_fa: bool = field(
        False, "LoRA-FA", "Freeze A and train only B (arXiv:2308.03303): less memory.",
        only=_LORA)
    rank_pattern: dict[str, int] = field(
        dict, "Ranks by module", "Other ranks for some modules, such as q_proj=16, "
        "layers.0.mlp.*=4.", only=_LORA)
    alpha_pattern: dict[str, int] = field(
        dict, "Alphas by module", "Other alphas for some modules, such as q_proj=32.", only=_LORA)
    target_parameters: list[str] = field(
        list, "Target parameters", "Parameters that are no linear layers, such as the fused "
        "experts mlp.experts.gate_up_proj of mixtures of experts.", only=_LORA)
    trainable_token_indices: list[int] = field(
        list, "Trained tokens", "Ids of tokens whose embeddings are trained beside the adapter.",
        only=_LORA)
    bias: Literal["none", "all", "lora_only"] = field(
        "none", "Biases", "Which biases are trained too.", only=_LORA)
    freeze: FreezeConfig = field(FreezeConfig, "Freeze", "Which layers are trained.",
                                 only={"tuner.type": ("freeze",)})
    adalora: AdaLoraConfig = field(AdaLoraConfig, "AdaLoRA", "Ranks that move to where they "
                                   "help.", only={"tuner.type": ("adalora",)})
    oft: OFTConfig = field(OFTConfig, "OFT", "Orthogonal fine-tuning.",
                           only={"tuner.type": ("oft",)})
    boft: BOFTConfig = field(BOFTConfig, "BOFT", "Orthogonal butterfly factors.",
                             only={"tuner.type": ("boft",)})
    vera: VeraConfig = field(VeraConfig, "VeRA", "Shared random matrices, trained vectors.",
                             only={"tuner.type": ("vera",)})
    randlora: RandLoraConfig = field(RandLoraConfig, "RandLoRA", "Sums of random bases.",
                                     only={"tuner.type": ("randlora",)})
    loha: LoHaConfig = field(LoHaConfig, "LoHa", "Hadamard products.",
                             only={"tuner.type": ("loha",)})
    lokr: LoKrConfig = field(LoKrConfig, "LoKr", "Kronecker products.",
                             only={"tuner.type": ("lokr",)})
    miss: MissConfig = field(MissConfig, "MiSS", "Shared shards.",
                             only={"tuner.type": ("miss",)})
    fourierft: FourierFTConfig = field(FourierFTConfig, "FourierFT", "Few frequencies.",
                                       only={"tuner.type": ("fourierft",)})
    vblora: VBLoRAConfig = field(VBLoRAConfig, "VB-LoRA", "A bank of vectors.",
                                 only={"tuner.type": ("vblora",)})
    ia3: IA3Config = field(IA3Config, "IA3", "Learned scales.", only={"tuner.type": ("ia3",)})
    delora: DeLoRAConfig = field(DeLoRAConfig, "DeLoRA", "Direction and strength apart.",
                                 only={"tuner.type": ("delora",)})
    gralora: GraLoRAConfig = field(GraLoRAConfig, "GraLoRA", "A grid of small adapters.",
                                   only={"tuner.type": ("gralora",)})
    c3a: C3AConfig = field(C3AConfig, "C3A", "Circular convolution.",
                           only={"tuner.type": ("c3a",)})
    road: RoadConfig = field(RoadConfig, "RoAd", "Rotations in the plane.",
                             only={"tuner.type": ("road",)})
    waveft: WaveFTConfig = field(WaveFTConfig, "WaveFT", "Few wavelet coefficients.",
                                 only={"tuner.type": ("waveft",)})
    prompt: PromptConfig = field(
        PromptConfig, "Prompt", "Trained virtual tokens.",
        only={"tuner.type": PROMPTED})

    @property
    def is_adapter(self) -> bool:
        """Whether weights are trained beside the frozen base, and the result is an adapter."""
        return self.type not in ("full", "freeze")

    @property
    def takes_out_of_base(self) -> bool:
        """Whether it is trained on a base that something was taken out of."""
        return self.type == "lora" and self.init_lora_weights in TAKEN_OUT \
            and not self.continue_from

    @property
    def is_layered(self) -> bool:
        """Whether the adapter stands beside single layers."""
        return self.type in LAYERED

    @property
    def is_prompt(self) -> bool:
        """Whether only virtual tokens before the text are trained."""
        return self.type in PROMPTED
