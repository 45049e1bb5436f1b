"""Tuners and quantization, in words."""

from __future__ import annotations

EN: dict[str, str] = {
    "choice.tuner.type.freeze": "Some layers", "choice.tuner.type.adalora": "AdaLoRA",
    "choice.tuner.type.oft": "OFT", "choice.tuner.type.boft": "BOFT",
    "choice.tuner.type.vera": "VeRA", "choice.tuner.type.randlora": "RandLoRA",
    "choice.tuner.type.ia3": "IA3", "choice.tuner.type.loha": "LoHa",
    "choice.tuner.type.lokr": "LoKr", "choice.tuner.type.miss": "MiSS",
    "choice.tuner.type.fourierft": "FourierFT", "choice.tuner.type.hra": "HRA",
    "choice.tuner.type.vblora": "VB-LoRA", "choice.tuner.type.shira": "SHiRA",
    "choice.tuner.type.hira": "HiRA", "choice.tuner.type.delora": "DeLoRA",
    "choice.tuner.type.gralora": "GraLoRA", "choice.tuner.type.c3a": "C3A",
    "choice.tuner.type.road": "RoAd", "choice.tuner.type.waveft": "WaveFT",
    "choice.tuner.type.ln_tuning": "Norms only",
    "choice.tuner.type.prompt_tuning": "Prompt tuning",
    "choice.tuner.type.prefix_tuning": "Prefix tuning", "choice.tuner.type.p_tuning": "P-tuning",
    "choice.model.quantization.fp4": "4-bit floats (FP4)",
    "choice.model.quantization.int8": "8-bit (LLM.int8)",
    "choice.tuner.init_lora_weights.default": "Default",
    "choice.tuner.init_lora_weights.gaussian": "Gaussian",
    "choice.tuner.init_lora_weights.pissa": "PiSSA",
    "choice.tuner.init_lora_weights.pissa_niter_16": "PiSSA, fast",
    "choice.tuner.init_lora_weights.olora": "OLoRA",
    "choice.tuner.init_lora_weights.orthogonal": "Orthogonal",
    "choice.tuner.init_lora_weights.eva": "EVA", "choice.tuner.init_lora_weights.loftq": "LoftQ",
    "choice.tuner.init_lora_weights.corda": "CorDA",
    "choice.tuner.bias.none": "None", "choice.tuner.bias.all": "All",
    "choice.tuner.bias.lora_only": "Of adapted layers",
    "choice.tuner.miss.init_weights.balance": "Balanced",
    "choice.tuner.miss.init_weights.bat": "Bat", "choice.tuner.miss.init_weights.mini": "Mini",
    "choice.tuner.road.variant.road_1": "One", "choice.tuner.road.variant.road_2": "Two",
    "choice.tuner.road.variant.road_4": "Four",
}
ZH: dict[str, str] = {
    "choice.tuner.type.freeze": "部分层", "choice.tuner.type.adalora": "AdaLoRA",
    "choice.tuner.type.oft": "OFT", "choice.tuner.type.boft": "BOFT",
    "choice.tuner.type.vera": "VeRA", "choice.tuner.type.randlora": "RandLoRA",
    "choice.tuner.type.ia3": "IA3", "choice.tuner.type.loha": "LoHa",
    "choice.tuner.type.lokr": "LoKr", "choice.tuner.type.miss": "MiSS",
    "choice.tuner.type.fourierft": "FourierFT", "choice.tuner.type.hra": "HRA",
    "choice.tuner.type.vblora": "VB-LoRA", "choice.tuner.type.shira": "SHiRA",
    "choice.tuner.type.hira": "HiRA", "choice.tuner.type.delora": "DeLoRA",
    "choice.tuner.type.gralora": "GraLoRA", "choice.tuner.type.c3a": "C3A",
    "choice.tuner.type.road": "RoAd", "choice.tuner.type.waveft": "WaveFT",
    "choice.tuner.type.ln_tuning": "仅归一化层",
    "choice.tuner.type.prompt_tuning": "提示微调", "choice.tuner.type.prefix_tuning": "前缀微调",
    "choice.tuner.type.p_tuning": "P-tuning",
    "choice.model.quantization.fp4": "4 位浮点（FP4）",
    "choice.model.quantization.int8": "8 位（LLM.int8）",
    "choice.tuner.init_lora_weights.default": "默认",
    "choice.tuner.init_lora_weights.gaussian": "高斯",
    "choice.tuner.init_lora_weights.pissa": "PiSSA",
    "choice.tuner.init_lora_weights.pissa_niter_16": "PiSSA（快速）",
    "choice.tuner.init_lora_weights.olora": "OLoRA",
    "choice.tuner.init_lora_weights.orthogonal": "正交",
    "choice.tuner.init_lora_weights.eva": "EVA", "choice.tuner.init_lora_weights.loftq": "LoftQ",
    "choice.tuner.init_lora_weights.corda": "CorDA",
    "choice.tuner.bias.none": "不训练", "choice.tuner.bias.all": "全部",
    "choice.tuner.bias.lora_only": "仅被适配的层",
    "choice.tuner.miss.init_weights.balance": "均衡",
    "choice.tuner.miss.init_weights.bat": "Bat", "choice.tuner.miss.init_weights.mini": "Mini",
    "choice.tuner.road.variant.road_1": "一个", "choice.tuner.road.variant.road_2": "两个",
    "choice.tuner.road.variant.road_4": "四个",
}
FIELDS: dict[str, tuple[str, str]] = {
    "model.quantization": (
        "量化", "冻结的基座权重如何存放：原样、4 位（nf4 即 QLoRA 所用，或 fp4）或 8 位（LLM.int8）"
        "，由 bitsandbytes 完成。"),
    "model.double_quantization": ("双重量化", "连缩放系数也量化：每个权重再省 0.4 位。"),
    "model.adapters": (
        "先合并的适配器", "训练前依次合并进基座的已完成适配器，写运行编号或文件夹。"),
    "tuner.type": (
        "方法", "LoRA 在冻结的权重旁训练小矩阵；全参数训练每一个权重，部分层只训练若干层；"
        "其余是 PEFT 的其他适配器。"),
    "tuner.r": ("秩", "适配器的大小；通常为 8 到 64。"),
    "tuner.lora_alpha": ("Alpha", "适配器的输出按 alpha / 秩缩放。"),
    "tuner.lora_dropout": ("适配器 dropout", "训练时置零的适配器输入比例。"),
    "tuner.target_modules": (
        "目标模块", "“all-linear”（除输出头外的每个线性层），或 q_proj, v_proj 这样的名称。"),
    "tuner.modules_to_save": (
        "整体训练的模块", "与适配器一起整体训练并保存的模块，例如 embed_tokens、lm_head。"),
    "tuner.layers_to_transform": ("层", "要适配的层号，从 0 开始；留空表示全部。"),
    "tuner.continue_from": (
        "继续训练适配器", "在一个已完成的适配器（运行编号或文件夹）上继续训练，而不是新建。"),
    "tuner.init_lora_weights": (
        "初始化", "矩阵如何开始：默认（乘积为零）、由权重奇异向量得到的 PiSSA（arXiv:2404.02948）、"
        "OLoRA（arXiv:2406.01775）、由数据激活得到的 EVA（arXiv:2410.07170）、用于 4 位基座的 "
        "LoftQ（arXiv:2310.08659）、CorDA（arXiv:2406.05223）。"),
    "tuner.use_rslora": ("rsLoRA", "按 alpha / √秩 缩放，秩较大时更稳定（arXiv:2312.03732）。"),
    "tuner.use_dora": ("DoRA", "分别学习大小与方向（arXiv:2402.09353）；更慢。"),
    "tuner.loraplus_lr_ratio": (
        "LoRA+", "B 的学习率相对 A 的倍数（arXiv:2402.12354）；通常为 16，留空表示相同。"),
    "tuner.lora_fa": ("LoRA-FA", "冻结 A、只训练 B（arXiv:2308.03303）：占用内存更少。"),
    "tuner.rank_pattern": ("按模块设秩", "某些模块的不同秩，例如 q_proj=16、layers.0.mlp.*=4。"),
    "tuner.alpha_pattern": ("按模块设 alpha", "某些模块的不同 alpha，例如 q_proj=32。"),
    "tuner.target_parameters": (
        "目标参数", "非线性层的参数，例如混合专家模型中合并存放的专家 mlp.experts.gate_up_proj。"),
    "tuner.trainable_token_indices": ("训练的词元", "与适配器一起训练其嵌入的词元编号。"),
    "tuner.bias": ("偏置", "哪些偏置也参加训练。"),
    "tuner.freeze.layers": ("训练的层数", "最后这么多层；负数表示最前面这么多层。"),
    "tuner.freeze.modules": ("训练的模块", "层中只训练这些部分，例如 mlp、q_proj；留空表示全部。"),
    "tuner.freeze.extra_modules": ("此外", "层之外的模块，例如 embed_tokens、norm、lm_head。"),
    "tuner.adalora.init_r": ("初始秩", "每一层开始时的秩。"),
    "tuner.adalora.target_r": ("平均秩", "最终保留的平均秩。"),
    "tuner.adalora.tinit": ("开始于", "秩开始移动之前的步数。"),
    "tuner.adalora.tfinal": ("稳定", "秩不再变化的最后若干步。"),
    "tuner.adalora.deltaT": ("移动间隔", "两次移动之间的步数。"),
    "tuner.oft.oft_block_size": ("块大小", "正交块的大小；须整除各层宽度。"),
    "tuner.oft.use_cayley_neumann": ("Cayley-Neumann", "近似 Cayley 变换：更快。"),
    "tuner.boft.boft_block_size": ("块大小", "须整除各层宽度。"),
    "tuner.vera.d_initial": ("初值", "所训练向量 d 的初值。"),
    "tuner.vera.save_projection": (
        "保存投影", "把随机矩阵与适配器一起保存，使其在任何地方加载结果相同。"),
    "tuner.randlora.sparse": ("稀疏基", "由 -1、0 和 1 组成的随机基。"),
    "tuner.loha.rank_dropout": ("秩 dropout", "被略去的秩的比例。"),
    "tuner.lokr.decompose_factor": ("因子", "较小因子的大小；-1 表示自动。"),
    "tuner.lokr.decompose_both": ("两个因子", "较小的因子也写成低秩乘积。"),
    "tuner.miss.init_weights": ("形式", "均衡；bat 与权重相乘；mini 共享更多。"),
    "tuner.fourierft.n_frequency": ("频率数", "每层训练的系数个数。"),
    "tuner.fourierft.scaling": ("缩放", "更新的倍数。"),
    "tuner.hra.apply_GS": ("Gram-Schmidt", "使各反射正交。"),
    "tuner.vblora.num_vectors": ("向量数", "共享向量库的大小。"),
    "tuner.vblora.vector_length": ("向量长度", "须整除各层宽度。"),
    "tuner.ia3.feedforward_modules": (
        "前馈模块", "缩放输入而不是输出的目标模块；留空则取前馈块的收尾层（down_proj）。"),
    "tuner.delora.delora_lambda": ("Lambda", "初始强度：权重移动幅度的上限。"),
    "tuner.gralora.gralora_k": ("分块数", "每个权重切成该数乘该数的块；须整除秩和各层宽度。"),
    "tuner.c3a.block_size": ("块大小", "须整除各层的输入与输出宽度。"),
    "tuner.road.variant": ("变体", "每对输出有几个角度与缩放：1、2 或 4。"),
    "tuner.road.group_size": ("组大小", "输出在该大小的组内配对；须为偶数并整除各层宽度。"),
    "tuner.waveft.n_frequency": ("系数", "每层训练的小波系数个数。"),
    "tuner.waveft.scaling": ("缩放", "更新的倍数。"),
    "tuner.prompt.num_virtual_tokens": ("虚拟词元", "放在文本之前、参加训练的词元数。"),
    "tuner.prompt.encoder_hidden_size": (
        "编码器宽度", "p-tuning 与前缀微调的编码器隐藏宽度；留空则取模型的宽度。"),
    "tuner.prompt.prefix_projection": ("投影", "由一个小网络生成前缀。"),
    "tuner.prompt.init_text": ("初始文字", "虚拟词元从这些文字开始。"),
}
MESSAGES: dict[str, str] = {}
ADVICE: dict[str, str] = {}
REASONS: dict[str, str] = {}
