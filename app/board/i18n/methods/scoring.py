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
    "metric_file": "无法读取指标的 Python 文件。{english}",
    "metric_consent": "指标的 Python 文件是代码，还没有人同意运行它。{english}",
    "metric_changed": "指标的 Python 文件在同意之后被改动过。{english}",
    "metric_function": "自定义指标出错了。{english}",
    "metric_time": "自定义指标没有在规定时间内完成。{english}",
    "metric_embedding": "没有得到向量。{english}",
    "metric_tests": "有一行的参考答案不是测试代码。{english}",
    "metric_sandbox": "这台机器无法隔离模型编写的程序。{english}",
    "code_consent": "指标 code 会运行模型编写的程序，还没有人同意。",
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
    "metric_file": "请检查路径。",
    "metric_consent": "请先阅读该文件，再把 sha256 设为它的校验值，表示允许它按现在的内容运行。",
    "metric_changed": "请重新阅读，再把 sha256 设为新的校验值。",
    "metric_function": "请修正文件并重新同意；已有的回答不会丢失。",
    "metric_time": "请修正文件并重新同意；已有的回答不会丢失。",
    "metric_embedding": "请选择能给出向量的模型。",
    "metric_tests": "指标 code 需要 assert 语句，或函数 check(candidate)。",
    "metric_sandbox": "请使用 Linux 5.13 或更新的版本（x86-64 或 ARM64），"
                      "容器需要允许 Landlock 与 seccomp。",
    "code_consent": "把 consent 设为 true：程序会在有限制的沙箱中运行。",
}
