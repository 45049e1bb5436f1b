"""Optimizers, schedules, hygiene, the learning rate finder, in words."""

from __future__ import annotations

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, tuple[str, str]] = {
    "training.optim": ("优化器", "8 位优化器来自 bitsandbytes；有些需要附加安装“optim”。"),
    "training.weight_decay": ("权重衰减", "解耦衰减；从不用于归一化层和偏置。"),
    "training.schedule.num_cycles": ("周期数", "余弦重新开始的次数。"),
    "training.schedule.min_lr_rate": ("最低比例", "结束时剩下的学习率，占最高值的比例。"),
    "training.schedule.power": ("幂次", "多项式的幂次；1 即线性。"),
    "training.schedule.decay_ratio": ("衰减段", "末尾学习率下降所占的步数比例。"),
    "training.schedule.decay_type": ("衰减形式", "末尾学习率怎样下降。"),
    "training.schedule.patience": ("耐心", "学习率下降之前允许多少次评估没有进步。"),
    "training.schedule.factor": ("系数", "学习率下降时所乘的数。"),
    "training.projection.rank": ("秩", "梯度保留的维数。"),
    "training.projection.update_proj_gap": ("更换投影间隔", "两次投影之间的步数。"),
    "training.projection.scale": (
        "缩放", "更新量所乘的数，APOLLO 取其平方根；留空时 GaLore 为 0.25，APOLLO 为 1。"),
    "training.projection.target_modules": (
        "模块", "梯度要投影的模块的名称或模式；留空表示除输出头以外的所有线性层。"),
    "training.badam.switch_every": ("换块间隔", "训练同一块的步数。"),
    "training.badam.switch_mode": ("顺序", "下一块怎样选取。"),
    "training.muon.momentum": ("动量", "用于矩阵的更新。"),
    "training.muon.adamw_learning_rate": (
        "AdamW 的学习率", "矩阵以外的权重所用的学习率；留空表示相同。"),
    "training.ema.type": (
        "权重平均", "ema 是指数平均；bema 修正它的滞后（arXiv:2508.00180）。"),
    "training.ema.decay": ("衰减", "每次更新时平均值保留的比例。"),
    "training.ema.update_every": ("更新间隔", "两次更新之间的步数。"),
    "training.early_stopping_patience": (
        "提前停止", "连续这么多次评估没有进步就结束；留空则从不提前停止。"),
    "training.early_stopping_threshold": (
        "最小进步", "评估损失（或代替它的分数）至少改善多少才算进步。"),
    "training.load_best_model_at_end": (
        "保留最佳", "以评估最好的检查点为结果，而不是最后一个。"),
    "training.neftune_noise_alpha": (
        "NEFTune", "训练时给嵌入加的噪声（arXiv:2310.05914）；常用 5，留空则不加。"),
    "training.label_smoothing_factor": ("标签平滑", "分给所有其他词元的概率比例。"),
    "lr_finder.enabled": (
        "寻找学习率", "不训练：逐步提高学习率，画出对应的损失，并建议一个值。"),
    "lr_finder.steps": ("步数", "扫描的长度。"),
    "lr_finder.lowest": ("最低学习率", "扫描从这里开始。"),
    "lr_finder.highest": ("最高学习率", "扫描到这里结束，除非损失先行发散。"),
    "evaluation.prompts": (
        "固定问题", "自己的问题，每行一个；每次评估时先于数据中的问题提出。"),
}
MESSAGES: dict[str, str] = {
    "layerwise_accumulation": "“{optim}”在反向传播中就更新权重，无法累积梯度。",
    "layerwise_clipping": "“{optim}”随即丢弃每个梯度，永远得不到整体范数。",
    "layerwise_float16": "“{optim}”在除去 float16 的损失缩放之前就已更新权重。",
    "layerwise_adalora": "AdaLoRA 按梯度衡量各秩，而此时“{optim}”已丢弃梯度。",
    "layerwise_fp16": "该优化器在除去 float16 的损失缩放之前就已更新权重。",
    "projection_target": "没有名为 {name} 的线性层。",
    "optimizer_needs_full":
        "“{optim}”在训练模型自身的矩阵时才省内存；“{tuner}”训练的是旁边的小矩阵。",
    "optimizer_package": "该优化器所需的软件包没有安装。",
    "optimizer_targets": "没有可用的线性层。",
    "schedule_free_schedule": "“{optim}”代替了学习率计划；“{schedule}”会再次改变学习率。",
    "schedule_free_average": "“{optim}”本身就会平均权重。",
    "schedule_free_best": "“{optim}”的检查点保存的是取梯度的点，而不是被测量的平均值。",
    "needs_evaluations": "这一项要看评估结果，而训练途中没有评估。",
    "warmup_unused": "学习率计划“{schedule}”没有预热。",
    "warmup_too_long": "总共 {total} 步，预热 {steps} 步后就没有以最高学习率训练的步了。",
    "finder_range": "从 {lowest} 到 {highest} 没有可寻找的范围。",
    "finder_objective": "“{objective}”的损失不反映模型的好坏：扫描它找不到什么。",
    "finder_no_slope": "扫描中损失从未下降，无法建议学习率。",
}
ADVICE: dict[str, str] = {
    "layerwise_accumulation": "把梯度累积设为 1 并增大批大小，或换一个保留梯度的优化器。",
    "layerwise_clipping": "把梯度裁剪设为 0，或换一个保留梯度的优化器。",
    "layerwise_float16": "选择 bfloat16 或 float32，或换一个优化器。",
    "layerwise_adalora": "选择 AdamW，或换一种微调方法。",
    "layerwise_fp16": "使用 bfloat16 或 float32，或换一个优化器。",
    "projection_target": "请留空，或填写 q_proj、mlp 这样的名称。",
    "optimizer_needs_full": "选择微调方法“full”或“freeze”，或使用 AdamW。",
    "optimizer_package": "安装它：pip install 'finestra[optim]'；或换一个优化器。",
    "optimizer_targets": "填写该模型的模块名，例如 q_proj，或留空。",
    "schedule_free_schedule": "选择计划“constant”；预热仍然有效。",
    "schedule_free_average": "选择“none”。",
    "schedule_free_best": "关闭它：结果就是结束时的平均值。",
    "needs_evaluations": "指定评估数据或验证集划分，并说明每隔多少步评估。",
    "warmup_unused": "将步数留空，或选择“constant_with_warmup”。",
    "warmup_too_long": "减少预热步数，或增加总步数。",
    "finder_range": "让最高学习率至少是最低的十倍。",
    "finder_objective": "关闭它；常用 1e-6 到 1e-5，配合 LoRA 时为其十倍。",
    "finder_no_slope": "扩大扫描范围，或检查数据。",
}
REASONS: dict[str, str] = {
    "paged optimizers move their state between GPU and host memory; without CUDA there is nothing "
    "to move": "分页优化器在显存与内存之间移动状态；没有 CUDA 就无可移动",
    "training.ema is on: it is what the evaluations measured":
        "已开启权重平均：评估测量的就是它",
    "its evaluation loss {loss} is the lowest of the run": "它的评估损失 {loss} 是本次运行中最低的",
    "{n} evaluations without progress beyond the evaluation loss {loss}":
        "连续 {n} 次评估没有比评估损失 {loss} 更进步",
    "the loss falls fastest at {rate}": "学习率为 {rate} 时损失下降最快",
    "a tenth of {rate}, where the loss is lowest": "损失最低处的学习率 {rate} 的十分之一",
    "a second point and a float32 moment for each trained weight":
        "每个被训练的权重一个辅助点和一个 float32 动量",
    "a second point for each trained weight": "每个被训练的权重一个辅助点",
    "three float32 moments for each trained weight": "每个被训练的权重三个 float32 动量",
    "one float32 moment for each trained weight": "每个被训练的权重一个 float32 动量",
    "a float32 sum of squares for each trained weight": "每个被训练的权重一个 float32 平方和",
    "a float32 mean of squares for each trained weight": "每个被训练的权重一个 float32 平方均值",
    "LOMO keeps nothing": "LOMO 不保留状态",
    "{n} {bits} moments for each weight of large tensors": "大张量的每个权重 {n} 个 {bits} 动量",
    "{n} {bits} moments for each weight of large tensors, moved to host memory when the GPU is "
    "full": "大张量的每个权重 {n} 个 {bits} 动量，显存不足时移到内存",
    "moments, stand-in and basis of rank {rank} for each matrix":
        "每个矩阵的动量、替身和秩为 {rank} 的基",
    "AdaLomo keeps a row and a column for each matrix": "AdaLomo 为每个矩阵保留一行和一列",
    "two float32 moments for the block in training": "正在训练的块的每个权重两个 float32 动量",
    "a float32 moment for each trained weight, another for each row":
        "每个被训练的权重一个 float32 动量，每行再一个",
    "one float32 moment for each weight of a matrix, two for all others":
        "矩阵的每个权重一个 float32 动量，其余的两个",
    "float32, of one tensor at a time: the largest has {n} weights":
        "float32，一次只有一个张量：最大的有 {n} 个权重",
    "float32, of one block at a time: the largest has {n} weights":
        "float32，一次只有一个块：最大的有 {n} 个权重",
    "a float32 mean of each trained weight": "每个被训练的权重一个 float32 平均值",
    "a float32 mean of each trained weight, and where it began":
        "每个被训练的权重一个 float32 平均值及其起点",
}
