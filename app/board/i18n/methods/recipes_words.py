"""The recipes that come along: their names in two languages, and in Chinese what they are for."""

from __future__ import annotations

EN: dict[str, str] = {
    "preset.classify-lora-8gb": "Classifier on Qwen3 0.6B, 8 GB",
    "preset.classify-lora-cpu": "Classifier on a CPU",
    "preset.distill-lora-80gb": "On-policy distillation, 80 GB",
    "preset.dpo-lora-80gb": "DPO on Qwen3 14B, 80 GB",
    "preset.dpo-lora-8gb": "DPO on Llama 3.2 1B, 8 GB",
    "preset.dpo-lora-cpu": "DPO on a CPU",
    "preset.dpo-qlora-24gb": "DPO on Qwen3 8B, 24 GB",
    "preset.gkd-24gb": "GKD: Qwen3 4B teaches 0.6B, 24 GB",
    "preset.grpo-math-lora-16gb": "GRPO on GSM8K, 16 GB",
    "preset.grpo-math-lora-80gb": "GRPO on GSM8K with Qwen3 4B, 80 GB",
    "preset.grpo-math-lora-cpu": "GRPO sums on a CPU",
    "preset.kto-lora-cpu": "KTO on a CPU",
    "preset.kto-qlora-16gb": "KTO on Llama 3.2 3B, 16 GB",
    "preset.orpo-lora-24gb": "ORPO on Llama 3.2 3B, 24 GB",
    "preset.orpo-lora-cpu": "ORPO on a CPU",
    "preset.pretrain-cpu": "Pretraining on a CPU",
    "preset.pretrain-full-48gb": "Continued pretraining of Llama 3.2 1B, 48 GB",
    "preset.qlora-cpu": "QLoRA on a CPU",
    "preset.qlora-gpu": "QLoRA on Qwen3 8B, 12 GB",
    "preset.reward-lora-24gb": "Reward model on Qwen3 4B, 24 GB",
    "preset.reward-lora-cpu": "Reward model on a CPU",
    "preset.rloo-math-lora-48gb": "RLOO on GSM8K, 48 GB",
    "preset.sft-dora-24gb": "DoRA on Phi-4 mini, 24 GB",
    "preset.sft-full-16gb": "Full Qwen3 0.6B, 16 GB",
    "preset.sft-full-80gb": "Full SmolLM3 3B, 80 GB",
    "preset.sft-full-8gb": "Full SmolLM2 360M, 8 GB",
    "preset.sft-full-cpu": "Full fine-tuning on a CPU",
    "preset.sft-galore-24gb": "GaLore on Qwen3 1.7B, 24 GB",
    "preset.sft-gemma-lora-8gb": "LoRA on Gemma 3 1B, 8 GB",
    "preset.sft-granite-lora-16gb": "LoRA on Granite 3.3 2B, 16 GB",
    "preset.sft-lora-24gb": "Packed LoRA on SmolLM3 3B, 24 GB",
    "preset.sft-lora-48gb": "LoRA on Mistral 7B, 48 GB",
    "preset.sft-lora-8gb": "LoRA on Qwen3 0.6B, 8 GB",
    "preset.sft-lora-gpu": "LoRA on Qwen3 0.6B, small GPU",
    "preset.sft-qlora-16gb": "QLoRA on Llama 3.1 8B, 16 GB",
    "preset.sft-qlora-48gb": "QLoRA on Qwen3 32B, 48 GB",
    "preset.sft-qlora-8gb": "QLoRA on Qwen3 4B, 8 GB",
    "preset.sft-smollm-cpu": "LoRA on SmolLM2 360M, CPU",
    "preset.simpo-lora-48gb": "SimPO on Llama 3.1 8B, 48 GB",
    "preset.simpo-lora-cpu": "SimPO on a CPU",
}
ZH: dict[str, str] = {
    "preset.classify-lora-8gb": "8 GB：Qwen3 0.6B 分类器",
    "preset.classify-lora-cpu": "CPU 上的分类器",
    "preset.distill-lora-80gb": "80 GB：在策略蒸馏",
    "preset.dpo-lora-80gb": "80 GB：Qwen3 14B DPO",
    "preset.dpo-lora-8gb": "8 GB：Llama 3.2 1B DPO",
    "preset.dpo-lora-cpu": "CPU 上的 DPO",
    "preset.dpo-qlora-24gb": "24 GB：Qwen3 8B DPO",
    "preset.gkd-24gb": "24 GB：Qwen3 4B 教 0.6B（GKD）",
    "preset.grpo-math-lora-16gb": "16 GB：GSM8K 上的 GRPO",
    "preset.grpo-math-lora-80gb": "80 GB：Qwen3 4B 在 GSM8K 上的 GRPO",
    "preset.grpo-math-lora-cpu": "CPU 上的 GRPO 算术",
    "preset.kto-lora-cpu": "CPU 上的 KTO",
    "preset.kto-qlora-16gb": "16 GB：Llama 3.2 3B KTO",
    "preset.orpo-lora-24gb": "24 GB：Llama 3.2 3B ORPO",
    "preset.orpo-lora-cpu": "CPU 上的 ORPO",
    "preset.pretrain-cpu": "CPU 上的继续预训练",
    "preset.pretrain-full-48gb": "48 GB：Llama 3.2 1B 继续预训练",
    "preset.qlora-cpu": "CPU 上的 QLoRA",
    "preset.qlora-gpu": "12 GB：Qwen3 8B QLoRA",
    "preset.reward-lora-24gb": "24 GB：Qwen3 4B 奖励模型",
    "preset.reward-lora-cpu": "CPU 上的奖励模型",
    "preset.rloo-math-lora-48gb": "48 GB：GSM8K 上的 RLOO",
    "preset.sft-dora-24gb": "24 GB：Phi-4 mini DoRA",
    "preset.sft-full-16gb": "16 GB：Qwen3 0.6B 全参数",
    "preset.sft-full-80gb": "80 GB：SmolLM3 3B 全参数",
    "preset.sft-full-8gb": "8 GB：SmolLM2 360M 全参数",
    "preset.sft-full-cpu": "CPU 上的全参数微调",
    "preset.sft-galore-24gb": "24 GB：Qwen3 1.7B GaLore",
    "preset.sft-gemma-lora-8gb": "8 GB：Gemma 3 1B LoRA",
    "preset.sft-granite-lora-16gb": "16 GB：Granite 3.3 2B LoRA",
    "preset.sft-lora-24gb": "24 GB：SmolLM3 3B 打包 LoRA",
    "preset.sft-lora-48gb": "48 GB：Mistral 7B LoRA",
    "preset.sft-lora-8gb": "8 GB：Qwen3 0.6B LoRA",
    "preset.sft-lora-gpu": "小 GPU：Qwen3 0.6B LoRA",
    "preset.sft-qlora-16gb": "16 GB：Llama 3.1 8B QLoRA",
    "preset.sft-qlora-48gb": "48 GB：Qwen3 32B QLoRA",
    "preset.sft-qlora-8gb": "8 GB：Qwen3 4B QLoRA",
    "preset.sft-smollm-cpu": "CPU 上的 SmolLM2 360M LoRA",
    "preset.simpo-lora-48gb": "48 GB：Llama 3.1 8B SimPO",
    "preset.simpo-lora-cpu": "CPU 上的 SimPO",
}
ABOUT: dict[str, str] = {
    "classify-lora-8gb":
        "给一块 8 GB GPU 和需要分类的文本（例如评论）：Qwen3 0.6B 上的分类器，约 2.5 "
        "GB。长度相近的行放在一起，填充就少。",
    "classify-lora-cpu":
        "给想在没有 GPU 的情况下把文本分类的人：在入门模型上加一个五类的分类头。轮数较多，因"
        "为一个类别的信息比一个回答少。",
    "distill-lora-80gb":
        "给一块 80 GB GPU：在策略蒸馏。Qwen3 1.7B 写，Qwen3 14B 逐个 token "
        "指出自己会怎么写；学生约 10 GB，教师 30 GB。只需要提示。",
    "dpo-lora-80gb":
        "给一块 80 GB GPU 和成对回答：bf16 Qwen3 14B 上的 DPO，约 36 GB。混合损失：以 DPO "
        "为主，加一份回答自身的损失，防止较好的回答变得更不可能。",
    "dpo-lora-8gb":
        "给一块 8 GB GPU 和成对回答：Llama 3.2 1B Instruct 上的 DPO，约 4 "
        "GB。参考模型就是关掉适配器的同一个基座，不占额外显存。学习率较低：学偏好要小步走。",
    "dpo-lora-cpu": "给有成对好坏回答、没有 GPU 的人：入门模型上的 LoRA DPO。请看奖励差如何增长。",
    "dpo-qlora-24gb":
        "给一块 24 GB GPU 和成对回答：4 位 Qwen3 8B 上的 DPO，约 8 "
        "GB。两个回答同时读入，所以一次一对；常从 ultrafeedback 开始，请换成自己的数据。",
    "gkd-24gb":
        "给一块 24 GB GPU、想让小模型像大模型一样回答：Qwen3 0.6B 向 Qwen3 4B 学习，学生约 4 "
        "GB，教师 8 GB。一半批次是学生自己的回答，从自己的错误中学习。",
    "grpo-math-lora-16gb":
        "给一块 16 GB GPU 和第一次强化学习：Qwen3 0.6B 做 GSM8K 小学数学题，约 2.8 "
        "GB。一步学习 64 个回答：8 道题各 8 个；只奖励最后的数字。",
    "grpo-math-lora-80gb":
        "给一块 80 GB GPU：Qwen3 4B 在 GSM8K 上的 GRPO，约 14 GB，另加采样的缓存。Dr. GRPO "
        "的损失不会奖励冗长的错误回答；1,024 个 token 留出推理空间。",
    "grpo-math-lora-cpu":
        "给想在租 GPU 之前看到强化学习起作用的人：入门模型做小数加法，只有答对才有奖励。每个"
        "提示八个短回答，因为时间都花在采样上。",
    "kto-lora-cpu":
        "给有逐条好评或差评、没有 GPU 的人：入门模型上的 LoRA KTO。请看奖励差如何增长。",
    "kto-qlora-16gb":
        "给一块 16 GB GPU 和点赞/点踩的回答：4 位 Llama 3.2 3B Instruct 上的 KTO，约 4 "
        "GB。一次四行，因为 KTO 要与同批次的其他行比较；请提高较少一类的权重。",
    "orpo-lora-24gb":
        "给一块 24 GB GPU 和成对回答、之前没有做过 SFT：Llama 3.2 3B 上的 ORPO，约 9 "
        "GB。它同时学习回答与偏好。",
    "orpo-lora-cpu":
        "给有成对好坏回答、没有 GPU、也没有内存放参考模型的人：ORPO "
        "同时学习较好的回答与偏好。学习率高于 DPO，因为也要学习回答本身。",
    "pretrain-cpu":
        "给只有文本、还没有问答的人：继续预训练，学习每个 token，训练全部权重。之后在这个运行"
        "之上教它回答。",
    "pretrain-full-48gb":
        "给一块 48 GB GPU 和大量纯文本，教基座一种语言或一个领域：Llama 3.2 1B 全参数，约 22 "
        "GB。只读一遍：重复的文本教不了多少。请把 TinyStories "
        "换成自己的文本，之后再在其上微调回答。",
    "qlora-cpu":
        "给想在租 GPU 之前看到 QLoRA 起作用的人：入门模型的权重为双重量化的 4 位 "
        "NF4，其上一个 LoRA 适配器。在 CPU 上比 LoRA "
        "慢；它节省的是内存，而入门模型没有多少可省。",
    "qlora-gpu":
        "给一块 12 GB 以上的 GPU：8B 对话模型上的 QLoRA，权重为 4 位 NF4。请把 sample_chat "
        "换成自己的数据。",
    "quickstart":
        "给所有人，从这里开始：教入门模型回答关于它那个小世界的问题，两个 CPU "
        "核约三分钟，不需要网络。演示运行的就是它；训练数据之外的问题，完全答对率从接近 0 "
        "升到 80% 以上。",
    "reward-lora-24gb":
        "给一块 24 GB GPU：用 ultrafeedback 在 Qwen3 4B 上训练奖励模型，约 10 GB，供 "
        "GRPO、RLOO 或筛选数据使用。只训一轮：奖励模型很早就过拟合。",
    "reward-lora-cpu":
        "给想要一个给回答打分的模型的人（用来筛选数据或奖励别的运行）：在成对回答上训练，不需"
        "要 GPU。请看准确率；分数的均值会被拉向 0，便于比较。",
    "rloo-math-lora-48gb":
        "给一块 48 GB GPU、想让强化学习不偏离基座：Qwen3 1.7B 在 GSM8K 上的 RLOO，约 7 "
        "GB。每题四个回答，各与其余三个的均值比较。",
    "sft-dora-24gb":
        "给一块 24 GB GPU、LoRA 不及全参数的情况：Phi-4 mini 上的 DoRA，约 9 "
        "GB。它把幅度与方向分开学习；一步更慢，所以秩保持 16 即可。",
    "sft-full-16gb":
        "给想在一块 16 GB GPU 上训练全部权重的人：Qwen3 0.6B 全参数，约 8 "
        "GB。适合上万行数据；数据更少时，LoRA 遗忘得更少。",
    "sft-full-80gb":
        "给想在一块 80 GB GPU 上训练 3B 模型全部权重的人：SmolLM3 全参数，约 34 GB。8 "
        "位动量节省 18 GB，因而能放下两行 2,048 个 token。",
    "sft-full-8gb":
        "给想在一块 8 GB GPU 上训练全部权重的人：SmolLM2 360M 全参数，约 5 GB。8 位动量比 "
        "float32 省四分之一；全参数训练的学习率约为 LoRA 的十分之一。",
    "sft-full-cpu":
        "给想在没有 GPU 时训练小模型全部权重的人：在对话上全参数微调入门模型。每个参数约需 "
        "16 字节内存。",
    "sft-galore-24gb":
        "给想在一块 24 GB GPU 上训练 1.7B 模型全部权重的人：GaLore 只在 128 "
        "维里保存梯度动量，约 19 GB。学到的与全参数相同，优化器却像适配器一样小。",
    "sft-gemma-lora-8gb":
        "给一块 8 GB GPU 和多语言回答：Gemma 3 1B 上的 LoRA，约 3 "
        "GB。它的词表很大，所以批次较小。需要先在 Hub 上接受许可。",
    "sft-granite-lora-16gb":
        "给一块 16 GB GPU 和许可开放的企业模型：Granite 3.3 2B 上的 LoRA，约 7 GB。基座保持 "
        "bf16，一次两行 1,024 个 token。",
    "sft-lora-24gb":
        "给一块 24 GB GPU 和许多短文本：SmolLM3 3B 上的 LoRA，约 9 GB。多行装入 2,048 个 "
        "token 的一条序列，不在填充上浪费计算。",
    "sft-lora-48gb":
        "给一块 48 GB GPU 和长对话：bf16 Mistral 7B 上的 LoRA，4,096 个 token，约 20 "
        "GB。各行打包，短文本不浪费填充。",
    "sft-lora-8gb":
        "给一块 8 GB GPU、第一个真正的模型：Qwen3 0.6B 上的 LoRA，约 2.5 GB。基座保持 "
        "bf16，不因量化而损失；一步 16 行，适合几百行自己的数据（替换 sample_chat）。",
    "sft-lora-gpu":
        "给一块 8 GB 以上的 GPU：Qwen3 0.6B 上的 LoRA。请把 sample_chat 换成自己的数据。",
    "sft-qlora-16gb":
        "给一块 16 GB GPU 和 8B 对话模型：Llama 3.1 8B Instruct 上的 QLoRA，约 7 "
        "GB。所有线性层上秩 16，QLoRA 论文认为这与全参数相当。",
    "sft-qlora-48gb":
        "给一块 48 GB GPU 和 32B 模型：Qwen3 32B 上的 QLoRA，约 23 "
        "GB。一次一行；遇到长文本时，分页优化器会移到内存。",
    "sft-qlora-8gb":
        "给想在一块 8 GB GPU 上训练 4B 模型的人：Qwen3 4B Instruct 上的 QLoRA，约 4 "
        "GB。一次一行加分页 8 位优化器，为激活值留出空间。",
    "sft-smollm-cpu":
        "给想在没有 GPU 的笔记本上教一个真正的对话模型的人：SmolLM2 360M 上的 LoRA，约需 5 "
        "GB。短文本与小批次使一步只需几秒；请把 sample_chat 换成自己的数据。",
    "simpo-lora-48gb":
        "给一块 48 GB GPU 和更长的成对回答：Llama 3.1 8B 上的 SimPO，约 19 "
        "GB。没有参考模型；beta 10 与 0.3 倍的间隔是论文在 Llama 3 Instruct 上所用。",
    "simpo-lora-cpu":
        "给想按回答的平均对数概率学习偏好的人：不需要参考模型，也不需要 GPU。beta 2 与间隔 "
        "0.5 是论文中较温和的一端。",
}
