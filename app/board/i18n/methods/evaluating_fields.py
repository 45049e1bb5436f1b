"""The fields of an evaluation's config in Chinese: (title, description)."""

from __future__ import annotations

KIND_FIELDS: dict[str, tuple[str, str]] = {
    "evaluate.name": ("名称", "给人看的名称；编号由工作室生成。"),
    "evaluate.models": ("模型", "运行、运行/checkpoint-40、运行/文件.gguf、starter、文件夹，"
                        "或 端点/模型。其他模型都与第一个比较。"),
    "evaluate.data": ("数据", "要回答的数据集。"),
    "evaluate.metrics": ("指标", "回答如何打分；不选则由数据决定。"),
    "evaluate.max_samples": ("行数", "每个数据集的前若干行；留空表示全部。"),
    "evaluate.engine": ("引擎", "“自动”在已安装且与训练时回答一致的地方用 vLLM，否则用 "
                        "Transformers；GGUF 文件由 llama.cpp 回答。"),
    "evaluate.batch_size": ("同时", "一起回答的行数；留空则按内存决定。"),
    "evaluate.device": ("设备", "“自动”、“cpu”或某块 GPU 的 UUID。"),
    "evaluate.seed": ("随机种子", "用于自助抽样、置换检验和少样本示例。"),
    "evaluate.generation.max_new_tokens": ("最长回答", "更长的会被截断，并计为截断。"),
    "evaluate.generation.temperature": ("温度", "0 表示每次都取最可能的 token。"),
    "evaluate.generation.top_p": ("Top p", "只在采样时有用。"),
    "evaluate.generation.seed": ("采样种子", "采样的随机种子。"),
    "evaluate.generation.system": ("系统提示词", "放在自己没有系统提示词的行之前。"),
    "evaluate.generation.stop": ("停止词", "遇到它们回答就结束，每行一个，最多四个。"),
    "evaluate.generation.enable_thinking": ("思考", "告诉认识它的对话模板；留空由模板决定。"),
    "evaluate.benchmarks.tasks": ("其他任务",
                                  "lm-evaluation-harness 中的任务名，例如 gsm8k 或 mmlu。"),
    "evaluate.benchmarks.num_fewshot": ("示例数", "每个问题之前给出的示例；留空按任务自己的规定。"),
    "evaluate.benchmarks.limit": ("题数", "每个任务的题数；留空表示全部。"),
    "evaluate.benchmarks.include_path": ("任务文件夹", "你自己的任务所在的文件夹。"),
    "evaluate.benchmarks.sha256": ("同意", "可以运行其代码的任务文件夹的 SHA-256；文件夹一变就会"
                                   "再问。没有代码的任务不需要。"),
    "evaluate.benchmarks.apply_chat_template": ("对话模板", "像在对话中那样提问；基座模型不用它。"),
    "evaluate.judge.model": ("裁判", "已保存端点的模型（端点/模型）、运行或基座；"
                             "留空表示没有裁判。"),
    "evaluate.judge.mode": ("做什么", "“比较”把每个模型与第一个比较；“打分”给每个回答 1 到 "
                            "10 分。"),
    "evaluate.judge.rubric": ("评分标准", "模板名，或你自己的文字。"),
    "evaluate.judge.swap": ("两种顺序", "交换两个回答再问一次；前后不一致的算平局。"),
    "evaluate.judge.limit": ("行数", "每个数据集的行数；留空表示全部。"),
    "evaluate.judge.max_new_tokens": ("最长评语", "裁判的评语。"),
    "evaluate.judge.price_in": ("读入价格", "用来在花费之前显示费用。"),
    "evaluate.judge.price_out": ("写出价格", "用来在花费之前显示费用。"),
    "evaluate.metrics.pattern": ("模式", "回答中必须找到的内容。"),
    "evaluate.metrics.json_schema": ("JSON schema", "schema 的 JSON 文字，或它的文件路径。"),
    "evaluate.metrics.labels": ("类别", "否则取参考答案中的类别。"),
    "evaluate.metrics.consent": ("运行代码", "模型写的程序会在本机运行，放在有限制的沙箱里。"),
    "evaluate.metrics.model": ("嵌入模型", "比较其向量的文件夹或运行。"),
    "evaluate.metrics.path": ("Python 文件",
                              "含有函数 score(prompts, predictions, references) -> "
                              "数字列表 的文件。"),
    "evaluate.metrics.sha256": ("同意", "可以运行的文件的 SHA-256；文件一变就会再问。"),
}
