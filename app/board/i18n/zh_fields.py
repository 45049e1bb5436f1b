"""Chinese title and description of every field of the run config, by its path."""

from __future__ import annotations

from app.board.i18n import methods

FIELDS: dict[str, tuple[str, str]] = {
    "name": ("名称", "给人看的名称；编号由工作室生成。"),
    "objective": (
        "目标",
        "用标准答案做监督微调、用纯文本做预训练、用偏好对做 DPO，或用单个好坏回答做 KTO。"),
    "model.name_or_path": (
        "基座模型", "“starter”（随附）、Hugging Face 模型编号、本地文件夹，或某次运行的编号。"),
    "model.revision": ("版本", "模型仓库的分支、标签或提交；留空表示主分支。"),
    "model.quantization": (
        "量化", "冻结的基座权重如何存放：原样，或双重量化的 4 位 NF4（QLoRA，bitsandbytes）。"),
    "model.dtype": ("精度", "训练所用的数值格式。“auto”按设备选择并说明原因。"),
    "model.attn_implementation": ("注意力", "注意力的实现方式。“auto”由 Transformers 选择。"),
    "data.train": ("训练数据", "登记表中的名称、路径或 Hub 编号；混合时写 {name, weight}。"),
    "data.eval": ("评估数据", "只用来测量、从不参与训练的数据集。"),
    "data.mix_strategy": (
        "混合方式",
        "多个数据集依次相接，或按权重轮流取用，直到第一个（interleave_under）或最后一个"
        "（interleave_over）用完。"),
    "data.val_size": (
        "验证集划分",
        "没有指定评估数据时从训练数据中划出：小于 1 为比例，否则为行数；0 表示不划分。"),
    "data.template": (
        "对话模板", "“auto”使用分词器自带的模板；也可填随附模板的名称，如 chatml 或 llama3。"),
    "data.train_on_prompt": ("训练提示部分", "学习全部内容，包括用户和系统所说的。"),
    "data.mask_history": ("只训练最后一个回答", "对话中更早的回答只读不学。"),
    "data.deduplicate": (
        "重复的行", "去掉同一数据集中前面已有的行：完全相同，或几乎相同（MinHash）。始终计数。"),
    "data.near_threshold": ("相似度", "Jaccard 相似度达到多少时，两行算作近似重复。"),
    "data.filters.min_characters": ("最短", "去掉文字更少的行。"),
    "data.filters.max_characters": ("最长", "去掉文字更多的行。"),
    "data.filters.languages": ("语言", "只保留这些语言的行（ISO 639-1 代码，如 en、zh）。"),
    "data.filters.include": ("必须包含", "只保留文字中能找到这个正则表达式的行。"),
    "data.filters.exclude": ("不得包含", "去掉文字中能找到这个正则表达式的行。"),
    "data.max_length": ("最大长度", "更长的样本会被截短或丢弃，见“过长的样本”。"),
    "data.overlong": (
        "过长的样本", "从前面整轮截去、再截最后一个回答的末尾，或丢弃该样本。始终计数。"),
    "data.bad_rows": ("有误的行", "遇到无法使用的行时拒绝开始，或跳过这些行。始终计数。"),
    "data.max_samples": ("最多行数", "每个训练集只用前若干行；留空表示全部。"),
    "data.shuffle": ("打乱顺序", "按本次运行的随机种子打乱训练行。"),
    "data.preprocessing_num_workers": ("分词进程数", "留空：数据多时每个核心一个，否则一个。"),
    "tuner.type": ("方法", "LoRA 在冻结的权重旁训练小矩阵；全参数训练每一个权重。"),
    "tuner.r": ("LoRA 秩", "适配器的大小；通常为 8 到 64。"),
    "tuner.lora_alpha": ("LoRA alpha", "适配器的输出按 alpha / 秩缩放。"),
    "tuner.lora_dropout": ("LoRA dropout", "训练时置零的适配器输入比例。"),
    "tuner.target_modules": (
        "目标模块", "“all-linear”（除输出头外的每个线性层），或 q_proj, v_proj 这样的名称。"),
    "tuner.use_rslora": ("rsLoRA", "按 alpha / √秩 缩放，秩较大时更稳定（arXiv:2312.03732）。"),
    "tuner.use_dora": ("DoRA", "分别学习大小与方向（arXiv:2402.09353）；更慢。"),
    "training.num_train_epochs": ("轮数", "遍历训练数据的次数；设置了“最大步数”时不起作用。"),
    "training.max_steps": ("最大步数", "达到这么多优化步后停止；留空则按轮数。"),
    "training.per_device_train_batch_size": ("批大小", "每个设备每次前向的样本数。"),
    "training.per_device_eval_batch_size": ("评估批大小", "测量时每个设备的样本数。"),
    "training.gradient_accumulation_steps": ("梯度累积", "每个优化步包含的前向次数。"),
    "training.learning_rate": ("学习率", "学习率计划的最高值。"),
    "training.lr_scheduler_type": ("学习率计划", "预热之后学习率怎样变化。"),
    "training.warmup_ratio": ("预热比例", "学习率从 0 上升所占的步数比例。"),
    "training.warmup_steps": ("预热步数", "用步数代替比例。"),
    "training.optim": ("优化器", "8 位优化器来自 bitsandbytes。"),
    "training.weight_decay": ("权重衰减", "AdamW 的解耦衰减。"),
    "training.adam_beta1": ("Adam beta 1", "一阶动量的衰减。"),
    "training.adam_beta2": ("Adam beta 2", "二阶动量的衰减。"),
    "training.adam_epsilon": ("Adam epsilon", "保证除法有限的小量。"),
    "training.max_grad_norm": ("梯度裁剪", "梯度范数的上限；0 表示不裁剪。"),
    "training.gradient_checkpointing": (
        "梯度检查点", "反向传播时重新计算激活值：更省内存，约慢四分之一。"),
    "training.group_by_length": (
        "按长度分组", "把长度相近的行放进同一批：填充更少，在 CPU 上最快。"),
    "training.logging_steps": ("记录间隔", "损失曲线相邻两点之间的步数。"),
    "training.eval_steps": ("评估间隔", "两次评估之间的步数；留空表示只在最后评估一次。"),
    "training.save_steps": ("保存间隔", "两个检查点之间的步数；留空表示只在最后保存一次。"),
    "training.save_total_limit": ("保留的检查点", "保留最新的几个；至少总会保留两个。"),
    "training.stop_on_nan": ("NaN 时停止", "损失连续这么多步不是数时结束运行；0 表示继续。"),
    "training.seed": ("随机种子", "用于打乱、适配器和 dropout。"),
    "training.device": (
        "设备", "“auto”使用空闲的 GPU，否则使用 CPU；也可填“cpu”或 GPU 的 UUID。"),
    "dpo.beta": ("Beta", "模型与参考模型的贴近程度；越大越贴近。"),
    "dpo.loss_type": ("损失", "偏好损失；“sigmoid”即 DPO。"),
    "dpo.label_smoothing": ("标签平滑", "假定被颠倒的偏好所占的比例。"),
    "kto.beta": ("Beta", "模型与参考模型的贴近程度；越大越贴近。"),
    "kto.desirable_weight": ("好回答的权重", "好回答较少时调高。"),
    "kto.undesirable_weight": ("坏回答的权重", "坏回答较少时调高。"),
    "evaluation.exact_match": (
        "精确匹配", "训练前后让模型回答评估题目，统计与标准答案相同的回答。"),
    "evaluation.max_new_tokens": ("回答长度", "测量时回答的最大长度。"),
    "evaluation.limit": ("题目数", "只问前若干题；留空表示全部。"),
    "evaluation.samples": ("示例回答", "每次评估时回答并显示在运行页上的题目数。"),
    "tracking.backend": ("跟踪工具", "除工作室中的曲线外，同时记录到 SwanLab。"),
    "tracking.project": ("项目", "在跟踪工具中的项目名称。"),
    "tracking.mode": (
        "跟踪模式",
        "“offline”写入运行文件夹，无需账号；“cloud”需要在 SWANLAB_API_KEY 中提供密钥。"),
}
FIELDS.update(methods.together("FIELDS"))
