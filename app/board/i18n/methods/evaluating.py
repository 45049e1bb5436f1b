"""The words of evaluations."""

from __future__ import annotations

from app.board.i18n.methods import (
    evaluating_en,
    evaluating_errors,
    evaluating_fields,
    evaluating_notes,
    evaluating_zh,
)

EN: dict[str, str] = {
    **evaluating_en.EN,
    "objective.evaluate": "Evaluation",
    "progress.rows": "{step} of {total} rows", "stat.of_rows": "of {total} rows",
    "progress.ended.rows": "ended after {step} of {total} rows; the answers are kept",
}
ZH: dict[str, str] = {
    **evaluating_zh.ZH,
    "objective.evaluate": "评估",
    "progress.rows": "{step} / {total} 行", "stat.of_rows": "/ {total} 行",
    "progress.ended.rows": "结束时完成了 {step} / {total} 行；回答已保留",
}
FIELDS: dict[str, tuple[str, str]] = {}
KIND_FIELDS = evaluating_fields.KIND_FIELDS
MESSAGES = evaluating_errors.MESSAGES
ADVICE = evaluating_errors.ADVICE
REASONS: dict[str, str] = {
    **evaluating_notes.NOTES,
    "rows for each model: {rows}; {reason}": "每个模型 {rows} 行；{reason}",
    "they are read, nothing is written": "只计算可能性，不生成文本",
    "answers have up to {tokens} tokens": "每个回答最多 {tokens} 个 token",
    "up to {limit} questions of each task and part of a task, for each model":
        "每个模型在每项任务（及其各部分）中最多答 {limit} 题",
    "every question of each task, for each model": "每个模型回答每项任务的所有题目",
    "{reason} for each model": "每个模型 {reason}",
    "an earlier attempt has them": "之前的尝试已经得到",
    "it depends on engine and length of answers; after the first rows the run tells how long it "
    "will take": "取决于引擎和回答的长度；答完前几行后，运行会显示还需多久",
    "not of '{name}', which cannot tell how likely a text is":
        "不包括“{name}”：它无法给出文本的可能性",
    "the same model as '{name}': what is different between them is chance":
        "与“{name}”是同一个模型：两者的差别只是偶然",
    "it answers by itself": "由它自己的服务器回答",
    "it was asked for": "按您的要求",
    "GGUF files need it": "GGUF 文件需要它",
    "it is the fastest here": "它在这里最快",
    "{rows} rows are answered before vLLM has started": "只有 {rows} 行，vLLM 启动之前就能答完",
    "vLLM cannot serve '{name}': {refusal}": "vLLM 无法运行“{name}”：{refusal}",
    "'{name}' is an adapter, which vLLM is slow with on a processor":
        "“{name}”是适配器，vLLM 在处理器上运行适配器较慢",
}
