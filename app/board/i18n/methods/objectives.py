"""Data of every objective, in words."""

from __future__ import annotations

EN: dict[str, str] = {
    "row.class": "Class:", "row.asked": "nothing is learned: the model answers it",
    "row.classed": "the class is learned, no token is",
    "view.usual": "The most usual that fits",
    "warning.class_without_rows": "A class has no training rows"}
ZH: dict[str, str] = {
    "row.class": "类别：", "row.asked": "不参与训练：由模型作答",
    "row.classed": "学习的是类别，不是 token",
    "view.usual": "适合此数据的常用目标",
    "warning.class_without_rows": "有的类别没有训练数据"}
FIELDS: dict[str, tuple[str, str]] = {}
_PAIRS = "请选择带“chosen”和“rejected”的数据，或选择适合这些数据的目标。"
_PROMPTS = "请选择带提示的数据（问答或对话也可以），或选择适合这些数据的目标。"
MESSAGES: dict[str, str] = {
    "shape_for_reward": "“{name}”的数据不能用于训练奖励模型。{english}",
    "shape_for_orpo": "“{name}”的数据不能用于 ORPO。{english}",
    "shape_for_simpo": "“{name}”的数据不能用于 SimPO。{english}",
    "shape_for_cpo": "“{name}”的数据不能用于 CPO。{english}",
    "shape_for_grpo": "“{name}”的数据不能用于 GRPO。{english}",
    "shape_for_rloo": "“{name}”的数据不能用于 RLOO。{english}",
    "shape_for_distillation": "“{name}”的数据不能用于在线蒸馏。{english}",
    "shape_for_gkd": "“{name}”的数据不能用于 GKD。{english}",
    "shape_for_classification": "“{name}”的数据不能用于分类。{english}",
    "exact_match_of_pairs": "偏好对没有唯一的正确答案可供匹配。",
    "exact_match_of_judged": "好坏回答没有唯一的正确答案可供匹配。",
    "exact_match_of_text": "纯文本没有唯一的正确答案可供匹配。",
    "exact_match_of_labelled": "分类器不写答案，没有可供匹配的文字。",
    "one_class": "所有训练行都属于同一个类别，没有可区分的内容。{english}",
    "unseen_class": "评估数据中有训练数据没有的类别。{english}",
    "no_reference": "精确匹配需要参考答案，而留出的行都没有。{english}",
    "reward_needs_reference": "奖励“exact_answer”要与参考答案比较，而“{name}”没有参考答案。"}
ADVICE: dict[str, str] = {
    "shape_for_reward": _PAIRS, "shape_for_orpo": _PAIRS, "shape_for_simpo": _PAIRS,
    "shape_for_cpo": _PAIRS, "shape_for_grpo": _PROMPTS, "shape_for_rloo": _PROMPTS,
    "shape_for_distillation": _PROMPTS,
    "shape_for_gkd": "请选择带问题和答案的数据，或选择适合这些数据的目标。",
    "shape_for_classification": "请选择带文本和类别的数据，或把类别所在的列映射为“label”。",
    "exact_match_of_pairs": "请关闭精确匹配；奖励差和准确率始终会测量。",
    "exact_match_of_judged": "请关闭精确匹配。", "exact_match_of_text": "请关闭精确匹配。",
    "exact_match_of_labelled": "请关闭精确匹配；分类准确率始终会测量。",
    "one_class": "请选择有多个类别的数据，或把另一列映射为“label”。",
    "unseen_class": "请改正标签，或让训练数据也包含这些类别。",
    "no_reference": "请把正确答案所在的列映射为“reference”，或关闭精确匹配。",
    "reward_needs_reference": "请把正确答案所在的列映射为“reference”，或选择另一种奖励。"}
REASONS: dict[str, str] = {
    "each pair is read as a desired and an undesired answer": "每对回答读作一个好回答和一个坏回答",
    "the classes of the training data: {names}": "训练数据中的类别：{names}",
    "the last answer of each row is read as the right one": "每行的最后一个回答读作正确答案"}
