"""Length, batches, steps, evaluation and where metrics go."""

from __future__ import annotations

from app.migrate.draft import Draft

WHOLES = {key: f"training.{key}" for key in (
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
    "seed")}
NUMBERS = {key: f"training.{key}" for key in (
    "num_train_epochs", "learning_rate", "weight_decay", "adam_beta1", "adam_beta2",
    "adam_epsilon", "max_grad_norm", "neftune_noise_alpha", "label_smoothing_factor")}
FLAGS = {"torch_compile": "training.torch_compile", "fp8": "training.fp8",
         "enable_liger_kernel": "training.use_liger_kernel",
         "load_best_model_at_end": "training.load_best_model_at_end"}
BY_EPOCH = "Finestra counts steps, not epochs: it is done once at the end; set it in steps."
PAIRED = "KTO compares the rows of a batch: two at a time, as many in a step."
GROUPED = "GRPO compares answers to one prompt: a step holds whole groups of them."
SCORES = {"rouge-1": ("rouge", "eval_rouge1"), "rouge-2": ("rouge", "eval_rouge2"),
          "rouge-l": ("rouge", "eval_rougeL"), "bleu-4": ("bleu", "eval_bleu")}
SHARES = "A share of all steps needs max_steps to be a number of steps: it is done at the end."


def training(draft: Draft) -> None:
    """Set the section ``training`` but for optimizer and schedule."""
    for key, field in WHOLES.items():
        if (whole := draft.whole(key)) is not None:
            draft.put(key, field, whole)
    for key, field in NUMBERS.items():
        if (number := draft.number(key)) is not None:
            draft.put(key, field, number)
    for key, field in FLAGS.items():
        if draft.has(key):
            draft.put(key, field, draft.flag(key))
    draft.default("learning_rate", "training.learning_rate", 5e-5)
    steps = draft.whole("max_steps")
    if steps is not None and steps > 0:
        draft.put("max_steps", "training.max_steps", steps)
    elif steps is not None:
        draft.say("max_steps", "kept", "Below 1 it means: by epochs.", "training.max_steps")
    _judged_batches(draft)
    _whole_groups(draft)
    _checkpointing(draft)
    _grouping(draft)
    _logging(draft)
    _saving(draft)
    _evaluating(draft)
    _watching(draft)
    if draft.has("use_cpu"):
        draft.put("use_cpu", "training.device", "cpu" if draft.flag("use_cpu") else "auto")


def _judged_batches(draft: Draft) -> None:
    """Give KTO two rows at a time, with as many in a step: it compares the rows of a batch."""
    size, steps = "per_device_train_batch_size", "gradient_accumulation_steps"
    if draft.values.get("objective") != "kto" or draft.values.get(WHOLES[size]) != 1:
        return
    draft.rows.pop(size, None)
    draft.put(size, WHOLES[size], 2, PAIRED)
    many = draft.values.get(WHOLES[steps], 1)
    if many > 1:
        draft.rows.pop(steps, None)
        draft.put(steps, WHOLES[steps], -(-many // 2), PAIRED)


def _whole_groups(draft: Draft) -> None:
    """Give GRPO as many answers to a prompt as fit a step whole."""
    if draft.values.get("objective") != "grpo":
        return
    key, field = "gradient_accumulation_steps", "training.gradient_accumulation_steps"
    size = draft.values.get("training.per_device_train_batch_size", 8)
    answers = size * draft.values.get(field, 1)
    group = next((number for number in (8, 7, 6, 5, 4, 3, 2) if answers % number == 0), 0)
    if not group:
        group = 8
        draft.rows.pop(key, None)
        draft.put(key, field, 8, GROUPED)
    draft.default("stage", "rollout.num_generations", group, GROUPED)


def _checkpointing(draft: Draft) -> None:
    field = "training.gradient_checkpointing"
    off = draft.flag("disable_gradient_checkpointing")
    if draft.has("disable_gradient_checkpointing"):
        draft.put("disable_gradient_checkpointing", field, not off)
    else:
        draft.default("disable_gradient_checkpointing", field, True)
    draft.say("gradient_checkpointing", "kept" if draft.flag("gradient_checkpointing") != off
              else "changed", "LLaMA-Factory goes by disable_gradient_checkpointing.", field)
    if draft.flag("use_unsloth_gc"):
        draft.put("use_unsloth_gc", "training.activation_offloading", True)
    draft.say("use_unsloth_gc", "kept", "It is off, as here.")


def _grouping(draft: Draft) -> None:
    field, way = "training.group_by_length", draft.text("train_sampling_strategy")
    if way == "sequential":
        draft.put("train_sampling_strategy", "data.shuffle", False)
    elif way:
        draft.put("train_sampling_strategy", field, way == "group_by_length")
    if draft.has("group_by_length"):
        draft.put("group_by_length", field, draft.flag("group_by_length"))
    draft.default("train_sampling_strategy", field, False)


def _in_steps(draft: Draft, key: str) -> int | None:
    """Return a number of steps; a share below 1 is taken of max_steps. None means at the end."""
    value, steps = draft.number(key), draft.values.get("training.max_steps")
    if value is None or value <= 0:
        return None
    if value >= 1:
        return int(value)
    return max(1, round(value * steps)) if steps else None


def _logging(draft: Draft) -> None:
    every = draft.number("logging_steps")
    if every is None:
        return
    steps = _in_steps(draft, "logging_steps")
    draft.put("logging_steps", "training.logging_steps", steps or 1,
              "" if every >= 1 else "A share of the steps as a number of them.")


def _saving(draft: Draft) -> None:
    field, way = "training.save_steps", draft.text("save_strategy", "steps")
    _steps(draft, "save_steps", "save_strategy", field, way)
    if way == "steps":
        draft.default("save_steps", field, 500)
    limit = draft.whole("save_total_limit")
    if limit is not None:
        draft.put("save_total_limit", "training.save_total_limit", max(2, limit),
                  "" if limit >= 2 else "At least two checkpoints are always kept.")


def _steps(draft: Draft, key: str, strategy: str, field: str, way: str) -> None:
    """Set steps between two of a thing, which a strategy may replace."""
    value = draft.number(key)
    if way == "steps":
        if value is not None:
            steps = _in_steps(draft, key)
            reason = "" if value >= 1 else (
                "A share of the steps as a number of them." if steps else SHARES)
            draft.put(key, field, steps, reason)
        draft.say(strategy, "kept", "By steps, as here.", field)
        return
    draft.values[field] = None
    draft.say(key, "dropped", f"It means nothing beside {strategy}.")
    draft.say(strategy, "changed", BY_EPOCH if way == "epoch" else "It is done once at the end.",
              field)


def _evaluating(draft: Draft) -> None:
    field = "training.eval_steps"
    asked = "eval_steps" in draft.source
    way = draft.text("eval_strategy", "steps" if asked else "no")
    _steps(draft, "eval_steps", "eval_strategy", field, way)
    if field not in draft.values:
        draft.default("eval_steps", field, draft.values.get("training.logging_steps") or 500,
                      "LLaMA-Factory evaluates as often as it logs.")
    if draft.flag("predict_with_generate") and draft.values.get("objective") == "sft":
        draft.put("predict_with_generate", "evaluation.exact_match", True,
                  "Answers are compared with the reference before and after; 'Score the answers' "
                  "has ROUGE and BLEU.")
        length = draft.whole("generation_max_length") or draft.whole("max_new_tokens")
        for key in ("generation_max_length", "max_new_tokens"):
            if length and draft.has(key):
                draft.put(key, "evaluation.max_new_tokens", length)
    draft.say("predict_with_generate", "kept", "It is off, as here.")
    for key in ("do_eval", "do_predict"):
        draft.say(key, "kept", "Evaluation data are measured whenever there are some.")


def _watching(draft: Draft) -> None:
    if (patience := draft.whole("early_stopping_steps")) is not None:
        draft.put("early_stopping_steps", "training.early_stopping_patience", patience)
    if not (metric := draft.text("metric_for_best_model").removeprefix("eval_")):
        return
    if metric in SCORES and draft.values.get("evaluation.exact_match"):
        score, name = SCORES[metric]
        draft.values["evaluation.metrics"] = [score]
        draft.put("metric_for_best_model", "training.metric_for_best_model", name,
                  "Scores are those of sacrebleu and rouge-score, which count other words.")
        return
    draft.say("metric_for_best_model", "kept" if metric == "loss" else "dropped",
              "'Keep the best' compares the evaluation loss, or scores of generated answers.")


def tracking(draft: Draft) -> None:
    """Set the section ``tracking`` and the run's name."""
    asked = [name.lower() for name in draft.names("report_to")]
    swanlab = draft.flag("use_swanlab") or "swanlab" in asked
    if swanlab:
        draft.put("use_swanlab", "tracking.backend", "swanlab")
        draft.put("report_to", "tracking.backend", "swanlab",
                  "" if asked == ["swanlab"] else "Metrics go to the studio's own curves, and to "
                  "SwanLab.")
        if project := draft.text("swanlab_project"):
            draft.put("swanlab_project", "tracking.project", project)
        draft.default("swanlab_project", "tracking.project", "llamafactory")
        mode = draft.text("swanlab_mode", "cloud")
        draft.put("swanlab_mode", "tracking.mode", mode)
        draft.default("swanlab_mode", "tracking.mode", "cloud")
    draft.say("use_swanlab", "kept", "It is off, as here.")
    nothing = not asked or asked == ["none"]
    draft.say("report_to", "kept" if nothing else "dropped", "No tracker, as here." if nothing
              else "Metrics go to the studio's own curves, and to SwanLab.")
    _name(draft)


def _name(draft: Draft) -> None:
    keys = ("run_name", "swanlab_run_name")
    for key in keys:
        if name := _plain_name(draft.text(key)):
            draft.put(key, "name", name)
            break
    else:
        name = _plain_name(draft.text("output_dir"))
        if name:
            draft.put("output_dir", "name", name, "A run's folder is made by the studio; its last "
                      "part became the name.")
    draft.drop("output_dir", "A run's folder is made by the studio.")
    for key in keys:
        draft.drop(key, "The run has a name already.")
    if draft.text("resume_from_checkpoint").lower() in ("false", "none", "null"):
        draft.say("resume_from_checkpoint", "kept", "A run begins anew, as here.")
    draft.drop("resume_from_checkpoint", "LLaMA-Factory's checkpoints cannot be resumed; a "
               "run of Finestra's resumes with `finestra runs resume`.")


def _plain_name(text: str) -> str:
    """Return the last part of a path as a name."""
    last = text.replace("\\", "/").rstrip("/").rpartition("/")[2]
    last = "".join(c for c in last if c.isprintable()).strip()[:100]
    return "" if last in (".", "..") else last
