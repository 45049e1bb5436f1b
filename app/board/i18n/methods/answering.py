"""The words of models that are asked by an evaluation: stages, warnings, what goes wrong."""

from __future__ import annotations

EN: dict[str, str] = {
    "stage.answering": "asking the models", "stage.scoring": "scoring the answers",
    "stage.judging": "asking the judge", "stage.benchmarking": "running benchmarks",
    "warning.answers_set_aside": "Earlier answers were set aside",
    "warning.rows_changed": "Rows have changed since they were answered",
    "warning.engine_restarted": "The engine died and was started again",
    "warning.narrower": "Fewer rows are answered at once",
    "warning.setting_left_out": "A setting that the endpoint does not take was left out",
    "warning.evaluation_note": "To know about this evaluation",
}
ZH: dict[str, str] = {
    "stage.answering": "正在询问模型", "stage.scoring": "正在给回答打分",
    "stage.judging": "正在询问裁判模型", "stage.benchmarking": "正在运行基准测试",
    "warning.answers_set_aside": "之前的回答已另存",
    "warning.rows_changed": "有些数据行在回答之后改动过",
    "warning.engine_restarted": "引擎中断后已重新启动",
    "warning.narrower": "同时回答的行数减少了",
    "warning.setting_left_out": "已去掉端点不接受的设置",
    "warning.evaluation_note": "关于这次评估的说明",
}
MESSAGES: dict[str, str] = {
    "endpoint_unreachable": "无法连接端点。{english}",
    "endpoint_refused": "端点拒绝了请求。{english}",
    "engine_refused": "引擎拒绝了请求。{english}",
    "likelihood_cannot": "模型给不出指标所需的似然。{english}",
    "no_rows": "数据集中没有可以提问的行。{english}",
    "nothing_scored": "没有任何指标能够打分。{english}",
}
ADVICE: dict[str, str] = {
    "endpoint_unreachable": "请检查它是否在运行，然后继续这次运行：已有的回答会保留。",
    "endpoint_refused": "请检查端点的地址、密钥和模型。",
    "engine_refused": "请查看引擎的日志。",
    "likelihood_cannot": "请通过 Transformers 或 vLLM 询问模型，或选择比较书面回答的指标。",
    "no_rows": "请用 finestra data check 检查数据集。",
    "nothing_scored": "请改正指标；回答已保留。",
}
