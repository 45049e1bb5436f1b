"""What is measured besides the loss: what cannot be combined."""

from __future__ import annotations

from trainer.contract.config.evaluation import ANSWERING, SCORES
from trainer.contract.config.run import RunConfig
from trainer.contract.problems import Problem


def _is_held_out(config: RunConfig) -> bool:
    return bool(config.data.eval) or config.data.val_size > 0


def _exact_match_needs_eval(config: RunConfig) -> list[Problem]:
    if not config.evaluation.exact_match or _is_held_out(config):
        return []
    return [Problem(field="evaluation.exact_match", code="exact_match_needs_eval",
                    message="Exact match needs evaluation data.",
                    advice="Name an evaluation set or a validation split.")]


def _exact_match_of(config: RunConfig) -> list[Problem]:
    what = {"pairs": "Preference pairs have", "judged": "Judged answers have",
            "text": "Plain text has", "labelled": "A classifier has"}.get(config.facts.rows)
    if what is None or not config.evaluation.exact_match:
        return []
    return [Problem(field="evaluation.exact_match", code=f"exact_match_of_{config.facts.rows}",
                    message=f"{what} no single right answer to match.",
                    advice="Switch exact match off.")]


def _metrics(config: RunConfig) -> list[Problem]:
    """Answers can be scored where there are questions, and rows that are not learned from."""
    if not config.evaluation.metrics:
        return []
    if config.objective not in ANSWERING:
        return [Problem(field="evaluation.metrics", code="metrics_objective",
                        message=f"'{config.objective}' has no questions that words answer: there "
                        "is nothing to score.", advice="Leave the metrics empty.",
                        params={"objective": config.objective})]
    if _is_held_out(config):
        return []
    return [Problem(field="evaluation.metrics", code="metrics_need_eval",
                    message="Answers are scored on evaluation data, and there are none.",
                    advice="Name an evaluation set or a validation split.")]


def _generate_steps(config: RunConfig) -> list[Problem]:
    """Answers are generated within evaluations."""
    steps, between = config.evaluation.generate_steps, config.training.eval_steps
    if steps is None or not config.evaluation.metrics:
        return []
    if between is None:
        return [Problem(field="evaluation.generate_steps", code="generate_steps_alone",
                        message="Answers are scored at evaluations, and there is only one, at the "
                        "end.", advice="Leave it empty, or say every how many steps to evaluate.")]
    if steps % between == 0:
        return []
    return [Problem(field="evaluation.generate_steps", code="generate_steps_between",
                    message=f"Answers are scored at evaluations, which come every {between:,} "
                    f"steps; {steps:,} is no multiple of that.",
                    advice=f"Write {between:,}, {2 * between:,} and so on, or leave it empty.",
                    params={"between": f"{between:,}", "steps": f"{steps:,}",
                            "twice": f"{2 * between:,}"})]


def _best_by(config: RunConfig) -> list[Problem]:
    """What decides on the best checkpoint has to be measured."""
    training, name = config.training, config.training.metric_for_best_model
    decides = training.load_best_model_at_end or training.early_stopping_patience is not None
    found = {score for metric in config.evaluation.metrics for score in SCORES[metric]}
    if config.objective == "classification":
        found |= set(SCORES["classification"])
    score = name.removeprefix("eval_")
    if not decides or name == "eval_loss" or score in found:
        return []
    metric = next(one for one, scores in SCORES.items() if score in scores)
    return [Problem(field="training.metric_for_best_model", code="best_by_unmeasured",
                    message=f"'{name}' is to decide on the best checkpoint, and this run does not "
                    "measure it.",
                    advice=f"Add '{metric}' to evaluation.metrics, or choose 'eval_loss'.",
                    params={"name": name, "metric": metric})]


RULES = (_exact_match_needs_eval, _exact_match_of, _metrics, _generate_steps, _best_by)
