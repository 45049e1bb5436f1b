"""Words of the form and the run page that belong to no method alone."""

from __future__ import annotations

from app.board.i18n.methods import board_zh

EN: dict[str, str] = {
    "unit.layers": "layers",
    # Headings of the advanced fields
    "group.": "Run", "group.model": "Model", "group.data": "Data", "group.data.filters": "Filters",
    "group.tuner": "Tuner", "group.training": "Training loop", "group.optimizer": "Optimizer",
    "group.memory": "Memory and speed", "group.watching": "Watching over it",
    "group.sft": "Supervised loss", "group.dpo": "DPO", "group.orpo": "ORPO",
    "group.simpo": "SimPO", "group.cpo": "CPO", "group.kto": "KTO",
    "group.reward": "Reward model", "group.classification": "Classification",
    "group.rollout": "Sampling of answers", "group.grpo": "GRPO", "group.rloo": "RLOO",
    "group.teacher": "Teacher", "group.lr_finder": "Learning rate finder",
    "group.evaluation": "Evaluation", "group.tracking": "Tracking",
    # Objectives
    "objectives.answers": "From examples", "objectives.preferences": "From preferences",
    "objectives.trying": "By trying", "objectives.teacher": "From a teacher",
    "choice.objective.sft": "Supervised", "choice.objective.pretrain": "Pretraining",
    "choice.objective.classification": "Classification", "choice.objective.dpo": "DPO",
    "choice.objective.kto": "KTO", "choice.objective.orpo": "ORPO",
    "choice.objective.simpo": "SimPO", "choice.objective.cpo": "CPO",
    "choice.objective.reward": "Reward model", "choice.objective.grpo": "GRPO",
    "choice.objective.rloo": "RLOO", "choice.objective.distillation": "On-policy distillation",
    "choice.objective.gkd": "GKD",
    "objective.orpo": "ORPO", "objective.simpo": "SimPO", "objective.cpo": "CPO",
    "objective.reward": "Reward model", "objective.grpo": "GRPO", "objective.rloo": "RLOO",
    "objective.distillation": "Distillation", "objective.gkd": "GKD",
    "objective.classification": "Classification",
    "about.objective.sft": "Learns to answer as in your examples. Data: questions with answers, or "
                           "conversations.",
    "about.objective.pretrain": "Learns the language and facts of your texts. Data: plain text.",
    "about.objective.classification": "Learns to sort text into classes. Data: texts with a "
                                      "label.",
    "about.objective.dpo": "Learns which of two answers is better, held to the model as it was; "
                           "the usual choice. Data: a question with a chosen and a rejected "
                           "answer.",
    "about.objective.kto": "Learns from answers judged one by one. Data: a question, an answer and "
                           "whether it is desired.",
    "about.objective.orpo": "Learns answers and preference in one go, without a reference model. "
                            "Data: a question with a chosen and a rejected answer.",
    "about.objective.simpo": "Prefers by mean likelihood, without a reference model. Data: a "
                             "question with a chosen and a rejected answer.",
    "about.objective.cpo": "Prefers by contrast, without a reference model; known from "
                           "translation. Data: a question with a chosen and a rejected answer.",
    "about.objective.reward": "Trains a model that scores answers, for GRPO or ranking; it cannot "
                              "be talked to. Data: a question with a chosen and a rejected answer.",
    "about.objective.grpo": "Writes several answers to each question and learns from those that "
                            "score best. Data: questions, with a reference where a reward needs "
                            "one.",
    "about.objective.rloo": "Like GRPO, with the other answers' mean as baseline. Data: questions, "
                            "with a reference where a reward needs one.",
    "about.objective.distillation": "Writes answers itself and learns to rate every token as a "
                                    "larger model does. Data: questions.",
    "about.objective.gkd": "Learns from a teacher on your answers and on its own. Data: questions "
                           "with answers.",
    # Tuners
    "tuners.usual": "Usual", "tuners.adapters": "Further adapters", "tuners.prompts": "Prompts",
    "about.tuner.type.lora": "small matrices beside frozen weights",
    "about.tuner.type.full": "every weight; most memory",
    "about.tuner.type.freeze": "the last or first layers only",
    "about.tuner.type.adalora": "LoRA whose ranks move to where they help",
    "about.tuner.type.oft": "rotates weights in blocks",
    "about.tuner.type.boft": "rotates weights by butterfly factors",
    "about.tuner.type.vera": "shared random matrices, trained scales; very small",
    "about.tuner.type.randlora": "full-rank sums of random bases",
    "about.tuner.type.ia3": "scales activations; tiny",
    "about.tuner.type.loha": "Hadamard products of small matrices",
    "about.tuner.type.lokr": "Kronecker products of small matrices",
    "about.tuner.type.miss": "shards that share one matrix",
    "about.tuner.type.fourierft": "a few frequencies of the update",
    "about.tuner.type.hra": "Householder reflections",
    "about.tuner.type.vblora": "vectors from one shared bank",
    "about.tuner.type.shira": "a sparse part of the weights",
    "about.tuner.type.hira": "LoRA multiplied with the weights",
    "about.tuner.type.delora": "LoRA with a bounded, normalised step",
    "about.tuner.type.gralora": "LoRA in a grid of blocks",
    "about.tuner.type.c3a": "circular convolutions",
    "about.tuner.type.road": "rotations in pairs of features",
    "about.tuner.type.waveft": "a few wavelet coefficients",
    "about.tuner.type.ln_tuning": "the scales of normalisation",
    "about.tuner.type.prompt_tuning": "trained tokens before the text",
    "about.tuner.type.prefix_tuning": "trained keys and values in every layer",
    "about.tuner.type.p_tuning": "trained tokens from a small network",
    # Choosers and rewards
    "chooser.add": "Add…", "chooser.remove": "Remove", "chooser.weight": "Weight",
    "chooser.fits": "Fits the objective", "chooser.others": "Made for another objective",
    "reward.add": "Add a reward", "reward.words.remove": "Remove this reward",
    "reward.words.consent": "I have read this file and let it run on this machine",
    "reward.words.optional": "optional",
    "reward.words.weight": "Weight",
    "reward.exact_answer": "Right answer", "reward.regex": "Contains a pattern",
    "reward.format": "Has a format", "reward.length": "Length", "reward.language": "Language",
    "reward.json_schema": "Valid JSON", "reward.reward_model": "Reward model",
    "reward.judge": "Judge (a model at a server)", "reward.python": "Own Python file",
    "reward.key.pattern": "Pattern", "reward.key.target": "Target (tokens)",
    "reward.key.language": "Language", "reward.key.json_schema": "Schema",
    "reward.key.model": "Model", "reward.key.base_url": "Address",
    "reward.key.instruction": "Instruction", "reward.key.path": "File",
    "reward.key.weight": "Weight",
    # Learning rate finder
    "finder.button": "Find a learning rate", "finder.suffix": " · learning rate",
    "finder.taken": "Cloned with the learning rate {rate} that the sweep proposed.",
    "finder.title": "Learning rate finder", "finder.use": "Use this rate",
    "finder.proposal": "The sweep proposes the learning rate {rate}.",
    "finder.none": "The sweep found no rate at which the loss falls. Widen its bounds, or raise "
                   "its steps.",
    # Import
    "import.help": "A config of this studio, or a LLaMA-Factory YAML: its keys are translated.",
    "import.empty": "Paste a config first.",
    "import.untouched": "The form stays as it was.",
    "import.title": "Taken over from LLaMA-Factory", "import.kept": "kept",
    "import.renamed": "renamed", "import.changed": "changed", "import.dropped": "dropped",
    "import.defaults": "Its defaults that differ from ours",
    "import.head.key": "Key", "import.head.action": "What became of it",
    "import.head.reason": "Why", "as.script": "As a Python script",
    "run.script": "Python script",
    # Warnings
    "warning.gradient_spike": "The gradient has jumped",
    "warning.nan_gradient": "The gradient was not a number",
    "warning.best_checkpoint": "The best checkpoint could not be taken",
    # Results
    "chat.cannot.head": "This result gives scores, not words: it cannot be talked to.",
    "chat.cannot.finder": "A learning rate finder trains nothing, so there is no result to talk "
                          "to.",
    "stat.accuracy": "held-out accuracy",
    "stat.reward": "reward",
    # Charts
    "chart.reward": "Reward", "chart.reward_std": "Spread of rewards",
    "chart.rewards_chosen": "Reward of chosen answers",
    "chart.rewards_rejected": "Reward of rejected answers",
    "chart.logps_chosen": "Log-likelihood, chosen", "chart.logps_rejected":
        "Log-likelihood, rejected",
    "chart.kl": "KL to the reference", "chart.entropy": "Entropy",
    "chart.completions_mean_length": "Answer length (tokens)",
    "chart.completions_clipped_ratio": "Share of cut answers",
    "chart.frac_reward_zero_std": "Prompts with equal rewards",
    "chart.accuracy": "Accuracy", "chart.evaluation": "evaluation",
    "chart.tokens_per_s": "Tokens per second", "chart.mfu": "Use of the device (MFU)",
    "chart.memory_mib": "Memory (MiB)", "chart.lr_finder_loss": "Loss over learning rate",
    "chart.rate": "rate", "chart.proposal": "proposed",
    "chart.group.quality": "Quality", "chart.group.answers": "Answers",
    "chart.group.training": "Training", "chart.group.machine": "Machine",
    "chart.group.other": "Other",
}
ZH: dict[str, str] = board_zh.ZH
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES: dict[str, str] = {
    "dict_type": "{value} 不是“名称=数字”的列表。",
    "needs_cuda": "“{title}”需要 CUDA 设备，而这次运行会在 {device} 上训练。",
    "fp8_capability": "fp8 需要计算能力 8.9；{device} 为 {shown}。",
    "package_missing": "“{title}”需要软件包“{package}”，但它没有安装。",
}
ADVICE: dict[str, str] = {
    "dict_type": "请写成“名称=数字”，用逗号分隔。",
    "needs_cuda": "请关闭它。", "fp8_capability": "请关闭它。",
    "package_missing": "运行 pip install {package}；或另选其他。",
}
REASONS: dict[str, str] = {}
