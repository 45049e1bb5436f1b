"""What keeps benchmarks from being asked, in Chinese, by the code of the problem."""

from __future__ import annotations

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, tuple[str, str]] = {}
REASONS: dict[str, str] = {}
MESSAGES: dict[str, str] = {
    "benchmark_package": "基准测试需要的软件包没有安装。{english}",
    "benchmark_unknown": "没有这个任务。{english}",
    "benchmark_folder": "无法读取任务文件夹。{english}",
    "benchmark_consent": "任务文件夹会运行代码，还没有人同意。{english}",
    "benchmark_changed": "任务文件夹在同意之后被改动过。{english}",
    "benchmark_data": "无法加载基准测试的数据。{english}",
    "benchmark_remote": "这个任务要运行来自模型社区的代码，而 Finestra 不运行。{english}",
    "benchmark_likelihood": "这个任务比较似然，而这个模型给不出。{english}",
    "benchmark_template": "无法使用对话模板。{english}",
    "benchmark_tokenizer": "无法读取模型的分词器。{english}",
    "benchmark_task": "无法用这个任务提问。{english}",
}
ADVICE: dict[str, str] = {
    "benchmark_package": "请按英文提示中的命令安装。",
    "benchmark_unknown": "命令 lm_eval ls tasks 列出全部任务。",
    "benchmark_folder": "请检查路径。",
    "benchmark_consent": "请先阅读整个文件夹，再把 benchmarks.sha256 设为它的校验值，"
                         "表示允许它按现在的内容运行。",
    "benchmark_changed": "请重新阅读，再把 benchmarks.sha256 设为新的校验值。",
    "benchmark_data": "请在能访问社区的机器上按英文提示中的命令下载，再把文件夹复制过来；"
                      "或者用本地文件写一个自己的任务文件夹。",
    "benchmark_remote": "请换一个任务，或使用 Finestra 自己的指标。",
    "benchmark_likelihood": "请选择生成回答的任务，例如 gsm8k 或 ifeval，"
                            "或通过 vLLM 或 Transformers 询问模型。",
    "benchmark_template": "请关闭 apply_chat_template，或选择用对话训练的模型。",
    "benchmark_tokenizer": "请检查模型文件夹是否完整。",
    "benchmark_task": "请查看它在 lm-evaluation-harness 中的说明。",
}
