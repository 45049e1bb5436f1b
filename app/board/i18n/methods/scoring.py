"""What can go wrong with scores, in Chinese."""

from __future__ import annotations

from typing import Any

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, Any] = {}
REASONS: dict[str, str] = {}
MESSAGES = {
    "metric_unknown": "没有这种指标。{english}",
    "metric_option": "这个选项无法使用。{english}",
    "metric_package": "这个指标需要的软件包没有安装。{english}",
    "metric_pattern": "正则表达式无法使用。{english}",
    "metric_rows": "同一行有两个结果，或各个分数的行不同。{english}",
    "metric_pair": "这两组分数无法比较。{english}",
    "metric_choice": "正确选项不在各选项之中。{english}",
    "metric_logprob": "有数值不是对数概率。{english}",
    "metric_lengths": "对数概率与标记的数目不同。{english}",
    "metric_classes": "类别太多。{english}",
    "metric_label": "有标签不在类别之中。{english}",
    "metric_calls": "有一行给出的工具调用无法读取。{english}",
}
ADVICE = {
    "metric_unknown": "各指标见 docs/metrics.md。",
    "metric_option": "各指标的选项见 docs/metrics.md。",
    "metric_pattern": "请修正 pattern，并避免 (a+)+ 这样的嵌套重复。",
    "metric_package": "请执行 pip install 'finestra[eval]'。",
    "metric_rows": "每一行只给一个结果，并一次汇总同一组结果的分数。",
    "metric_pair": "请用同样的指标与选项、在同样的行上评估两个模型。",
    "metric_logprob": "请给出概率的自然对数。",
    "metric_classes": "答案不是类别时请使用 exact_match。",
    "metric_label": "请把它加入 labels。",
}
