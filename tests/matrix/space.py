"""The form's space: every field of the run config with the values that are combined.

Fields that are always there are combined pairwise (allpairspy); fields that only mean something
beside others are drawn at random where they do. A field that is not combined is named in
``LEFT_OUT`` with the reason; a test holds the three together against the config itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from allpairspy import AllPairs

from trainer.contract.config import FieldInfo, all_fields, default_of, is_relevant

Values = dict[str, Any]

# Another value beside the default, for fields that are neither a choice nor a tick.
OTHERS: dict[str, list[Any]] = {
    "data.val_size": [8], "data.max_length": [64], "data.max_samples": [20],
    "data.filters.min_characters": [5], "data.filters.include": ["."],
    "tuner.r": [3], "tuner.lora_alpha": [7], "tuner.lora_dropout": [0.1],
    "tuner.target_modules": [["q_proj", "v_proj"], ["lm_head"]],
    "tuner.modules_to_save": [["norm"], ["embed_tokens", "lm_head"]],
    "tuner.layers_to_transform": [[0, 2]], "tuner.loraplus_lr_ratio": [16.0],
    "tuner.rank_pattern": [{"q_proj": 4}], "tuner.alpha_pattern": [{"q_proj": 4}],
    "tuner.trainable_token_indices": [[5, 7]],
    "tuner.freeze.layers": [-1], "tuner.freeze.modules": [["mlp"]],
    "tuner.freeze.extra_modules": [["embed_tokens"], ["norm"]],
    "tuner.adalora.tinit": [1], "tuner.oft.oft_block_size": [16],
    "tuner.ia3.feedforward_modules": [["down_proj"]],
    "tuner.loha.rank_dropout": [0.1],
    "tuner.lokr.decompose_factor": [8], "tuner.fourierft.n_frequency": [50],
    "tuner.vblora.vector_length": [32], "tuner.prompt.num_virtual_tokens": [4],
    "tuner.prompt.encoder_hidden_size": [32], "tuner.prompt.init_text": ["Answer the question."],
    "training.per_device_train_batch_size": [4], "training.gradient_accumulation_steps": [2],
    "training.warmup_steps": [1], "training.schedule.num_cycles": [2.0],
    "training.schedule.power": [2.0], "training.projection.rank": [8],
    "training.projection.target_modules": [["mlp"]],
    "training.muon.adamw_learning_rate": [1e-3], "training.weight_decay": [0.1],
    "training.max_grad_norm": [0.0], "training.neftune_noise_alpha": [5.0],
    "training.label_smoothing_factor": [0.1], "training.gradient_checkpointing_every": [2],
    "training.early_stopping_patience": [1], "training.eval_steps": [1],
    "training.save_steps": [1], "training.logging_steps": [2],
    "dpo.mixture": [{"sigmoid": 0.8, "bco_pair": 0.2, "sft": 1.0}],
    "dpo.label_smoothing": [0.1], "dpo.ld_alpha": [0.5],
    "simpo.cpo_alpha": [1.0], "simpo.label_smoothing": [0.1], "cpo.label_smoothing": [0.1],
    "kto.desirable_weight": [2.0], "reward.center_rewards_coefficient": [0.01],
    "rollout.temperature": [0.7], "rollout.top_p": [0.9], "rollout.top_k": [20],
    "rollout.min_p": [0.05], "rollout.repetition_penalty": [1.2],
    "rollout.num_generations": [4],
    "rollout.rewards": [[{"name": "exact_answer"}],
                        [{"name": "regex", "pattern": "[aeiou]", "weight": 2.0},
                         {"name": "format", "pattern": ".{1,40}"}]],
    "grpo.beta": [0.05], "grpo.epsilon_high": [0.28], "grpo.num_iterations": [2],
    "rloo.beta": [0.0], "rloo.num_iterations": [2], "teacher.beta": [0.0, 1.0],
    "teacher.lmbda": [0.0, 1.0], "evaluation.samples": [0, 1],
    "evaluation.prompts": [["Who are you?"]], "evaluation.metrics": [["chrf"]],
}
# Why a field has only one value here. Most are numbers whose value decides nothing but a factor.
FACTOR = "a number that changes no path through the code"
LEFT_OUT: dict[str, str] = {
    "name": "no effect", "model.name_or_path": "the architectures have a test of their own",
    "model.revision": "hubs only", "model.adapters": "needs finished adapters: tested apart",
    "data.train": "given by the objective", "data.eval": "val_size takes its place",
    "data.template": "the data's tests", "data.near_threshold": FACTOR,
    "data.filters.max_characters": "like min_characters", "data.filters.languages": "an extra",
    "data.filters.exclude": "like include",
    "data.preprocessing_num_workers": "the data's tests",
    "tuner.continue_from": "needs a finished adapter: tested apart",
    "tuner.target_parameters": "the starter has no fused experts: the architectures' test",
    "training.num_train_epochs": "max_steps is set", "training.max_steps": "two",
    "training.per_device_eval_batch_size": FACTOR, "training.learning_rate": FACTOR,
    "training.seed": FACTOR, "training.device": "this machine's",
    "training.save_total_limit": FACTOR, "training.stop_on_nan": FACTOR,
    "training.torch_compile": "a minute of compiling a case: tested apart",
    "teacher.name_or_path": "the starter", "teacher.revision": "hubs only",
    "classification.labels": "taken from the data", "rollout.max_completion_length": "eight",
    "lr_finder.enabled": "no training: tested apart", "tracking.project": "no effect",
    "tracking.mode": "the tracker's tests", "tracking.backend": "the tracker's tests",
    "evaluation.generate_steps": "a multiple of eval_steps: tested apart",
    "training.metric_for_best_model": "only beside its own metric: tested apart",
    "evaluation.limit": "eight", "evaluation.max_new_tokens": "eight",
}
SAMPLES = {"turns": "sample_instructions", "text": "sample_text", "pairs": "sample_preferences",
           "judged": "sample_kto", "prompts": "sample_questions", "labelled": "sample_classes"}


def is_factor(info: FieldInfo) -> bool:
    """Tell whether a field without another value is only a number to scale by."""
    return info.kind in ("number", "integer") and info.path not in OTHERS


def choices_of(info: FieldInfo) -> list[Any]:
    """Return the values of a field that are combined, the default first."""
    default = info.default
    if info.path in LEFT_OUT or is_factor(info):
        return [default]
    if info.kind == "choice":
        return [default, *(value for value in info.choices if value != default)]
    if info.kind == "boolean":
        return [default, not default]
    return [default, *OTHERS.get(info.path, [])]


def always() -> list[FieldInfo]:
    """Return the fields that mean something in every config and have a choice."""
    return [info for info in all_fields().values() if not info.only and len(choices_of(info)) > 1]


def sometimes() -> list[FieldInfo]:
    """Return the fields that mean something only beside others, and have a choice."""
    return [info for info in all_fields().values() if info.only and len(choices_of(info)) > 1]


def rows(seed: int = 0) -> Iterator[Values]:
    """Yield configs as values by dotted path: every pair of the fields of ``always`` is in one."""
    chance = random.Random(seed)
    fields = sorted(always(), key=lambda info: -len(choices_of(info)))
    shuffled = [chance.sample(choices_of(info), len(choices_of(info))) for info in fields]
    indices = [list(range(len(values))) for values in shuffled]
    for chosen in AllPairs(indices):
        values = {info.path: options[index]
                  for info, options, index in zip(fields, shuffled, chosen, strict=True)}
        yield filled(values, chance)


def filled(values: Values, chance: random.Random) -> Values:
    """Add the fields that mean something beside these, each with any of its values."""
    found = dict(values)
    for info in sometimes():
        if is_relevant(info, found):
            found[info.path] = chance.choice(choices_of(info))
    return found


def shown(value: Any) -> str:
    """Return a value as the pairs name it."""
    return repr(value)


def nested(values: Values) -> dict[str, Any]:
    """Return values by dotted path as a config file holds them."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        node = found
        *sections, name = path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return found


def small(values: Values) -> Values:
    """Return a config's values with what makes it small: its sample data and two steps."""
    from trainer.contract.config import OBJECTIVES

    objective = values.get("objective", default_of("objective"))
    rows_kind = OBJECTIVES[objective].rows
    return {"data.max_samples": 40, "data.max_length": 128, **values, "name": "matrix",
            "data.train": [SAMPLES[rows_kind]], "training.max_steps": 2,
            "evaluation.limit": 4, "evaluation.max_new_tokens": 4,
            "rollout.max_completion_length": 8, "training.per_device_eval_batch_size": 4,
            **({"teacher.name_or_path": "starter"} if OBJECTIVES[objective].teacher else {}),
            **({"rollout.rewards": [{"name": "regex", "pattern": "[aeiou]"}]}
               if objective in ("grpo", "rloo") and not values.get("rollout.rewards") else {})}
