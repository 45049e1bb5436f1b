"""Preference objectives, in words."""

from __future__ import annotations

_SMOOTHING = ("标签平滑", "假定被颠倒的偏好所占的比例。")

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, tuple[str, str]] = {
    "dpo.mixture": (
        "混合损失", "带权重的多种损失，例如 sigmoid=0.8、bco_pair=0.2、sft=1"
        "（MPO，arXiv:2411.10442），代替单一损失。"),
    "dpo.f_divergence_type": ("散度", "如何度量与参考模型的距离（f-DPO，arXiv:2309.16240）。"),
    "dpo.f_alpha_divergence_coef": ("散度的 alpha", "alpha 散度的系数。"),
    "dpo.ld_alpha": (
        "长度脱敏", "超出较短回答长度的词元的权重（LD-DPO，arXiv:2409.06411）；留空表示一视同仁。"),
    "dpo.use_weighting": (
        "加权偏好对", "按模型认为一对回答有多可能来加权（WPO，arXiv:2406.11827）。"),
    "dpo.reference_free": (
        "不用参考模型", "与均匀的参考而非原来的模型比较：更省内存，约束更弱。"),
    "dpo.precompute_ref_log_probs": (
        "预先计算参考", "训练之前询问一次参考模型，之后不再保留它。"),
    "dpo.sync_ref_model": (
        "移动的参考",
        "让参考模型每隔若干步跟随模型（TR-DPO，arXiv:2404.09656）；仅用于全参数微调。"),
    "dpo.ref_model_mixup_alpha": ("模型所占比例", "每次更新时模型有多少进入参考模型。"),
    "dpo.ref_model_sync_steps": ("参考更新间隔", "两次更新参考模型之间的步数。"),
    "dpo.discopop_tau": ("DiscoPOP 温度", "对数比的温度（arXiv:2406.08414）。"),
    "orpo.beta": ("几率比的权重", "在回答自身的损失之外，偏好占多大分量（论文中的 lambda）。"),
    "simpo.beta": ("Beta", "奖励的尺度；通常为 2 到 10。"),
    "simpo.simpo_gamma": ("目标差距", "被选回答的奖励应当领先多少。"),
    "simpo.cpo_alpha": (
        "回答损失的权重", "大于 0 时加入被选回答自身的损失（CPO-SimPO）。"),
    "simpo.label_smoothing": _SMOOTHING,
    "cpo.beta": ("Beta", "偏好的尺度。"),
    "cpo.loss_type": ("损失", "偏好损失。"),
    "cpo.cpo_alpha": ("回答损失的权重", "被选回答自身的损失占多大分量。"),
    "cpo.label_smoothing": _SMOOTHING,
    "reward.center_rewards_coefficient": (
        "居中", "把平均分数拉向 0（arXiv:2312.09244，式 2）；通常取 0.01，留空表示不加约束。"),
}
MESSAGES: dict[str, str] = {
    "label_smoothing_shared": "“sigmoid”和“{other}”所说的标签平滑不是一回事。",
    "exo_smoothing": "损失“exo_pair”要取标签平滑的对数，而它是 0。",
    "divergence_loss": "损失“{loss}”单独看待每个回答：只有“reverse_kl”对它有定义。",
    "weighting_loss": "损失“{loss}”无法给偏好对加权。",
    "free_loss": "损失“{loss}”需要参考：它看的是每个回答移动了多远。",
    "free_divergence": "没有参考，就无法度量散度。",
    "free_reference": "这个运行没有参考：没有可询问或可移动的对象。",
    "moving_adapter": "使用适配器时，参考就是基座本身，它不会移动。",
    "moving_in_advance": "会移动的参考无法预先询问。",
    "aot_single_row": "AOT 按名次比较同一批次的各行。",
    "gives_scores": "这个运行训练的模型给出分数，而不是文字。",
    "base_scores": "它给出分数：没有可以学习或用来回答的文字。",
    "no_scores": "它用文字回答，而不给出分数。",
    "scorer_missing": "那里没有训练完成的奖励模型。",
    "head_missing": "这种架构在这里不能给出分数。",
    "head_lost": "适配器里没有“score”层。",
    "continue_head": "这个适配器与训练目标不是同一类：一个给出分数，一个给出文字。",
    "label_smoothing_cpo": "损失“{loss}”没有标签平滑。",
}
ADVICE: dict[str, str] = {
    "label_smoothing_loss": (
        "请设为 0，或选择“sigmoid”“robust”“exo_pair”“aot”“aot_unpaired”之一。"),
    "label_smoothing_shared": "请从混合中去掉其中一个，或设为 0。",
    "exo_smoothing": "请设为大于 0 的值；其论文使用 0.001。",
    "divergence_loss": (
        "请选择“reverse_kl”，或“sigmoid”“sigmoid_norm”“hinge”“ipo”“exo_pair”“robust”"
        "“discopop”“sft”之一。"),
    "weighting_loss": "请关闭加权偏好对，或选择其他损失，例如“sigmoid”。",
    "free_loss": (
        "请关闭“不用参考模型”，或选择“sigmoid”“sigmoid_norm”“hinge”“ipo”“exo_pair”“robust”"
        "“aot”“sft”之一。"),
    "free_divergence": "请选择“reverse_kl”，或关闭“不用参考模型”。",
    "free_reference": "请关闭它，或关闭“不用参考模型”。",
    "moving_adapter": "请关闭它，或训练整个模型。",
    "moving_in_advance": "请关闭二者之一。",
    "aot_single_row": "请将批次大小设为至少 2；多几行效果更好。",
    "gives_scores": "请与其他运行对话。",
    "base_scores": "请从训练它时所用的模型开始。",
    "no_scores": "请填写目标为“reward”的运行，或 ...ForSequenceClassification 类的模型。",
    "scorer_missing": "请填写目标为“reward”的已完成的运行，或一个文件夹。",
    "head_missing": "请换一个基座模型。",
    "head_lost": "请重新训练奖励模型。",
    "continue_head": "请继续训练同类的适配器，或新建一个。",
    "label_smoothing_cpo": "请设为 0，或选择“sigmoid”。",
}
REASONS: dict[str, str] = {}
