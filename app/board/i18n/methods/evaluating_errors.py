"""What can go wrong with evaluations, in Chinese, by the code of the problem."""

from __future__ import annotations

MESSAGES: dict[str, str] = {
    "model_twice": "同一个模型写了两次。",
    "metric_twice": "同一个指标写了两次。",
    "metric_no_option": "指标“{metric}”没有选项“{option}”。",
    "metric_needs": "指标“{metric}”需要“{option}”。",
    "nothing_to_ask": "没有可以提问的内容。",
    "nothing_to_judge": "裁判评的是对数据的回答，而没有指定数据。",
    "pairwise_of_one": "比较式的裁判需要两个模型。",
    # Reading results
    "no_evaluation": "没有评估结果。{english}",
    "not_evaluated": "这次评估没有所指的内容。{english}",
    "not_an_evaluation": "这不是评估的配置。{english}",
    "metric_syntax": "无法读取这个指标。{english}",
    "judge_cannot": "这个模型不能当裁判。{english}",
    "likelihood_cannot": "这个模型不能给出指标所需的概率。{english}",
    # Before an evaluation is queued
    "data_twice": "同一个数据集写了两次。",
    "schema_unreadable": "无法读取 JSON schema 文件“{name}”。",
}
ADVICE: dict[str, str] = {
    "model_twice": "请去掉一个。",
    "metric_twice": "请去掉一个。",
    "metric_no_option": "请去掉这个选项。",
    "metric_needs": "请补上它。",
    "nothing_to_ask": "请指定数据或基准测试。",
    "nothing_to_judge": "请指定数据，或去掉裁判。",
    "pairwise_of_one": "请再加一个模型，或改为打分。",
    "no_evaluation": "请等它结束，或者继续运行：已有的回答会保留。",
    "not_evaluated": "它有什么，写在它的文档里。",
    "not_an_evaluation": "请用 `finestra train` 启动它。",
    "metric_syntax": "请把名称和选项写成一个 YAML 映射。",
    "judge_cannot": "请换一个能对话的模型。",
    "likelihood_cannot": "请换一个引擎或模型，或者去掉这些指标。",
    "data_twice": "请只写一次。",
    "schema_unreadable": "请检查路径，或者直接写出 schema。",
}
