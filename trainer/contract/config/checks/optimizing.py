"""Optimizer, schedule and hygiene: what cannot be combined."""

from __future__ import annotations

from trainer.contract.config.optimizers import GALORE_ONLY, LAYERWISE, SCHEDULE_FREE
from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem

_PROJECTED = GALORE_ONLY["training.optim"]
_OWN_WEIGHTS = ("full", "freeze")
_FOLLOWS_LOSS = ("reduce_lr_on_plateau", "greedy")
_WITHOUT_WARMUP = ("constant", *_FOLLOWS_LOSS)


def _layerwise(config: RunConfig) -> list[Problem]:
    """What steps in the backward pass never has all gradients at once."""
    training = config.training
    name = training.optim
    if name not in LAYERWISE:
        return []
    found = []
    if training.gradient_accumulation_steps > 1:
        found.append(Problem(
            field="training.gradient_accumulation_steps", code="layerwise_accumulation",
            message=f"'{name}' steps in the backward pass: nothing can be accumulated.",
            advice="Set gradient accumulation to 1 and raise the batch size, or choose an "
            "optimizer that keeps gradients.", params={"optim": name}))
    if training.max_grad_norm > 0:
        found.append(Problem(
            field="training.max_grad_norm", code="layerwise_clipping",
            message=f"'{name}' drops each gradient at once: their norm is never known.",
            advice="Set gradient clipping to 0, or choose an optimizer that keeps gradients.",
            params={"optim": name}))
    if config.model.dtype == "float16":
        found.append(Problem(
            field="model.dtype", code="layerwise_float16",
            message=f"'{name}' steps before float16's loss scale is taken out of the gradients.",
            advice="Choose bfloat16 or float32, or another optimizer.", params={"optim": name}))
    return found


def _layerwise_adalora(config: RunConfig) -> list[Problem]:
    if config.training.optim not in LAYERWISE or config.tuner.type != "adalora":
        return []
    return [Problem(field="training.optim", code="layerwise_adalora",
                    message=f"AdaLoRA weighs ranks by their gradients, which "
                    f"'{config.training.optim}' has dropped by then.",
                    advice="Choose AdamW, or another tuner.",
                    params={"optim": config.training.optim})]


def _needs_own_weights(config: RunConfig) -> list[Problem]:
    """Projections and blocks are about the matrices of the model, not an adapter's."""
    name, tuner = config.training.optim, config.tuner.type
    if tuner in _OWN_WEIGHTS or (name not in _PROJECTED and name != "badam"):
        return []
    return [Problem(field="training.optim", code="optimizer_needs_full",
                    message=f"'{name}' saves memory where the model's own matrices are trained; "
                    f"'{tuner}' trains small ones beside them.",
                    advice="Choose the tuner 'full' or 'freeze', or an AdamW.",
                    params={"optim": name, "tuner": tuner})]


def _schedule_free(config: RunConfig) -> list[Problem]:
    """Schedule-free optimizers average on their own, and need a constant rate."""
    training = config.training
    if training.optim not in SCHEDULE_FREE:
        return []
    found = []
    if training.lr_scheduler_type != "constant":
        found.append(Problem(
            field="training.lr_scheduler_type", code="schedule_free_schedule",
            message=f"'{training.optim}' takes the place of a schedule; "
            f"'{training.lr_scheduler_type}' would move its rate as well.",
            advice="Choose the schedule 'constant'; warm-up still counts.",
            params={"optim": training.optim, "schedule": training.lr_scheduler_type}))
    if training.ema.type != "none":
        found.append(Problem(
            field="training.ema.type", code="schedule_free_average",
            message=f"'{training.optim}' already averages the weights.",
            advice="Choose 'none'.", params={"optim": training.optim}))
    if training.load_best_model_at_end:
        found.append(Problem(
            field="training.load_best_model_at_end", code="schedule_free_best",
            message=f"Checkpoints of '{training.optim}' hold the point where gradients are taken, "
            "not the average that was measured.",
            advice="Switch it off: the result is the average at the end.",
            params={"optim": training.optim}))
    return found


def _is_measured(config: RunConfig) -> bool:
    measured = bool(config.data.eval) or config.data.val_size > 0
    return measured and config.training.eval_steps is not None


def _needs_evaluations(config: RunConfig) -> list[Problem]:
    """What looks at evaluations needs some along the way."""
    training = config.training
    wants = {"training.lr_scheduler_type": training.lr_scheduler_type in _FOLLOWS_LOSS,
             "training.early_stopping_patience": training.early_stopping_patience is not None,
             "training.load_best_model_at_end": training.load_best_model_at_end}
    if _is_measured(config):
        return []
    return [Problem(field=path, code="needs_evaluations",
                    message="This looks at evaluations, and there are none while training.",
                    advice="Name an evaluation set or a validation split, and say every how many "
                    "steps to evaluate.")
            for path, wanted in wants.items() if wanted]


def _warmup(config: RunConfig) -> list[Problem]:
    training = config.training
    steps, schedule = training.warmup_steps, training.lr_scheduler_type
    if not steps:
        return []
    warms = training.optim in SCHEDULE_FREE and training.optim != "schedule_free_radam"
    if schedule in _WITHOUT_WARMUP and not warms:
        return [Problem(field="training.warmup_steps", code="warmup_unused",
                        message=f"The schedule '{schedule}' has no warm-up.",
                        advice="Leave the steps empty, or choose 'constant_with_warmup'.",
                        params={"schedule": schedule})]
    if training.max_steps is not None and steps >= training.max_steps:
        return [Problem(field="training.warmup_steps", code="warmup_too_long",
                        message=f"{steps} steps of warm-up leave none of {training.max_steps} to "
                        "train at the full rate.",
                        advice="Use fewer, or more steps in all.",
                        params={"steps": str(steps), "total": str(training.max_steps)})]
    return []


def _finder_range(config: RunConfig) -> list[Problem]:
    finder = config.lr_finder
    if not finder.enabled or finder.highest >= 10 * finder.lowest:
        return []
    return [Problem(field="lr_finder.highest", code="finder_range",
                    message=f"From {finder.lowest:g} to {finder.highest:g} there is nothing to "
                    "look for.", advice="Let the highest rate be at least ten times the lowest.",
                    params={"lowest": f"{finder.lowest:g}", "highest": f"{finder.highest:g}"})]


def _finder_objective(config: RunConfig) -> list[Problem]:
    facts = config.facts
    if not config.lr_finder.enabled or not facts.generates or facts.teacher:
        return []
    return [Problem(field="lr_finder.enabled", code="finder_objective",
                    message=f"The loss of '{config.objective}' does not say how well the model "
                    "does: a sweep over it finds nothing.",
                    advice="Switch it off; 1e-6 to 1e-5 is usual, ten times that with LoRA.",
                    params={"objective": config.objective})]


RULES = (_layerwise, _layerwise_adalora, _needs_own_weights, _schedule_free, _needs_evaluations,
         _warmup, _finder_range, _finder_objective)
