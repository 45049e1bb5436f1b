"""Reasons of automatic choices, of estimates and of runs that ended unseen, in Chinese.

As in gettext the English text is the key: reasons travel as text through events and estimates.
``{name}`` stands for whatever the engine filled in there; a test runs the engine's own choices
through this table.
"""

from app.board.i18n import methods

REASONS: dict[str, str] = {
    "as asked for": "按您的要求",
    "as computed": "与计算精度相同",
    "set in the config": "由配置指定",
    "float32: exact on the CPU; bf16 is only faster on CPUs with bf16 units":
        "float32：在 CPU 上精确；只有带 bf16 单元的 CPU 才会更快",
    "float32: exact on the CPU; this one has bf16 units, so model.dtype=bfloat16 would be faster":
        "float32：在 CPU 上精确；这块 CPU 带 bf16 单元，设 model.dtype=bfloat16 会更快",
    "bf16: the GPU's compute capability is not known yet": "bf16：还不知道 GPU 的计算能力",
    "bf16: this GPU is compute capability {shown}": "bf16：这块 GPU 的计算能力为 {shown}",
    "fp16: this GPU is compute capability {shown}, bf16 needs 8.0":
        "fp16：这块 GPU 的计算能力为 {shown}，bf16 需要 8.0",
    "this attempt was given the CPU": "这次尝试分配到 CPU",
    "this attempt was given {name}": "这次尝试分配到 {name}",
    "torch finds no CUDA GPU here": "torch 在这里没有找到 CUDA GPU",
    "full training keeps float32 weights and computes in {dtype}":
        "全参数训练保留 float32 权重，用 {dtype} 计算",
    "Transformers takes the model's best": "由 Transformers 选择最合适的",
    "data.shuffle is off: the rows keep their order": "未打乱数据：各行保持原有顺序",
    "KTO compares rows of a batch: grouped, desired and undesired ones would be kept apart":
        "KTO 要比较同一批次中的各行：按长度分组会把好回答与坏回答分开",
    "'{name}' was tokenised before: same data, tokenizer, template and settings":
        "“{name}”此前已用相同的数据、分词器、模板和设置分过词",
    "the tokenizer's own. {reason}": "分词器自带的模板。{reason}",
    "{name}, as asked. {reason}": "按设置使用 {name}。{reason}",
    "fetched from the hub at the start": "开始时从 Hub 下载",
    "the GPU with most free memory; waits for one that is free":
        "空闲显存最多的 GPU；没有空闲的就等待",
    "there is no GPU on this machine": "这台机器上没有 GPU",
    "{shape}; {rows} rows; {bad} rows are skipped": "共 {rows} 行，跳过 {bad} 行（{shape}）",
    "{shape}; {rows} rows": "共 {rows} 行（{shape}）",
    "{n} of its rows stand in the training data as well: they measure memory":
        "其中 {n} 行也在训练数据中：它们衡量的是记忆",
    "{name}: half of the rows have up to {half} tokens, the longest {longest}; {over} are longer":
        "{name}：半数的行不超过 {half} 个 token，最长 {longest} 个；{over} 行超出上限",
    "{n} weights in {dtype}, rank {r}": "{n} 个 {dtype} 权重，秩 {r}",
    "{n} weights in {dtype}: full training keeps them whole":
        "{n} 个 {dtype} 权重：全参数训练需要完整精度",
    "{n} weights in 4 bits with double quantization, {rest} in {dtype}":
        "{n} 个权重为双重量化的 4 位，{rest} 个为 {dtype}",
    "{n} weights in {dtype}": "{n} 个 {dtype} 权重",
    "DPO compares with the model as it was": "DPO 要与原来的模型比较",
    "KTO compares with the model as it was": "KTO 要与原来的模型比较",
    "float32, one for each of {n} trained weights": "float32，{n} 个被训练的权重各一个",
    "Adafactor keeps a row and a column for each matrix": "Adafactor 为每个矩阵保留一行和一列",
    "SGD without momentum keeps nothing": "不带动量的 SGD 不保留状态",
    "two float32 moments for each trained weight": "每个被训练的权重两个 float32 动量",
    "left out: config.json does not say the hidden size and the layers":
        "未计入：config.json 没有写明隐藏维度和层数",
    "{batch} x {length} tokens at the longest, rough; only the borders of {layers} layers are kept":
        "最长 {batch} × {length} 个 token，粗略估计；{layers} 层只保留边界",
    "{batch} x {length} tokens at the longest, rough; {layers} layers":
        "最长 {batch} × {length} 个 token，粗略估计；共 {layers} 层",
    "Stopped before it started.": "开始之前已停止。",
    "Never started.": "从未开始。",
    "The run could not be started: {why}.": "无法启动这次训练：{why}。",
    "The machine was restarted while the run was working.": "训练过程中机器重新启动了。",
    "torch and its libraries, a usual size": "torch 及其依赖库，通常大小",
    "The template marks what the assistant says.":
        "模板标出了助手说的内容。",
    "The template marks what the assistant says. It shows no tools.":
        "模板标出了助手说的内容。它不显示工具。",
    "The template marks nothing; its turns were marked, and found to agree with what is "
    "rendered before each answer.":
        "模板没有标记；已为它的各轮加上标记，并与每个回答之前的渲染结果核对一致。",
    "The template marks nothing; its turns were marked, and found to agree with what is "
    "rendered before each answer. It shows no tools.":
        "模板没有标记；已为它的各轮加上标记，并与每个回答之前的渲染结果核对一致。它不显示工具。",
    "The template marks nothing; its turns were marked, and found to agree with what is "
    "rendered before each answer. Conversations with {kinds} are read answer by answer.":
        "模板没有标记；已为它的各轮加上标记，并与每个回答之前的渲染结果核对一致。"
        "含有 {kinds} 的对话逐个回答读取。",
    "The template marks nothing; its turns were marked, and found to agree with what is "
    "rendered before each answer. Conversations with {kinds} are read answer by answer. "
    "It shows no tools.":
        "模板没有标记；已为它的各轮加上标记，并与每个回答之前的渲染结果核对一致。"
        "含有 {kinds} 的对话逐个回答读取。它不显示工具。",
    "The template marks nothing, and what opens an answer depends on the conversation; "
    "each answer is found between what is rendered before it and its end.":
        "模板没有标记，回答的开头又随对话而变；每个回答位于其之前的渲染结果与结束符之间。",
    "The template marks nothing, and what opens an answer depends on the conversation; "
    "each answer is found between what is rendered before it and its end. It shows no "
    "tools.":
        "模板没有标记，回答的开头又随对话而变；每个回答位于其之前的渲染结果与结束符之间。它不显示工具。",
    "The template marks nothing, and its turns cannot be told apart in its source; each "
    "answer is found between what is rendered before it and its end.":
        "模板没有标记，源码中也分不出各轮；每个回答位于其之前的渲染结果与结束符之间。",
    "The template marks nothing, and its turns cannot be told apart in its source; each "
    "answer is found between what is rendered before it and its end. It shows no tools.":
        "模板没有标记，源码中也分不出各轮；每个回答位于其之前的渲染结果与结束符之间。它不显示工具。",
}
REASONS.update(methods.together("REASONS"))
