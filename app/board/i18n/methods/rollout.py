"""Sampled answers, rewards, teachers, in words."""

from __future__ import annotations

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, tuple[str, str]] = {
    "rollout.max_completion_length": ("回答长度", "采样的回答最长多少个 token。"),
    "rollout.temperature": ("温度", "采样温度；必须大于 0，否则同一提示的回答都相同。"),
    "rollout.top_p": ("Top p", "只从累计概率达到这个比例的最可能 token 中采样。"),
    "rollout.top_k": ("Top k", "只从这么多个最可能的 token 中采样；0 表示全部。"),
    "rollout.min_p": ("Min p", "去掉概率低于最可能 token 的这个比例的 token。"),
    "rollout.repetition_penalty": ("重复惩罚", "大于 1 时，已出现过的 token 更不容易再出现。"),
    "rollout.num_generations": (
        "每个提示的回答数",
        "对每个提示采样多少个回答来互相比较。批大小数的是回答：批大小 × 梯度累积必须是它的倍数。"),
    "rollout.mask_truncated_completions": (
        "不学被截断的回答", "达到最大长度而被截断的回答不参与学习。"),
    "rollout.rewards": (
        "奖励", "给回答打分的方式；多个奖励按权重相加，例如 exact_answer, "
        "length (weight=0.2, target=100)。"),
    "grpo.loss_type": (
        "损失",
        "如何汇总各 token 的损失：dapo 按整批的全部 token，grpo 按回答，dr_grpo 按最大长度，"
        "bnpo 按小批次；cispo、sapo、luspo、vespo 用别的权重。"),
    "grpo.importance_sampling_level": (
        "重要性采样", "按 token 或按整个回答计算比率（GSPO，arXiv:2507.18071）。"),
    "grpo.beta": ("KL 权重", "大于 0 时，让模型不偏离参考模型太远。"),
    "grpo.epsilon": ("裁剪", "比率裁剪的下界。"),
    "grpo.epsilon_high": (
        "裁剪上界",
        "比率裁剪的上界；留空表示与下界相同（DAPO：0.28）。对 cispo 是最大权重本身（通常为 5）。"),
    "grpo.scale_rewards": (
        "缩放", "优势除以组内的离散程度、整批的离散程度，或不缩放（Dr. GRPO）。"),
    "grpo.num_iterations": ("每批回答的更新次数", "每批回答用来学习几次。"),
    "rloo.beta": ("KL 权重", "大于 0 时，让模型不偏离参考模型太远。"),
    "rloo.epsilon": ("裁剪", "比率裁剪的界限。"),
    "rloo.normalize_advantages": ("标准化优势", "使整批的优势均值为 0、标准差为 1。"),
    "rloo.num_iterations": ("每批回答的更新次数", "每批回答用来学习几次。"),
    "teacher.name_or_path": (
        "教师模型",
        "“starter”、Hub 编号、本地文件夹，或某次运行的编号；必须与学生模型使用同一个分词器。"),
    "teacher.revision": ("教师模型的版本", "Hub 模型的分支、标签或提交。"),
    "teacher.beta": (
        "散度", "0 为前向 KL，1 为反向 KL，两者之间为广义 Jensen-Shannon 散度"
        "（arXiv:2306.13649）。"),
    "teacher.lmbda": ("自己的回答", "有多大比例的批次用学生自己的回答代替数据中的回答。"),
    "teacher.seq_kd": ("教师的回答", "用教师的回答代替数据中的回答来学习。"),
}
MESSAGES: dict[str, str] = {}
ADVICE: dict[str, str] = {}
REASONS: dict[str, str] = {}
