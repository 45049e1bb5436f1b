"""What choices mean, what was chosen, and what is measured, in people's words."""

from __future__ import annotations

from app.board.i18n.methods import shown_zh

EN: dict[str, str] = {
    # What was chosen that is no field
    "chosen.result": "Result", "chosen.lm_head": "Output head", "chosen.reference": "Reference",
    "chosen.weights": "Weights in memory", "value.true": "on", "value.false": "off",
    # Charts
    "chart.tflops_per_s": "TFLOP per second",
    "chart.nll_loss": "Loss on chosen answers", "chart.log_odds_ratio": "Log odds ratio",
    "chart.log_odds_chosen": "Log odds of chosen answers",
    "chart.logits_chosen": "Mean logit, chosen", "chart.logits_rejected": "Mean logit, rejected",
    "chart.mean_reward": "Mean score", "chart.macro_f1": "Macro F1",
    "chart.aux_loss": "Load balance of experts", "chart.policy_loss": "Policy loss",
    "chart.clip_ratio_low_mean": "Share clipped below",
    "chart.clip_ratio_high_mean": "Share clipped above",
    "chart.clip_ratio_region_mean": "Share of clipped tokens",
    "chart.cispo_clip_ratio": "Share of clipped tokens (CISPO)",
    "chart.vespo_phi_seq_mean": "Weight of sequences (VESPO)",
    "chart.entropy_coef": "Weight of the entropy",
    # Values of plain choices
    "choice.model.dtype.auto": "Automatic", "choice.model.attn_implementation.auto": "Automatic",
    "choice.data.mix_strategy.concat": "One after the other, shuffled",
    "choice.data.mix_strategy.interleave_under": "Until the first runs out",
    "choice.data.mix_strategy.interleave_over": "Until each was seen",
    "choice.data.deduplicate.none": "Keep all", "choice.data.deduplicate.exact": "Exact copies",
    "choice.data.deduplicate.near": "Near copies, too",
    "choice.training.badam.switch_mode.ascending": "First to last",
    "choice.training.badam.switch_mode.descending": "Last to first",
    "choice.training.badam.switch_mode.random": "At random",
    "choice.training.ema.type.none": "None", "choice.training.ema.type.ema": "EMA",
    "choice.training.ema.type.bema": "BEMA, without the lag",
    "choice.training.packing.none": "None", "choice.training.packing.bfd": "Best fit",
    "choice.training.packing.wrapped": "Cut to fill",
    "choice.tracking.mode.offline": "Offline", "choice.tracking.mode.local": "Local",
    "choice.tracking.mode.cloud": "Cloud",
    "choice.grpo.importance_sampling_level.token": "Token",
    "choice.grpo.importance_sampling_level.sequence": "Sequence (GSPO)",
    "choice.grpo.scale_rewards.group": "By the group", "choice.grpo.scale_rewards.batch":
        "By the batch", "choice.grpo.scale_rewards.none": "Not at all",
    "choice.classification.loss_type.cross_entropy": "Cross-entropy",
    "choice.classification.loss_type.focal": "Focal",
    # Optimizers
    "about.training.optim.adamw_torch": "the usual one",
    "about.training.optim.adamw_torch_fused": "the same in one kernel",
    "about.training.optim.adamw_8bit": "a quarter of the state",
    "about.training.optim.paged_adamw_8bit": "8 bits, moved to host memory when short",
    "about.training.optim.paged_adamw_32bit": "moved to host memory when short",
    "about.training.optim.adamw_torch_8bit": "8 bits by torchao",
    "about.training.optim.adamw_torch_4bit": "4 bits by torchao",
    "about.training.optim.adafactor": "factored state, little memory",
    "about.training.optim.sgd": "no state, or momentum",
    "about.training.optim.adagrad": "sums all past gradients",
    "about.training.optim.rmsprop": "scales by recent gradients",
    "about.training.optim.lion_32bit": "signs only, half the state",
    "about.training.optim.lion_8bit": "signs only, 8 bits",
    "about.training.optim.paged_lion_8bit": "8 bits, moved to host memory when short",
    "about.training.optim.ademamix": "a second, slow momentum",
    "about.training.optim.ademamix_8bit": "a second momentum, 8 bits",
    "about.training.optim.paged_ademamix_8bit": "8 bits, moved to host memory when short",
    "about.training.optim.schedule_free_adamw": "needs no schedule",
    "about.training.optim.schedule_free_radam": "needs neither schedule nor warm-up",
    "about.training.optim.schedule_free_sgd": "plain, needs no schedule",
    "about.training.optim.galore_adamw": "gradients in a small subspace",
    "about.training.optim.galore_adamw_8bit": "small subspace, 8 bits",
    "about.training.optim.galore_adafactor": "small subspace, factored state",
    "about.training.optim.galore_adamw_layerwise": "a layer at a time",
    "about.training.optim.apollo_adamw": "scales from a random projection",
    "about.training.optim.apollo_adamw_layerwise": "random projection, a layer at a time",
    "about.training.optim.badam": "one block of layers at a time",
    "about.training.optim.adam_mini": "one rate a block, half the state",
    "about.training.optim.muon": "orthogonal steps for matrices",
    "about.training.optim.lomo": "updates while going backwards",
    "about.training.optim.adalomo": "the same, with adaptive rates",
    # Schedules
    "about.training.lr_scheduler_type.linear": "a straight line down to 0",
    "about.training.lr_scheduler_type.cosine": "slow, fast, slow down to 0",
    "about.training.lr_scheduler_type.cosine_with_restarts": "several times from the top",
    "about.training.lr_scheduler_type.cosine_with_min_lr": "down to a least rate",
    "about.training.lr_scheduler_type.cosine_warmup_with_min_lr": "warm-up from a least rate, too",
    "about.training.lr_scheduler_type.polynomial": "by a power, down to a least rate",
    "about.training.lr_scheduler_type.constant": "always the same",
    "about.training.lr_scheduler_type.constant_with_warmup": "the same after the warm-up",
    "about.training.lr_scheduler_type.inverse_sqrt": "by the root of the steps",
    "about.training.lr_scheduler_type.warmup_stable_decay": "WSD: up, level, down",
    "about.training.lr_scheduler_type.reduce_lr_on_plateau": "down when evaluation stalls",
    "about.training.lr_scheduler_type.greedy": "up and down by the loss",
    # Losses
    "about.sft.loss_type.nll": "the usual one",
    "about.sft.loss_type.dft": "weighs tokens by their probability",
    "about.sft.loss_type.eaft": "weighs tokens by their entropy",
    "about.sft.loss_type.asft": "DFT held to the base",
    "about.dpo.loss_type.sigmoid": "the usual one",
    "about.dpo.loss_type.hinge": "stops pushing past a margin",
    "about.dpo.loss_type.ipo": "bounds the margin",
    "about.dpo.loss_type.robust": "expects wrong labels",
    "about.dpo.loss_type.exo_pair": "reverse KL to an exact target",
    "about.dpo.loss_type.nca_pair": "absolute likelihoods, too",
    "about.dpo.loss_type.bco_pair": "tells good from bad answers",
    "about.dpo.loss_type.sppo_hard": "pushes to fixed scores",
    "about.dpo.loss_type.aot": "compares distributions, in pairs",
    "about.dpo.loss_type.aot_unpaired": "compares distributions, unpaired",
    "about.dpo.loss_type.apo_zero": "chosen up, rejected down",
    "about.dpo.loss_type.apo_down": "both down, rejected more",
    "about.dpo.loss_type.discopop": "found by search",
    "about.dpo.loss_type.sigmoid_norm": "by length",
    "about.dpo.loss_type.sft": "chosen answers only",
    "about.grpo.loss_type.grpo": "mean by answer", "about.grpo.loss_type.dr_grpo":
        "no bias by length", "about.grpo.loss_type.dapo": "mean over all tokens of the step",
    "about.grpo.loss_type.bnpo": "mean over the tokens of the batch",
    "about.grpo.loss_type.cispo": "clips weights, not tokens",
    "about.grpo.loss_type.sapo": "a soft gate in place of clipping",
    "about.grpo.loss_type.luspo": "sequences weighted by length",
    "about.grpo.loss_type.vespo": "sequences weighted smoothly",
}
ZH: dict[str, str] = shown_zh.ZH
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES: dict[str, str] = {}
ADVICE: dict[str, str] = {}
# Values that a choice has in words.
REASONS: dict[str, str] = {
    "The gradient norm of step {step} is {norm}, {times} times the median of the steps before "
    "({usual}). If the loss jumps as well, lower the learning rate or clip harder.":
        "第 {step} 步的梯度范数为 {norm}，是此前各步中位数（{usual}）的 {times} 倍。"
        "如果损失也突然变大，请降低学习率或加强裁剪。",
    "a frozen copy": "一份冻结的副本", "reused": "沿用之前的",
    "experts are not adapted": "专家不被适配", "stopped at step {step}": "在第 {step} 步停止",
    "the mean of the weights at step {step}": "第 {step} 步的权重平均",
}
