"""Scores of generated answers while a model trains, and the best step by them, in words."""

from __future__ import annotations

EN: dict[str, str] = {
    "chart.numeric": "Right numbers", "chart.contains": "Contains the reference",
    "chart.json_valid": "Valid JSON", "chart.rouge1": "ROUGE-1", "chart.rouge2": "ROUGE-2",
    "chart.rougeL": "ROUGE-L", "chart.bleu": "BLEU", "chart.chrf": "chrF",
}
ZH: dict[str, str] = {
    "chart.numeric": "数值正确", "chart.contains": "包含标准答案",
    "chart.json_valid": "有效 JSON", "chart.rouge1": "ROUGE-1", "chart.rouge2": "ROUGE-2",
    "chart.rougeL": "ROUGE-L", "chart.bleu": "BLEU", "chart.chrf": "chrF",
}
FIELDS: dict[str, tuple[str, str]] = {
    "evaluation.metrics": (
        "为回答打分", "训练前以及每次评估时让模型回答评估题目，并把这些分数画成曲线：exact_match、"
        "contains、numeric、json、rouge、bleu、chrf、classification。"),
    "evaluation.generate_steps": (
        "打分间隔", "两次为回答打分之间的步数，须为“评估间隔”的倍数；留空表示每次评估都打分。"
        "最后一步总会打分。"),
    "training.metric_for_best_model": (
        "最佳的依据", "提前停止和“保留最佳”所看的：最低的评估损失，或生成的回答的最高分数"
        "（“为回答打分”）。"),
}
MESSAGES: dict[str, str] = {
    "metrics_objective": "“{objective}”没有用文字回答的问题，无从打分。",
    "metrics_need_eval": "回答要在评估数据上打分，而没有评估数据。",
    "metrics_no_reference": "回答要与标准答案比较，而“{name}”没有标准答案。",
    "generate_steps_alone": "回答在评估时打分，而只在最后评估一次。",
    "generate_steps_between": "回答在评估时打分，评估每 {between} 步一次；{steps} 不是它的倍数。",
    "best_by_unmeasured": "要由“{name}”决定最佳检查点，而这次运行并不测量它。",
}
ADVICE: dict[str, str] = {
    "metrics_objective": "请把指标留空。",
    "metrics_need_eval": "请指定评估集或验证集划分。",
    "metrics_no_reference": "请把标准答案所在的列指定为“reference”，或把指标留空。",
    "generate_steps_alone": "请留空，或说明每隔多少步评估。",
    "generate_steps_between": "请填写 {between}、{twice} 等，或留空。",
    "best_by_unmeasured": "请在 evaluation.metrics 中加入“{metric}”，或选择“eval_loss”。",
}
REASONS: dict[str, str] = {
    "{n} answers": "{n} 个回答",
    "{rows} rows before training and {times} times while training, up to {tokens} tokens each":
        "训练前 {rows} 行，训练中 {times} 次，每个回答最多 {tokens} 个 token",
    "{share} of the time": "占用 {share} 的时间",
    "answers to {n} questions took {spent} s of the {whole} s of training":
        "回答 {n} 个问题用了训练时间 {whole} 秒中的 {spent} 秒",
    "its eval_{name} {value} is the highest of the run":
        "它的 eval_{name} 为 {value}，是本次运行中最高的",
    "{n} evaluations without progress beyond eval_{name} {value}":
        "连续 {n} 次评估的 eval_{name} 都没有超过 {value}",
}
