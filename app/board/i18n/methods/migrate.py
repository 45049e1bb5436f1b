"""Imports from LLaMA-Factory, scripts, recipes, in words."""

from __future__ import annotations

from app.board.i18n.methods import recipes_words

EN: dict[str, str] = {**recipes_words.EN}
ZH: dict[str, str] = {**recipes_words.ZH}
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES: dict[str, str] = {
    "import_too_large": "这个文件过大。",
    "import_syntax": "无法读取这个文件。",
    "import_documents": "这个文件包含多个文档。",
    "import_export": "这个文件用于导出模型，不是训练。",
    "import_benchmark": "这个文件运行基准测试，不是训练。",
    "import_no_training": "这个文件只做评估或预测：do_train 不为 true。",
    "import_inference": "这个文件用于推理：没有训练数据。",
    "import_webui": "这是 LLaMA Board 保存的表单，不是训练文件。",
    "import_no_model": "文件没有指定模型（model_name_or_path）。",
    "import_no_data": "文件没有指定训练数据（dataset）。",
    "import_ppo": "这个 PPO 文件没有指定奖励模型。",
    "script_objective": "目标“{objective}”没有普通脚本。",
    "script_reward": "奖励“{name}”没有普通形式。",
}
ADVICE: dict[str, str] = {
    "import_too_large": "配置只有几千个字符：是不是选错了文件？",
    "import_syntax": "请检查语法。",
    "import_documents": "请在“---”处拆分：一个文件一个运行。",
    "import_export":
        "运行的结果在它的文件夹中（adapter/ 或 model/）；目前还没有合并或转换它的命令。",
    "import_benchmark":
        "目前还没有基准测试；evaluation.exact_match 会在训练前后统计你自己的问题答对了多少。",
    "import_no_training": "要训练请设置 do_train: true；训练完的运行可以在它的页面上提问。",
    "import_inference": "可以在运行页面与模型对话。",
    "import_webui": "请改用某次训练的输出文件夹中的 training_args.yaml。",
    "import_no_model": "请设置 model.name_or_path；现在是“starter”。",
    "import_no_data": "请设置 data.train；现在是“sample_instructions”。",
    "import_ppo": "请在 rollout.rewards 中说明什么是好回答。",
    "script_objective": "只能带走它的配置：用 finestra train 训练。",
    "script_reward": "请在这里去掉它，再在脚本里写成函数。",
}
REASONS: dict[str, str] = {
    "Carried over.": "照搬。",
    "Called {field} here.": "这里叫 {field}。",
    "It is empty: the default holds.": "为空：使用默认值。",
    "LLaMA-Factory's default.": "LLaMA-Factory 的默认值。",
    "{value} is not a number: the default holds.": "{value} 不是数字：使用默认值。",
    "{value} is not a finite number: the default holds.": "{value} 不是有限的数：使用默认值。",
    "{value} is not a whole number: the default holds.": "{value} 不是整数：使用默认值。",
    "{value} is not a list of names: the default holds.": "{value} 不是名称列表：使用默认值。",
    "{value} is not a text: the default holds.": "{value} 不是文字：使用默认值。",
    "{value} is not a list of name=value: the default holds.":
        "{value} 不是“名称=值”的列表：使用默认值。",
    "{error}: the default holds.": "{error}：使用默认值。",
    "It is off, and there is no such switch here.": "已关闭，这里也没有这个开关。",
    "It is off, as here.": "已关闭，与这里相同。",
    "It is a field of LLaMA Board's form.": "这是 LLaMA Board 表单中的一项。",
    "The weights stay whole, see quantization_bit.": "权重不量化，见 quantization_bit。",
    "An adapter that began as PiSSA is always saved as a plain LoRA.":
        "以 PiSSA 开始的适配器总是保存为普通的 LoRA。",
    "LLaMA Pro trains blocks that lie all over the model; here freeze trains the last layers.":
        "LLaMA Pro 训练分布在整个模型中的块；这里 freeze 训练最后几层。",
    "Rows without a system message get none, or the template's own: put it into the rows.":
        "没有系统消息的行不会得到它，或得到模板自带的：请写进数据行。",
    "LLaMA-Factory has no such key either.": "LLaMA-Factory 也没有这个键。",
    "LLaMA-Factory has no such key either. Did you mean {name}?":
        "LLaMA-Factory 也没有这个键。是否想写 {name}？",
    "It means nothing beside the other choices.": "与其他选择放在一起没有意义。",
    "It means nothing for this objective.": "对这个目标没有意义。",
    "{name} is its name now, and stands there too.": "它现在叫 {name}，文件中也有。",
    "A run always trains.": "运行总是训练。",
    "A run always trains; see above.": "运行总是训练；见上。",
    "'Keep the best' compares the evaluation loss, or scores of generated answers.":
        "“保留最佳”比较的是评估损失，或生成的回答的分数。",
    "What decides on the best knows which way is better.": "决定最佳的量自身知道哪个方向更好。",
    "Scores are those of sacrebleu and rouge-score, which count other words.":
        "分数由 sacrebleu 和 rouge-score 计算，它们的分词不同。",
    "A resumed run always equals an uninterrupted one.": "恢复的运行总与未中断的相同。",
    "A run is one process on one device: nothing is spread over several. The batch of all "
    "devices together is per_device_train_batch_size x gradient_accumulation_steps.":
        "一个运行是一台设备上的一个进程，不会分布到多台。全部设备的批次合计为 "
        "per_device_train_batch_size × gradient_accumulation_steps。",
    "A run's folder is made by the studio, a new one each time.":
        "运行的文件夹由工作室新建，每次一个。",
    "A run's folder is made by the studio.": "运行的文件夹由工作室新建。",
    "A run's folder is made by the studio; its last part became the name.":
        "运行的文件夹由工作室新建；路径的最后一段成了名称。",
    "APOLLO and GaLore project as their packages do by themselves.":
        "APOLLO 与 GaLore 按各自软件包的方式投影。",
    "BAdam goes through blocks of layers.": "BAdam 逐块训练各层。",
    "Checkpoints are whole, so that a run resumes exactly.":
        "检查点是完整的，因此运行可以精确恢复。",
    "Code that comes with a model is never run.": "从不运行模型自带的代码。",
    "Every step is logged, drawn and kept in the run's folder.":
        "每一步都记录、绘制并保存在运行的文件夹中。",
    "Finestra trains on text: images, videos and audio are not read.":
        "Finestra 只训练文本：不读取图像、视频和音频。",
    "It belongs to PPO, which has no counterpart; GRPO is the nearest.":
        "属于 PPO，这里没有对应；最接近的是 GRPO。",
    "It is about exporting: a run's result lies in its folder, as adapter/ or model/; there is "
    "no command yet that merges or converts it.":
        "与导出有关：运行的结果在它的文件夹中（adapter/ 或 model/）；目前没有合并或转换它的命令。",
    "It is about predicting on its own, which is not there yet: answers are measured during a run, "
    "one greedy answer to a question.":
        "与单独的预测有关，目前还没有：回答在运行中评测，每个问题一个贪心回答。",
    "It is about serving or inference, not about training.": "与推理或服务有关，与训练无关。",
    "It is set by the program, not by people.": "由程序设置，不由人设置。",
    "It needs another training program, which Finestra does not use.":
        "需要另一个训练程序，Finestra 不使用它。",
    "Metrics go to the studio's own curves, and to SwanLab.":
        "指标进入工作室自己的曲线和 SwanLab。",
    "Prepared tokens and downloads have their own cache, which knows when it is out of "
    "date.":
        "准备好的 token 与下载有自己的缓存，知道何时过期。",
    "Rows are prepared before training and loaded by the trainer itself.":
        "各行在训练前准备好，由训练器自行加载。",
    "Runs are not pushed to a hub.": "运行不会推送到 Hub。",
    "Secrets do not belong into a config: HF_TOKEN, MODELSCOPE_API_TOKEN and "
    "SWANLAB_API_KEY are read from the environment.":
        "密钥不应写在配置里：从环境变量读取 HF_TOKEN、MODELSCOPE_API_TOKEN 和 "
        "SWANLAB_API_KEY。",
    "The blocks say their size: oft_block_size.": "由块大小 oft_block_size 决定。",
    "The curves are always drawn.": "曲线总会绘制。",
    "The embeddings have the rate of the others.": "嵌入层与其他部分学习率相同。",
    "The model is always measured before training.": "训练前总会测量模型。",
    "The model's architecture stays as it is.": "模型结构保持不变。",
    "The reference is the model as it was when the run began.": "参考模型就是运行开始时的模型。",
    "The tokenizer and the vocabulary stay as they are.": "分词器与词表保持不变。",
    "There is no profiler.": "没有性能分析器。",
    "Token accuracy is always measured.": "总会测量 token 准确率。",
    "Tokens per second are always measured.": "总会测量每秒 token 数。",
    "What is measured is the same in every run.": "每个运行测量的内容相同。",
    "Which parts are held in which precision follows from model.dtype.":
        "各部分的精度由 model.dtype 决定。",
    "Carried by name. Names of LLaMA-Factory's data folder are known after `finestra data "
    "add FOLDER/data`.":
        "按名称沿用。执行 `finestra data add 文件夹/data` 后即可识别 LLaMA-Factory "
        "数据文件夹中的名称。",
    "Taken as the files that dataset_info.json names. Carried by name. Names of "
    "LLaMA-Factory's data folder are known after `finestra data add FOLDER/data`.":
        "取 dataset_info.json 中的文件；其余按名称沿用，执行 `finestra data add 文件夹/data` "
        "后即可识别。",
    "Datasets have names in Finestra's own registry: `finestra data add` takes the whole "
    "folder in.":
        "数据集的名称在 Finestra 自己的登记表里：`finestra data add` 可收入整个文件夹。",
    "Every row once is what concat does; the rows are shuffled over all datasets.":
        "每行一次就是 concat 的做法；各行在全部数据集间打乱。",
    "It belongs to SFT and pt.": "属于 SFT 与 pt。",
    "It belongs to SFT.": "属于 SFT。",
    "Its dataset_info.json was read.": "已读取其中的 dataset_info.json。",
    "Plain text is always laid end to end and cut into blocks.": "纯文本总是首尾相接并切成块。",
    "Rows in one sequence do not see each other here, as with neat_packing; "
    "LLaMA-Factory's packing alone lets them.":
        "这里同一序列中的各行互不可见，与 neat_packing 相同；LLaMA-Factory 单独的 packing "
        "则可见。",
    "Taken as the files that dataset_info.json names.": "取 dataset_info.json 中的文件。",
    "The chat template decides about thoughts.": "思考内容由对话模板决定。",
    "There is no template of this name here: the tokenizer's own is used.":
        "这里没有这个名称的模板：使用分词器自带的。",
    "There is not one for each dataset.": "与数据集的个数不符。",
    "They are the weights of the datasets.": "它们就是数据集的权重。",
    "Thoughts are as the template writes them.": "思考内容按模板书写。",
    "A model that was stored quantized is loaded as it is; it says itself how.":
        "以量化形式保存的模型按原样加载，方法由它自己说明。",
    "It means something only beside quantization_bit.": "只有与 quantization_bit 一起才有意义。",
    "LLaMA-Factory has no attention '{name}'; Transformers chooses.":
        "LLaMA-Factory 没有注意力“{name}”；由 Transformers 选择。",
    "The base is held in bfloat16; adapters stay in float32, which is steadier.":
        "基座为 bfloat16；适配器保持 float32，更稳定。",
    "The main branch is what an empty revision means.": "版本为空即主分支。",
    "Without bf16 and fp16 the device decides: model.dtype is auto.":
        "没有 bf16 与 fp16 时由设备决定：model.dtype 为 auto。",
    "bitsandbytes is what quantizes here.": "这里由 bitsandbytes 量化。",
    "bitsandbytes quantizes with the same bits.": "由 bitsandbytes 以相同位数量化。",
    "{bits} bits are not among 4 and 8: the weights stay whole.":
        "{bits} 位不是 4 或 8：权重不量化。",
    "'kto_pair' has no counterpart: DPO's apo_zero is the same loss with the KL terms at 0.":
        "“kto_pair”没有对应：DPO 的 apo_zero 是 KL 项取 0 的同一损失。",
    "Another loss is chosen already.": "已经选择了另一个损失。",
    "Answers are always sampled while training.": "训练时的回答总是采样得到。",
    "It adds nothing at 0.": "为 0 时没有作用。",
    "KTO adds no loss of the answers here.": "这里的 KTO 不另加回答的损失。",
    "LLaMA-Factory has no loss '{name}'; DPO's own is used.":
        "LLaMA-Factory 没有损失“{name}”；使用 DPO 自己的。",
    "LLaMA-Factory has no stage '{name}'; taken as sft.":
        "LLaMA-Factory 没有阶段“{name}”；按 sft 处理。",
    "PPO has no counterpart (TRL removed it): GRPO with the same reward model is the "
    "nearest. Look at rollout and grpo.":
        "PPO 没有对应（TRL 已移除）：用同一奖励模型的 GRPO 最接近。请查看 rollout 与 grpo。",
    "Preference and answer losses are one mixture here: dpo.mixture.":
        "偏好损失与回答损失在这里合为一个混合：dpo.mixture。",
    "The preference loss '{loss}' is an objective of its own here.":
        "偏好损失“{loss}”在这里是单独的目标。",
    "0: the ratio holds.": "0：以比例为准。",
    "A single fixed block has no counterpart: freeze trains fixed layers.":
        "固定的单个块没有对应：freeze 训练固定的层。",
    "Another key chooses the optimizer.": "优化器由另一个键选择。",
    "Below 1 it is a share.": "小于 1 时是比例。",
    "It means nothing beside the optimizer that is chosen.": "与所选的优化器放在一起没有意义。",
    "Never is so many steps that it does not happen.": "“从不”写成多到不会发生的步数。",
    "Only GaLore and APOLLO choose modules.": "只有 GaLore 与 APOLLO 选择模块。",
    "Rank, gap and scale have fields of their own.": "秩、间隔与比例各有字段。",
    "Rank, gap and scale have fields of their own; the rest has none.":
        "秩、间隔与比例各有字段；其余没有。",
    "The nearest optimizer that there is here.": "这里最接近的优化器。",
    "There is no optimizer '{name}' here; AdamW is used.": "这里没有优化器“{name}”；使用 AdamW。",
    "There is no schedule '{name}'; linear is used.": "没有调度“{name}”；使用 linear。",
    "KTO compares the rows of a batch: two at a time, as many in a step.":
        "KTO 要比较同一批次的各行：一次两行，每步总数不变。",
    "Layer by layer gradients cannot be accumulated: all rows of a step are one batch, "
    "which takes more memory.":
        "逐层更新时梯度不能累积：一步的所有行合为一个批次，占用更多显存。",
    "Layer by layer the norm of all gradients is never known: nothing is clipped.":
        "逐层更新时无法知道全部梯度的范数：不做裁剪。",
    "GRPO compares answers to one prompt: a step holds whole groups of them.":
        "GRPO 比较同一提示的多个回答：每步包含完整的若干组。",
    "They have fields of their own.": "它们各有字段。",
    "This optimizer takes no further settings here.": "这个优化器在这里没有其他设置。",
    "This schedule has no such settings here.": "这个调度在这里没有这些设置。",
    "warmup_steps comes before it.": "以 warmup_steps 为准。",
    "A run begins anew, as here.": "运行从头开始，与这里相同。",
    "A share of all steps needs max_steps to be a number of steps: it is done at the end.":
        "总步数的比例需要 max_steps 才能换算成步数：改为在结束时进行。",
    "A share of the steps as a number of them.": "步数的比例换算成了步数。",
    "Answers are compared with the reference before and after; 'Score the answers' has ROUGE and "
    "BLEU.": "训练前后把回答与参考比较；“为回答打分”中有 ROUGE 和 BLEU。",
    "At least two checkpoints are always kept.": "总是至少保留两个检查点。",
    "Below 1 it means: by epochs.": "小于 1 表示按轮数。",
    "By steps, as here.": "按步数，与这里相同。",
    "Evaluation data are measured whenever there are some.": "只要有评估数据就会测量。",
    "Finestra counts steps, not epochs: it is done once at the end; set it in steps.":
        "Finestra 按步数而不是轮数：改为结束时一次；请以步数设置。",
    "It is done once at the end.": "在结束时进行一次。",
    "It means nothing beside {name}.": "与 {name} 放在一起没有意义。",
    "LLaMA-Factory evaluates as often as it logs.": "LLaMA-Factory 按记录的间隔评估。",
    "LLaMA-Factory goes by disable_gradient_checkpointing.":
        "LLaMA-Factory 以 disable_gradient_checkpointing 为准。",
    "LLaMA-Factory's checkpoints cannot be resumed; a run of Finestra's resumes with "
    "`finestra runs resume`.":
        "LLaMA-Factory 的检查点无法恢复；Finestra 的运行用 `finestra runs resume` 恢复。",
    "No tracker, as here.": "不用跟踪器，与这里相同。",
    "The run has a name already.": "运行已经有名称。",
    "0 means twice the rank in LLaMA-Factory.": "在 LLaMA-Factory 中 0 表示秩的两倍。",
    "4- and 8-bit weights cannot be trained: LLaMA-Factory refuses this too.":
        "4 位与 8 位权重无法训练：LLaMA-Factory 也会拒绝。",
    "Adapters are merged first and a new one is trained.": "先合并适配器，再训练一个新的。",
    "All but the last are merged into the base first; the last is trained further.":
        "除最后一个外先并入基座；最后一个继续训练。",
    "It means something only beside pissa_init.": "只有与 pissa_init 一起才有意义。",
    "It means something only for another finetuning_type.": "只对另一种 finetuning_type 有意义。",
    "LLaMA-Factory has no method '{name}'; taken as lora.":
        "LLaMA-Factory 没有方法“{name}”；按 lora 处理。",
    "The fast form takes 16 iterations.": "快速形式迭代 16 次。",
}
