"""Supervised fine-tuning, pretraining, classification, packing and memory, in words."""

from __future__ import annotations

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, tuple[str, str]] = {
    "sft.loss_type": (
        "损失", "nll 即交叉熵；dft 按模型给出的概率为 token 加权（arXiv:2508.05629）；eaft 按模型的"
        "不确定性加权（arXiv:2601.02151）；asft 是不让模型远离基座的 dft（arXiv:2509.23753）。"),
    "sft.asft_alpha": ("贴近基座", "与基座之间 KL 散度的权重。"),
    "sft.eaft_alpha": ("锐度", "不确定性的指数。"),
    "classification.labels": ("类别", "按顺序排列的类别名；留空则取数据中的类别并排序。"),
    "classification.loss_type": ("损失", "focal 更关注仍然判错的行（arXiv:1708.02002）。"),
    "classification.focal_gamma": ("聚焦", "容易的行被削弱的程度。"),
    "classification.balance": ("平衡类别", "越少见的类别权重越大。"),
    "training.neftune_noise_alpha": (
        "NEFTune", "训练时给嵌入加噪声（arXiv:2310.05914）；常用 5，留空则不加。"),
    "training.label_smoothing_factor": ("标签平滑", "分给其他所有 token 或类别的概率份额。"),
    "training.packing": (
        "打包", "把多行装进一个最大长度的序列，各行互不可见：bfd 以整行装得最满，wrapped 会切开"
        "行、不留空隙。纯文本总是切成满块。"),
    "training.padding_free": (
        "免填充", "把一批中的各行首尾相接而不是填充；有 FlashAttention 才会更快。"),
    "training.gradient_checkpointing_every": (
        "检查点间隔", "每 n 层才做一次梯度检查点：在内存与速度之间取舍。"),
    "training.activation_offloading": (
        "激活值卸载", "反向传播之前把激活值放在主机内存里；仅限 CUDA。"),
    "training.use_liger_kernel": ("Liger 内核", "融合内核：更省内存，更快；仅限 CUDA。"),
    "training.use_kernels": ("Hub 内核", "kernels 包提供的内核；仅限 CUDA。"),
    "training.torch_compile": ("编译", "torch.compile：开头慢，之后更快；不适合短的运行。"),
    "training.pure_bf16": (
        "纯 bf16", "权重和优化器都用 bfloat16 做全参数微调：内存减半，很小的更新可能丢失。"),
    "training.fp8": ("fp8", "用 8 位浮点做矩阵乘法（torchao）；需要计算能力 8.9 或更新的 GPU。"),
}
MESSAGES: dict[str, str] = {}
ADVICE: dict[str, str] = {}
REASONS: dict[str, str] = {}
