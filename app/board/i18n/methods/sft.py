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
MESSAGES: dict[str, str] = {
    "smoothing_loss": "损失“{loss}”自己为 token 或类别加权，没有标签平滑。",
    "kernels_twice": "Liger 与 Hub 内核替换的是同样的层。",
    "pure_bf16_dtype": "纯 bf16 以 bfloat16 保存并计算，而不是 {dtype}。",
    "fp8_adapter": "float8 层会占据适配器所依附的层的位置。",
    "fp8_dtype": "不用 float8 的部分以 bfloat16 计算，而不是 {dtype}。",
    "fp8_pure": "fp8 在自动混合精度下计算，纯 bf16 则不用它。",
    "lm_head_fused": "“{objective}”直接用输出头的权重计算，从不构造 logits：lm_head 上的适配器不会"
                     "得到训练。",
    "packing_family": "在“{family}”模型中，打包序列里的一行会看到它前面的行。",
    "packing_leaks": "这个模型用当前的注意力实现时，不同的行不能打包在一起：各行会互相影响。",
    "no_compiler": "torch.compile 需要{lacks}，这里没有。",
    "flex_attention_cpu": "FlexAttention 在 CPU 上没有反向传播。",
}
ADVICE: dict[str, str] = {
    "smoothing_loss": "请设为 0，或选择损失“{plain}”。",
    "kernels_twice": "请关闭其中一个。",
    "pure_bf16_dtype": "请把精度设为“auto”，或关闭纯 bf16。",
    "fp8_adapter": "请选择全参数训练，或关闭 fp8；QLoRA 更省内存。",
    "fp8_dtype": "请把精度设为“auto”，或关闭 fp8。",
    "fp8_pure": "请关闭其中一个。",
    "lm_head_fused": "请去掉 lm_head，或把它放进整体训练的模块。",
    "packing_family": "请关闭它；按长度分组能省去大部分填充。",
    "packing_leaks": "请把 training.packing 设为 none 并关闭 training.padding_free；按长度分组"
                     "能省去大部分填充。",
    "no_compiler": "请安装它，或关闭编译。",
    "flex_attention_cpu": "请选择“auto”。",
}
REASONS: dict[str, str] = {
    "{rows} rows became {packs} sequences of at most {capacity} tokens, {fill} full; a batch "
    "counts sequences":
        "{rows} 行装成了 {packs} 个最多 {capacity} 个 token 的序列，装满 {fill}；批大小按序列计",
    "exact, but no faster without FlashAttention: attention is computed over the whole batch":
        "结果精确，但没有 FlashAttention 时不会更快：注意力在整个批次上计算",
    "packed sequences are of one length as they are": "打包后的序列长度本来就一样",
    "an adapter lies on the head, which TRL's fused head would pass by":
        "输出头上有适配器，TRL 的融合输出头会绕过它",
    "label smoothing needs the logits, which TRL's fused head never builds":
        "标签平滑需要 logits，而 TRL 的融合输出头从不构造它们",
    "{loss} needs the logits, which TRL's fused head never builds":
        "{loss} 需要 logits，而 TRL 的融合输出头从不构造它们",
    "every step compares with the base, which training changes: the weights are held twice":
        "每一步都要与基座比较，而训练会改变它：权重保存两份",
    "pure bf16: weights, gradients and optimizer in bfloat16, without autocast":
        "纯 bf16：权重、梯度和优化器都用 bfloat16，不用自动混合精度",
}
