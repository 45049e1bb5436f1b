"""Exports, merges and how they compare, in Chinese."""

from __future__ import annotations

ZH: dict[str, str] = {
    "page.export": "导出", "page.merge": "合并",
    "objective.export": "导出", "objective.merge": "合并",
    "runs.kind": "种类", "runs.any_kind": "任意种类", "runs.training": "训练",
    "models.export": "导出", "models.what.export": "导出结果",
    "run.export": "导出", "run.merge": "合并", "run.end": "停止",
    "stage.merging": "正在合并", "stage.converting": "正在转换",
    "stage.comparing": "正在与来源比较", "stage.pushing": "正在发送",
    "progress.pieces": "已完成 {step} / {total} 部分",
    "progress.ending": "正在停止；已完成的部分会保留",
    "progress.ended.pieces": "结束时完成了 {step} / {total} 部分",
    "stat.of_pieces": "/ {total} 部分", "stat.written": "已写入",
    "resume.pieces": "继续时会保留已完成的部分，从下一部分接着做。",
    "delete.log": "它的日志", "delete.written": "它写出的文件",
    "warning.export_anew": "全部重新导出",
    "warning.export_note": "关于某个格式的说明", "warning.merge_note": "关于结果的说明",
    "warning.parity_different": "有的格式回答不同",
    "warning.parity_not_run": "有的格式无法比较",
    "warning.push_note": "关于发送内容的说明", "chosen.export": "导出",
    "export.title": "导出模型",
    "export.lead": "把模型写成其他程序能读的形式。最后用同样的问题核对每种形式与来源。",
    "export.what": "导出什么", "export.source_hint": "运行、检查点或基础模型",
    "export.name_hint": "自动", "export.named": "{name} 导出",
    "export.at_step": "{name}，第 {step} 步",
    "export.choose": "请先选择模型。",
    "export.formats": "导出成什么", "export.group.weights": "权重",
    "export.group.gguf": "GGUF：llama.cpp、Ollama、LM Studio",
    "export.group.quantized": "更小，用于 vLLM 和 SGLang",
    "export.group.onnx": "ONNX 格式",
    "export.beside": "附带内容", "export.proof": "还是同一个模型吗？",
    "export.proof_about":
        "用这个运行自己数据中的问题，分别询问训练出的模型和每种格式（由使用它的程序"
                          "回答）：token 是否相同，回答是否相同，概率相差多少。",
    "export.send": "发送到", "export.start": "开始导出",
    "export.dtype.stored": "与基础模型相同",
    "export.about_size": "约 {size}", "export.sizes": "大约多大",
    "export.total": "合计", "export.free": "磁盘剩余",
    "export.absent": "未安装",
    "export.part": "{names} 可以这样安装：",
    "export.part_or": "，并在 {variable} 中写明装有它的解释器。",
    "format.merged": "合并后的模型", "format.adapter": "适配器",
    "format.gguf-f32": "GGUF F32", "format.gguf-f16": "GGUF F16", "format.gguf-bf16": "GGUF BF16",
    "format.gguf-q8_0": "GGUF Q8_0", "format.gguf-q4_0": "GGUF Q4_0",
    "format.gguf-q2_k": "GGUF Q2_K", "format.gguf-q3_k_m": "GGUF Q3_K_M",
    "format.gguf-q4_k_m": "GGUF Q4_K_M", "format.gguf-q5_k_m": "GGUF Q5_K_M",
    "format.gguf-q6_k": "GGUF Q6_K", "format.gptq": "GPTQ 4 位", "format.awq": "AWQ 4 位",
    "format.fp8": "FP8", "format.int8": "INT8", "format.onnx": "ONNX", "format.card": "模型卡",
    "format.ollama": "Ollama 的 Modelfile",
    "format.deployment": "部署文件夹", "format.parity.json": "比较结果（供程序读取）",
    "format.parity.md": "比较结果（供阅读）",
    "about.format.merged":
        "基础模型与适配器合为一个模型，safetensors 格式：用于 Transformers、vLLM、"
                           "SGLang、TGI，也可以在它之上继续训练。",
    "about.format.adapter": "只有学到的部分，很小；使用者需要同一个基础模型。",
    "about.format.gguf-f32": "每个数都完整；只用来制作其他文件。",
    "about.format.gguf-f16": "16 位，几乎没有舍入；较大。",
    "about.format.gguf-bf16": "16 位，与 bf16 模型逐位相同。",
    "about.format.gguf-q8_0": "8 位：大小减半，与原模型几乎没有区别。拿不定主意就选它。",
    "about.format.gguf-q4_0": "最简单的 4 位；到处都能运行，旧设备也行。",
    "about.format.gguf-q2_k": "最小；回答会变差。别的都放不下时才用。",
    "about.format.gguf-q3_k_m": "小；能看出差别。",
    "about.format.gguf-q4_k_m": "笔记本电脑上的常用选择：大小约四分之一，回答几乎不变。",
    "about.format.gguf-q5_k_m": "比 Q4_K_M 稍大，也更接近原模型。",
    "about.format.gguf-q6_k": "接近 Q8_0，大小是它的四分之三。",
    "about.format.gptq": "参照你的训练数据进行舍入；用于 GPU。",
    "about.format.awq": "保护最重要的权重；用于 GPU。",
    "about.format.fp8": "大小减半，不需要数据；用于较新的 GPU。",
    "about.format.int8": "大小减半，不需要数据；新旧 GPU 都可以用。",
    "about.format.onnx": "用于 ONNX Runtime：浏览器、手机、Windows。",
    "merge.title": "合并模型",
    "merge.lead": "把同一基础模型的多个适配器，或形状相同的多个模型，合成一个。",
    "merge.sources": "合并什么", "merge.what.adapters": "同一基础模型的适配器",
    "merge.what.models": "完整模型", "merge.name_hint": "自动",
    "merge.named": "{names} 合并", "merge.source_hint": "运行或文件夹",
    "merge.add": "添加模型", "merge.remove": "移除模型", "merge.model": "模型",
    "merge.weight": "模型的权重", "merge.share": "权重",
    "merge.method": "怎样合并", "merge.settings": "设置", "merge.start": "开始合并",
    "merge.choose": "请选择两个或更多模型。",
    "merge.sign.total": "按大小和方向", "merge.sign.frequency": "按个数",
    "merge.method.linear": "线性", "merge.method.cat": "拼接", "merge.method.svd": "SVD",
    "merge.method.ties": "TIES", "merge.method.ties_svd": "TIES 加 SVD",
    "merge.method.dare_linear": "DARE", "merge.method.dare_ties": "DARE 加 TIES",
    "merge.method.dare_linear_svd": "DARE 加 SVD",
    "merge.method.dare_ties_svd": "DARE 加 TIES 和 SVD",
    "merge.method.magnitude_prune": "按大小修剪",
    "merge.method.magnitude_prune_svd": "按大小修剪，加 SVD",
    "merge.method.slerp": "SLERP", "merge.method.task_arithmetic": "任务算术",
    "about.merge.linear":
        "对模型是加权平均，用于同一任务的模型；对适配器是粗略的和，用于从同一个适配器开始的情况。",
    "about.merge.cat": "并排放置：完整保留各自学到的内容。秩会相加，所以会变大。",
    "about.merge.svd": "加权求和，再截到一个秩：先试这个。",
    "about.merge.ties":
        "去掉小的变化，符号有分歧时大的一方胜出：用于多个任务。对适配器与线性求和一样粗略。",
    "about.merge.ties_svd": "对完整的变化使用 TIES：用于互相干扰的任务，秩不限。",
    "about.merge.dare_linear": "随机丢弃一部分变化并放大其余。与线性求和一样粗略。",
    "about.merge.dare_ties": "先随机丢弃，再由大的一方胜出：用于许多不同的任务。",
    "about.merge.dare_linear_svd": "对完整的变化使用 DARE：用于训练很久、变化很大的情况。",
    "about.merge.dare_ties_svd": "对完整的变化先用 DARE 再用 TIES：用于许多不同的任务。",
    "about.merge.magnitude_prune": "只保留最大的变化再相加。与线性求和一样粗略。",
    "about.merge.magnitude_prune_svd": "对完整的变化只保留最大的：去掉噪声。",
    "about.merge.slerp": "沿弧线从一个模型走到另一个；只能是训练相近的两个。",
    "about.merge.task_arithmetic": "把各自学到的内容加到基础模型上；负的权重表示去掉。",
    "written.title": "写出的文件", "written.total": "共 {size}",
    "written.files": "{n} 个文件", "written.download": "下载",
    "written.ollama": "在那个文件夹中运行：{command}",
    "written.sent": "已发送到 {place}。",
    "written.chat": "与它对话", "written.train": "在它之上训练",
    "merged.title": "合并结果", "merged.of": "来自", "merged.method": "方法",
    "merged.rank": "秩", "merged.size": "大小",
    "merged.far": "与精确的和相差",
    "merged.alike": "{first} 与 {second} 的相似程度",
    "parity.title": "还是同一个模型吗？",
    "parity.lead": "{n} 个问题来自{source}，贪心解码，最多 {tokens} 个 token，与{reference}比较。",
    "parity.head.format": "格式", "parity.head.program": "由谁使用",
    "parity.head.prompts": "提示相同", "parity.head.answers": "回答相同",
    "parity.head.distance": "距离", "parity.head.verdict": "结论",
    "parity.of": "{n} / {total}", "parity.largest": "最大 {value}",
    "parity.same": "相同", "parity.close": "除舍入外相同",
    "parity.different": "不同", "parity.notrun": "未比较",
    "parity.more": "{format}，{program}：{n} 个问题与双方的回答",
    "parity.both": "双方", "parity.reference": "训练出的", "parity.artefact": "导出的",
    "parity.prompt_parts": "提示从第 {at} 个 token 起不同：“{reference}”变成了“{artefact}”。",
    "parity.ends_early": "导出的模型在第 {at} 个 token 之前就结束了。",
    "parity.goes_on": "训练出的模型结束后，导出的模型在第 {at} 个 token 处继续。",
    "parity.near": "第 {at} 个 token：“{artefact}”代替了“{reference}”；训练出的模型认为两者差不多"
                   "（相差 {margin}）。",
    "parity.surer":
        "第 {at} 个 token：“{artefact}”代替了“{reference}”，而训练出的模型对后者更有把握"
                    "（相差 {margin}）。",
    "parity.lacking": "无法比较",
}
# Title and description of each field of an export's or a merge's config.
KIND_FIELDS: dict[str, tuple[str, str]] = {
    "export.source": (
        "模型",
        "运行编号、“运行/checkpoint-40”、“starter”、文件夹，或本机上的模型仓库编号。"),
    "export.name": ("名称", "显示给人看；编号由工作室生成。"),
    "export.formats": ("格式", "写出什么。"),
    "export.dtype": ("数值格式", "合并后权重的格式；“与基础模型相同”指逐个保持原样。"),
    "export.max_shard_size_gb": ("最大的权重文件", "用于合并后的权重。"),
    "export.model_card": ("模型卡", "README.md，写有数据、设置和结果。"),
    "export.ollama": ("Ollama 的 Modelfile", "放在第一个 GGUF 文件旁边。"),
    "export.deployment": ("部署文件夹", "用 vLLM、SGLang 或 TGI 提供合并模型的 compose 文件。"),
    "export.calibration_rows": ("校准行数", "GPTQ 和 AWQ 会查看的训练数据行数。"),
    "export.parity.enabled": ("比较", "最后用同样的问题询问来源和导出结果。"),
    "export.parity.prompts": ("问题数", "询问多少个。"),
    "export.parity.max_new_tokens": ("最长回答", "每个问题的回答。"),
    "export.push.repo": ("模型站仓库", "模型站上的 OWNER/NAME；留空则不发送。"),
    "export.push.private": ("私有", "新仓库是否只有自己能看到。"),
    "export.push.existing": ("添加到已有仓库", "仓库已有内容时也发送。"),
    "export.push.folder": ("文件夹", "得到一份副本的文件夹；留空则没有。"),
    "export.device": ("设备", "自动、CPU 或某块 GPU。"),
    "merge.what": ("合并对象", "同一基础模型的适配器合成一个适配器；模型合成一个模型。"),
    "merge.name": ("名称", "显示给人看；编号由工作室生成。"),
    "merge.sources": ("模型", "合并什么，各占多大权重。"),
    "merge.method": ("方法", "怎样把权重合在一起。"),
    "merge.base": ("基础模型", "合并模型时：它们从什么训练而来，用于对差值进行计算的方法。"),
    "merge.density": ("密度", "学到的内容中保留多少；只用于 TIES、DARE 和修剪。"),
    "merge.majority_sign_method": ("符号", "TIES 怎样判断多数适配器的方向。"),
    "merge.svd_rank": ("秩", "使用 SVD 的方法的结果的秩；否则取来源中最大的。"),
    "merge.dtype": ("数值格式", "合并后的模型。"),
    "merge.seed": ("随机种子", "决定 DARE 丢弃什么。"),
    "merge.parity": ("比较", "用同样的问题询问结果的每种形式。"),
    "merge.device": ("设备", "自动、CPU 或某块 GPU。"),
}
REASONS: dict[str, str] = {
    "an earlier attempt has finished it; only what comes after is done":
        "之前的尝试已经完成；只做其后的部分",
    "an earlier attempt has written it": "之前的尝试已经写好",
    "kept": "保留", "about": "大约", "to compare with": "用于比较",
    "held-out rows": "留出的行", "training rows": "训练数据的行", "the built-in ones": "自带的问题",
    "the caller": "调用者",
    "{program} is not installed.": "{program} 没有安装。",
    "llama.cpp does not bring text into Unicode's composed form (NFC): text in decomposed letters "
    "becomes other tokens than in training.":
        "llama.cpp 不会把文本转成 Unicode 组合形式（NFC）：分解形式的字母会变成与训练时不同的 "
        "token。",
    "Tools are not in the TEMPLATE: Ollama answers requests with tools for this model by an error.":
        "TEMPLATE 中没有工具：对这个模型的带工具请求，Ollama 会返回错误。",
    "The model's files are others than those that the earlier attempt worked on: everything is "
    "exported anew.": "模型的文件与之前尝试时的不同：全部重新导出。",
    "Its base is a folder of this machine ('{name}'): whoever uses the adapter needs the same "
    "files, and names them.":
        "它的基础模型是本机的文件夹（“{name}”）：使用适配器的人需要同样的文件，并写明它们。",
    "{some} of {all} prompts cannot be made: {why}": "{all} 个提示中有 {some} 个无法生成：{why}",
    "{some} of {all} prompts become other tokens: tokenizer or chat template is not the one of "
    "training.": "{all} 个提示中有 {some} 个变成了别的 token：分词器或对话模板不是训练时的。",
    "Answers do not end at {names}, as they do in training.":
        "回答不像训练时那样在 {names} 处结束。",
    "{some} of {all} answers take another word where the trained model is surer than this format's "
    "rounding explains, by up to {margin}.":
        "{all} 个回答中有 {some} 个用了别的词，而训练出的模型在那里更有把握，超出了这种格式的舍入"
        "（最多相差 {margin}）。",
    "{some} of {all} answers take another word where the trained model is surer than this format's "
    "rounding explains.":
        "{all} 个回答中有 {some} 个用了别的词，而训练出的模型在那里更有把握，超出了这种格式的舍入"
        "。",
    "{some} of {all} answers take another word where the trained model finds both about as likely.":
        "{all} 个回答中有 {some} 个用了别的词，训练出的模型认为两者差不多。",
    "No token could be compared.": "没有可以比较的 token。",
    "Some probabilities are no numbers.": "有的概率不是数。",
    "The distance (mean {mean}, largest {largest}) is beyond what this format does ({mean_bound} "
    "and "
    "{largest_bound}).":
        "距离（平均 {mean}，最大 {largest}）超出了这种格式应有的范围（{mean_bound} 和 "
        "{largest_bound}）。",
    "It cannot be loaded: {why}": "无法加载：{why}",
    "{program} is not installed, or lacks a package: {why}":
        "{program} 没有安装，或缺少软件包：{why}",
    "{program} had too little memory: {why}": "{program} 内存不足：{why}",
    "vLLM cannot serve it: {why}": "vLLM 无法使用它：{why}",
    "Finestra has no program for this format that could be asked.":
        "Finestra 没有能询问这种格式的程序。",
    "The run trained a model that gives scores in place of words; there are no answers to compare.":
        "这个运行训练的模型给出分数而不是文字，没有回答可比较。",
    "the run's own weights, computed in {dtype}": "运行自己的权重（以 {dtype} 计算）",
    "base and adapter as trained, computed in {dtype}":
        "训练时的基础模型与适配器（以 {dtype} 计算）",
    "Training held the base in {name}; here it has its stored weights, which is what every export "
    "is made of, so the distance to what was seen in training is not part of these numbers.":
        "训练时基础模型为 {name}；这里用的是它保存的权重，所有导出都由此而来，因此与训练时所见的"
        "距离不在这些数字之内。",
    "The run began with other adapters merged into its base: its adapter alone, over the base, is "
    "another model.":
        "这个运行开始时已把其他适配器合并进基础模型：单独的适配器加基础模型是另一个模型。",
}
