"""Sampled answers, rewards, teachers, in words."""

from __future__ import annotations

EN: dict[str, str] = {
    "samples.reward": "Reward:",
    "warning.equal_rewards": "All answers are rewarded alike",
    "warning.teacher_is_student": "The teacher is the student",
}
ZH: dict[str, str] = {
    "samples.reward": "奖励：",
    "warning.equal_rewards": "所有回答的奖励都相同",
    "warning.teacher_is_student": "教师就是学生模型",
}
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
    "grpo.beta": (
        "KL 权重", "大于 0 时，让模型不偏离参考模型太远；按比率加权（arXiv:2512.02556）。"),
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
MESSAGES: dict[str, str] = {
    "answers_per_step": "一步学习 {answers} 个回答，不是每个提示 {group} 个回答的整数倍。",
    "importance_sampling_of_loss": "损失“{loss}”是按 {wanted} 比率定义的。",
    "cispo_bound": "对 cispo，裁剪上界是最大权重本身：小于 1 会削弱每个回答。",
    "rewards_none": "{objective} 从奖励中学习，但没有指定任何奖励。",
    "rewards_weigh_nothing": "所有奖励的权重都是 0：什么也学不到。",
    "reward_needs": "奖励“{reward}”缺少“{name}”。",
    "reward_has_no_use": "奖励“{reward}”用不到“{name}”。",
    "reward_package": "这个奖励需要的软件包没有安装。{english}",
    "reward_file": "无法读取奖励的 Python 文件。{english}",
    "reward_consent": "奖励的 Python 文件是代码，还没有人同意运行它。{english}",
    "reward_changed": "奖励的 Python 文件在同意之后被改动过。{english}",
    "reward_function": "奖励函数出错了。{english}",
    "reward_time": "奖励函数没有在规定时间内完成。{english}",
    "reward_count": "奖励返回的分数个数与回答个数不同。{english}",
    "reward_not_finite": "奖励返回的不是有限的数。{english}",
    "reward_lengths": "提示、回答和参考答案的个数不一致。{english}",
    "reward_language": "不认识这种语言。{english}",
    "reward_schema": "JSON schema 无法使用。{english}",
    "reward_tokens": "这个奖励按 token 计算，但没有得到 token。",
    "reward_tokenizer": "奖励模型的分词器与作答的模型不同。{english}",
    "reward_references": "奖励“exact_answer”要与参考答案比较，但没有一行有参考答案。",
    "json_text": "这不是 JSON。{english}",
    "judge_address": "这不是评判服务器的地址。{english}",
    "judge_not_allowed": "“{url}”不在这个工作室允许询问的评判服务器之中。",
    "judge_unreachable": "评判服务器没有回答。{english}",
    "rollout_room": "提示与回答加起来超过了模型能读的长度。{english}",
    "teacher_none": "蒸馏要向教师模型学习，但没有指定教师。",
    "teacher_tokenizer": "教师模型的分词器与学生模型不同。{english}",
    "teacher_rows": "教师模型与学生模型的词表行数不同。{english}",
    "seq_kd_never": "自己的回答占比为 1 时，教师从不作答。",
    "gkd_prompt": "连提示也学习时，就没有可以作答的内容了。",
}
ADVICE: dict[str, str] = {
    "answers_per_step": "批大小数的是回答而不是提示：把批大小设为 {size}，或改变每个提示的回答数。",
    "importance_sampling_of_loss": "请选择“{wanted}”，或换一种损失。",
    "cispo_bound": "请设为 5（arXiv:2510.13786）。",
    "rewards_none": "请至少指定一个，例如 exact_answer。",
    "rewards_weigh_nothing": "请至少给其中一个设置权重。",
    "reward_needs": "请补上。", "reward_has_no_use": "请去掉它。",
    "reward_file": "请检查路径。",
    "reward_consent": "请先阅读该文件，再把 sha256 设为它的校验值，表示允许它按现在的内容运行。",
    "reward_changed": "请重新阅读，再把 sha256 设为新的校验值。",
    "reward_function": "请修正文件并重新同意；运行可以继续。",
    "reward_time": "请修正文件并重新同意；运行可以继续。",
    "reward_count": "每个回答都要返回一个分数。",
    "reward_not_finite": "请返回有限的数；None 表示不计这个回答。",
    "reward_schema": "请修正 schema：所有内容都写在其中，不会下载任何东西。",
    "reward_tokenizer": "请用同一个基座训练奖励模型。",
    "reward_references": "请指定正确答案所在的列，或换一种奖励。",
    "json_text": "请修正。",
    "judge_address": "写作 http://127.0.0.1:8000/v1 这样；密钥放在 FINESTRA_JUDGE_KEY 中。",
    "judge_not_allowed": "由管理员在 {variable} 中列出，用空格分开。",
    "judge_unreachable":
        "请启动它，或改正地址、模型和 FINESTRA_JUDGE_KEY；再从最后一个检查点继续。",
    "rollout_room": "请减小 rollout.max_completion_length 或 data.max_length。",
    "teacher_none": "请指定一个更大的或训练过的、分词器相同的模型。",
    "teacher_tokenizer": "请选择同一系列的教师模型：各 token 的编号必须相同。",
    "teacher_rows": "请选择 config 中 vocab_size 相同的教师模型。",
    "seq_kd_never": "请减小 lmbda，或关闭教师的回答。",
    "gkd_prompt": "请关闭它，或只学习数据中的回答：lmbda 为 0，关闭 seq_kd。",
}
REASONS: dict[str, str] = {
    "a step learns from {answers} answers, those to {prompts} prompts: "
    "the batch size counts answers":
        "一步学习 {answers} 个回答，来自 {prompts} 个提示：批大小数的是回答",
}
