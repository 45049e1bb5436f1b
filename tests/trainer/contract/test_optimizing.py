"""What optimizers, schedules and watching are refused with, and what is let through."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from trainer.contract.config import OBJECTIVES, all_fields, parse
from trainer.contract.config.evaluation import SCORES, BestBy
from trainer.contract.config.fields import flat, is_relevant
from trainer.contract.config.optimizers import LAYERWISE, OPTIMIZERS, PACKAGES, SCHEDULE_FREE
from trainer.contract.config.run import RunConfig
from trainer.contract.optimizer_state import average_bytes, state_bytes
from trainer.contract.problems import ConfigError

FULL = {"tuner": {"type": "full"}}
UNCLIPPED = {"max_grad_norm": 0}
MEASURED = {"data": {"train": ["a"], "val_size": 0.1}}
LORA = {"layers.0.q_proj.lora_A": (8, 1024), "layers.0.q_proj.lora_B": (1024, 8)}


def problems(training: dict[str, Any], **sections: Any) -> dict[str, str]:
    """Return code by field of what is refused."""
    try:
        parse({"data": {"train": ["a"]}, "training": training} | sections)
    except ConfigError as error:
        return {p.field: p.code for p in error.problems}
    return {}


@pytest.mark.parametrize("name", LAYERWISE)
def test_layerwise_neither_accumulates_nor_clips(name: str) -> None:
    assert problems({"optim": name, **UNCLIPPED}, **FULL) == {}
    assert problems({"optim": name}, **FULL) == {"training.max_grad_norm": "layerwise_clipping"}
    assert problems({"optim": name, **UNCLIPPED, "gradient_accumulation_steps": 2}, **FULL) == {
        "training.gradient_accumulation_steps": "layerwise_accumulation"}
    assert problems({"optim": name, **UNCLIPPED}, model={"dtype": "float16"}, **FULL)[
        "model.dtype"] == "layerwise_float16"


def test_adalora_needs_gradients() -> None:
    assert problems({"optim": "lomo", **UNCLIPPED}, tuner={"type": "adalora"})[
        "training.optim"] == "layerwise_adalora"


@pytest.mark.parametrize("name", ["galore_adamw", "apollo_adamw", "badam"])
def test_what_saves_nothing_beside_an_adapter(name: str) -> None:
    assert problems({"optim": name}) == {"training.optim": "optimizer_needs_full"}
    assert problems({"optim": name}, **FULL) == {}
    assert problems({"optim": name}, tuner={"type": "freeze"}) == {}


def test_projected_moments_of_an_adapter_are_no_smaller() -> None:
    """Why that is refused: an adapter's matrices already have few dimensions."""
    def bytes_of(optim: str) -> int:
        config = RunConfig.model_validate({"training": {"optim": optim}})
        return state_bytes(config, LORA)[0]

    assert bytes_of("galore_adamw") > bytes_of("adamw_torch")
    assert bytes_of("muon") == bytes_of("adamw_torch") / 2


@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_schedule_free_has_no_schedule(name: str) -> None:
    constant = {"optim": name, "lr_scheduler_type": "constant"}
    assert problems(constant) == {}
    assert problems({"optim": name}) == {"training.lr_scheduler_type": "schedule_free_schedule"}
    assert problems(constant | {"ema": {"type": "ema"}}) == {
        "training.ema.type": "schedule_free_average"}
    assert problems(constant | {"load_best_model_at_end": True}, **MEASURED) == {
        "training.load_best_model_at_end": "schedule_free_best"}


@pytest.mark.parametrize(("field", "value"), [
    ("lr_scheduler_type", "reduce_lr_on_plateau"), ("lr_scheduler_type", "greedy"),
    ("early_stopping_patience", 2), ("load_best_model_at_end", True)])
def test_what_looks_at_evaluations_needs_them(field: str, value: Any) -> None:
    wanted = {f"training.{field}": "needs_evaluations"}
    assert problems({field: value}) == wanted
    assert problems({field: value, "eval_steps": None}, **MEASURED) == wanted
    assert problems({field: value}, **MEASURED) == {}
    assert problems({field: value}, data={"train": ["a"], "eval": ["b"]}) == {}


def best_by(name: str, **evaluation: Any) -> dict[str, str]:
    return problems({"load_best_model_at_end": True, "metric_for_best_model": name},
                    evaluation=evaluation, **MEASURED)


def test_the_best_is_by_what_is_measured() -> None:
    wanted = {"training.metric_for_best_model": "best_by_unmeasured"}
    assert best_by("eval_loss") == {}
    assert best_by("eval_rougeL") == best_by("eval_rougeL", metrics=["bleu"]) == wanted
    assert best_by("eval_rougeL", metrics=["bleu", "rouge"]) == {}
    assert problems({"metric_for_best_model": "eval_bleu"}) == {}
    patient = {"early_stopping_patience": 2, "metric_for_best_model": "eval_accuracy"}
    assert problems(patient, **MEASURED) == wanted
    assert problems(patient, objective="classification", **MEASURED) == {}
    for score in (score for scores in SCORES.values() for score in scores):
        metric = next(name for name, scores in SCORES.items() if score in scores)
        assert best_by(f"eval_{score}", metrics=[metric]) == {}
    assert {f"eval_{score}" for scores in SCORES.values() for score in scores} == {
        *get_args(BestBy)} - {"eval_loss"}


def test_answers_are_scored_at_evaluations() -> None:
    def asked(**training: Any) -> dict[str, str]:
        wanted = {"metrics": ["chrf"], "generate_steps": 30}
        return problems(training, evaluation=wanted, **MEASURED)

    assert asked(eval_steps=15) == asked(eval_steps=30) == {}
    assert asked(eval_steps=20) == {"evaluation.generate_steps": "generate_steps_between"}
    assert asked(eval_steps=None) == {"evaluation.generate_steps": "generate_steps_alone"}
    assert problems({"eval_steps": 20}, evaluation={"generate_steps": 30}) == {}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_has_answers_to_be_scored(objective: str) -> None:
    found = problems({}, objective=objective, evaluation={"metrics": ["chrf"]}, **MEASURED)
    words = objective not in ("pretrain", "reward", "classification")
    assert found.get("evaluation.metrics") == (None if words else "metrics_objective")


def test_metrics_need_rows_that_are_not_learned_from() -> None:
    assert problems({}, evaluation={"metrics": ["chrf"]}) == {
        "evaluation.metrics": "metrics_need_eval"}
    assert problems({}, evaluation={"metrics": ["chrf", "chrf"]}, **MEASURED) == {
        "evaluation.metrics": "metric_twice"}
    assert problems({}, evaluation={"metrics": ["regex"]}, **MEASURED) == {
        "evaluation.metrics.0": "literal_error"}


def test_warmup_in_steps() -> None:
    refused = {"training.warmup_steps": "warmup_unused"}
    assert problems({"lr_scheduler_type": "constant", "warmup_steps": 5}) == refused
    assert problems({"lr_scheduler_type": "constant", "warmup_steps": 0}) == {}
    assert problems({"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 5}) == {}
    free = {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant", "warmup_steps": 5}
    assert problems(free) == {}
    assert problems(free | {"optim": "schedule_free_radam"}) == refused
    assert problems({"warmup_steps": 10, "max_steps": 10}) == {
        "training.warmup_steps": "warmup_too_long"}
    assert problems({"warmup_steps": 9, "max_steps": 10}) == {}


def test_the_finder_needs_a_range_and_a_loss_that_says_something() -> None:
    found = {"enabled": True, "lowest": 1e-4, "highest": 5e-4}
    assert problems({}, lr_finder=found) == {"lr_finder.highest": "finder_range"}
    assert problems({}, lr_finder={**found, "enabled": False}) == {}
    assert problems({}, objective="grpo", lr_finder={"enabled": True})[
        "lr_finder.enabled"] == "finder_objective"
    assert problems({}, objective="dpo", lr_finder={"enabled": True}) == {}


def test_only_what_a_choice_needs_is_shown() -> None:
    def shown(**training: Any) -> set[str]:
        values = flat(RunConfig.model_validate({"training": training}).dump())
        return {path for path, info in all_fields().items()
                if path.startswith("training.") and is_relevant(info, values)}

    assert not any("projection" in path or "badam" in path for path in shown())
    assert "training.projection.rank" in shown(optim="apollo_adamw")
    assert "training.muon.momentum" in shown(optim="muon")
    assert "training.schedule.decay_ratio" in shown(lr_scheduler_type="warmup_stable_decay")
    assert "training.schedule.decay_ratio" not in shown(lr_scheduler_type="cosine")
    assert "training.ema.decay" not in shown(ema={"type": "bema"})


def test_every_optimizer_has_a_size_and_a_reason() -> None:
    shapes = {"model.layers.0.q": (128, 128), "model.norm": (128,)}
    for name in get_args(OPTIMIZERS):
        config = RunConfig.model_validate({"training": {"optim": name}})
        size, reason = state_bytes(config, shapes)
        assert 0 <= size <= 12.1 * (128 * 128 + 128) * 1.5 and reason, name
    assert set(PACKAGES) <= set(get_args(OPTIMIZERS))


@pytest.mark.parametrize(("kind", "each"), [("none", 0), ("ema", 4), ("bema", 8)])
def test_bytes_of_averages(kind: str, each: int) -> None:
    config = RunConfig.model_validate({"training": {"ema": {"type": kind}}})
    assert average_bytes(config, {"a": (3, 5)})[0] == each * 15
