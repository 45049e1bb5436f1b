"""Early stopping, the best checkpoint, averaged weights, wild gradients, fixed prompts, MFU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent, SampleEvent, WarningEvent

pytestmark = pytest.mark.training
# A rate at which the tiny model first learns and then breaks: its best evaluation is not its last.
BREAKS = {"learning_rate": 0.15, "max_steps": 12, "eval_steps": 2, "max_grad_norm": 0.0,
          "lr_scheduler_type": "constant"}


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


def choices(events: list[Any], field: str) -> list[ChoiceEvent]:
    return [e for e in events if isinstance(e, ChoiceEvent) and e.field == field]


def record(losses: list[float], threshold: float = 0.0) -> Any:
    from trainer.watching import Record

    found = Record()
    for step, loss in enumerate(losses, 1):
        found.see(loss, step, threshold)
    return found


def test_progress_below_the_threshold_counts_as_waiting() -> None:
    assert record([3.0, 2.0, 1.9, 1.8]).waited == 0
    slow = record([3.0, 2.0, 1.9, 1.8], threshold=0.15)
    assert (slow.waited, slow.mark, slow.best, slow.best_step) == (0, 1.8, 1.8, 4)
    slower = record([3.0, 2.0, 1.9, 1.86], threshold=0.15)
    assert (slower.waited, slower.mark, slower.best_step) == (2, 2.0, 4)
    lost = record([float("nan"), 2.0, float("nan")])
    assert (lost.waited, lost.best_step) == (1, 2)


def test_of_scores_the_highest_is_the_best(tmp_path: Path) -> None:
    from trainer.watching import Record

    found = Record()
    best = [found.see(score, step, 0.1, greater=True)
            for step, score in enumerate([0.2, 0.5, 0.55, 0.55, float("nan"), 0.4], 1)]
    assert best == [True, True, True, False, False, False]
    assert (found.best, found.best_step, found.mark, found.waited) == (0.55, 3, 0.5, 4)
    found.save(tmp_path)
    again = Record()
    again.load(tmp_path)
    assert again == found


def test_a_record_of_an_older_checkpoint_is_read(tmp_path: Path) -> None:
    from trainer.contract.files import write_json
    from trainer.watching import FILE, Record

    write_json(tmp_path / FILE, {"best_loss": 1.5, "best_step": 4, "mark": 1.6, "waited": 2,
                                 "last_loss": 1.7})
    found = Record()
    found.load(tmp_path)
    assert found == Record(best=1.5, best_step=4, mark=1.6, waited=2)


def test_weights_without_a_loss_are_neither_the_best_nor_saved() -> None:
    """Answers of a broken model have a score like any others."""
    from trainer.contract.config.training import TrainingConfig
    from trainer.watching import Record, Watch

    training = TrainingConfig(load_best_model_at_end=True, early_stopping_patience=2,
                              metric_for_best_model="eval_exact_match")
    keeper, told = SimpleNamespace(best_step=None), Silent()
    watch = Watch(training, Record(), keeper, told)

    def evaluated(step: int, loss: float, score: float | None) -> tuple[bool, bool]:
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        more = {} if score is None else {"eval_exact_match": score}
        watch.on_evaluate(None, SimpleNamespace(global_step=step), control,
                          metrics={"eval_loss": loss, **more})
        return control.should_save, control.should_training_stop

    assert evaluated(2, float("nan"), 0.0) == (False, False)
    assert (watch.record.best_step, keeper.best_step) == (None, None)
    assert evaluated(4, 1.5, 0.0) == (True, False) and keeper.best_step == 4
    assert evaluated(6, 1.4, None) == (False, False) and watch.record.waited == 0
    assert evaluated(8, float("nan"), 1.0) == (False, False) and keeper.best_step == 4
    assert evaluated(10, float("nan"), 1.0) == (False, True)
    assert told.chosen == ["stopped at step 10"]
    assert evaluated(12, 1.3, 0.0) == (True, True)


def test_the_best_is_kept_and_is_the_result(runs: Any, cf: Any, held_out: Path) -> None:
    run = runs.make("best", data={"eval": [str(held_out)]}, training={
        **BREAKS, "load_best_model_at_end": True, "save_steps": 2, "save_total_limit": 2})
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    losses = cf.series(events, "eval_loss")
    best = min(losses, key=lambda step: losses[step])
    assert best != max(losses), losses
    assert end.metrics["best_step"] == best
    assert end.metrics["best_eval_loss"] == pytest.approx(losses[best])
    kept = sorted(step for step, _ in run.checkpoint_folders())
    assert best in kept and len(kept) <= 3
    checkpoint = weights_of(run.checkpoints / f"checkpoint-{best}")
    result = weights_of(run.adapter)
    assert set(result) == set(checkpoint)
    assert all((result[name] == checkpoint[name]).all() for name in result)
    said = choices(events, "result")
    assert [c.value for c in said] == [f"checkpoint-{best}"]
    assert f"{losses[best]:.4g}" in said[0].reason


def test_the_best_is_saved_also_between_saves(runs: Any, cf: Any, held_out: Path) -> None:
    run = runs.make("between", data={"eval": [str(held_out)]}, training={
        **BREAKS, "load_best_model_at_end": True, "save_steps": None})
    end = cf.end_of(runs.train(run))
    assert (run.checkpoints / f"checkpoint-{int(end.metrics['best_step'])}").is_dir()


def test_early_stopping_survives_a_resume(runs: Any, cf: Any, held_out: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    over = {"data": {"eval": [str(held_out)]}, "training": {
        **BREAKS, "max_steps": 40, "early_stopping_patience": 3}}
    whole = runs.train(runs.make("alone", **over))
    assert cf.end_of(whole).outcome == "completed"
    last = max(cf.series(whole, "loss"))
    assert last < 40
    assert choices(whole, "training.early_stopping_patience")[0].value == f"stopped at step {last}"
    middle = last - 3  # of its patience
    found = runs.in_halves(monkeypatch, middle, **over)
    assert max(cf.series(found.second, "loss")) == last
    found.require_same("eval_loss")


def replayed(kind: str, decay: float, path: list[Any]) -> Any:
    """Average a path of weights by the papers' formulas, in plain Python."""
    mean, first = path[0], path[0]
    for step, weight in enumerate(path[1:], 1):
        keep = min(decay, (1 + step) / (10 + step)) if kind == "ema" else 1 - (10 + step) ** -0.5
        mean = keep * mean + (1 - keep) * weight
    if kind == "ema":
        return mean
    return mean + (10 + len(path) - 1) ** -0.2 * (path[-1] - first)


@pytest.mark.parametrize("kind", ["ema", "bema"])
def test_averages_follow_the_formula(kind: str) -> None:
    import torch

    from trainer.contract.config.optimizers import EMAConfig
    from trainer.optim.averages import Averages

    model = torch.nn.Linear(3, 2)
    averages = Averages(model, EMAConfig(type=kind, decay=0.5))
    path = [model.weight.detach().clone()]
    for step in range(1, 8):
        with torch.no_grad():
            model.weight += torch.randn(2, 3)
        averages.update(step)
        path.append(model.weight.detach().clone())
    wanted = replayed(kind, 0.5, path)
    assert torch.allclose(averages.value("weight", 7), wanted, atol=1e-5)
    with averages.shown(7):
        assert torch.allclose(model.weight, wanted, atol=1e-5)
    assert torch.equal(model.weight, path[-1])


def test_bema_equals_trl(tmp_path: Path) -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM
    from trl import BEMACallback

    from trainer.contract.config.optimizers import EMAConfig
    from trainer.optim.averages import Averages

    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=4, tie_word_embeddings=False))
    averages = Averages(model, EMAConfig(type="bema"))
    theirs = BEMACallback(update_freq=1)
    theirs.on_train_begin(None, None, None, model)
    for step in range(1, 6):
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.1 * torch.randn_like(weight)
        averages.update(step)
        theirs.on_step_end(None, SimpleNamespace(global_step=step), None, model)
    for name, weight in theirs.running_model.named_parameters():
        assert torch.allclose(averages.value(name, 5), weight, atol=1e-5)


def test_the_mean_is_measured_saved_and_resumed(runs: Any, cf: Any, held_out: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    over = {"data": {"eval": [str(held_out)]}, "training": {
        "max_steps": 10, "eval_steps": 2, "learning_rate": 2e-2, "ema": {"type": "ema"}}}
    found = runs.in_halves(monkeypatch, 5, **over)
    whole = found.unbroken
    plain = runs.train(runs.make("plain", **cf.merge(over, {"training": {
        "ema": {"type": "none"}}})))
    assert cf.series(whole, "loss") == cf.series(plain, "loss")
    assert cf.series(whole, "eval_loss") != cf.series(plain, "eval_loss")
    assert choices(whole, "result")[0].value == "the mean of the weights at step 10"
    found.require_same("eval_loss")
    ours, theirs = weights_of(found.halves.adapter), weights_of(found.whole.adapter)
    raw = weights_of(found.halves.checkpoints / "checkpoint-10")
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert any((ours[name] != raw[name]).any() for name in ours)


class Silent:
    def __init__(self) -> None:
        self.warned: list[tuple[str, int]] = []
        self.chosen: list[Any] = []

    def choose(self, field: str, value: Any, reason: str) -> None:
        self.chosen.append(value)

    def warn(self, code: str, message: str, *, step: int) -> None:
        self.warned.append((code, step))


def test_gradients_that_jump_are_warned_of() -> None:
    from trainer.contract.config.training import TrainingConfig
    from trainer.watching import Record, Watch

    silent = Silent()
    watch = Watch(TrainingConfig(), Record(), SimpleNamespace(), silent)
    for step, norm in enumerate([1.0] * 9 + [50.0] + [1.0] * 10 + [9.9, 11.0, 1.0], 1):
        watch.watch_norm(norm, step)
    assert silent.warned == [("gradient_spike", 22)]
    for step in (30, 31, 32):
        watch.watch_norm(float("nan"), step)
    assert silent.warned[1:] == [("nan_gradient", 30)]


def test_a_wild_run_warns(runs: Any, cf: Any) -> None:
    """Twelve quiet steps, then a gradient a hundred times as large."""
    from transformers import Trainer

    run = runs.make("wild", training={"max_steps": 14, "learning_rate": 1e-5,
                                      "lr_scheduler_type": "constant"})
    before = Trainer._clip_grad_norm

    def jump(self: Any, model: Any) -> Any:
        if self.state.global_step == 12:
            for weight in model.parameters():
                if weight.grad is not None:
                    weight.grad *= 100
        return before(self, model)

    Trainer._clip_grad_norm = jump
    try:
        events = runs.train(run)
    finally:
        Trainer._clip_grad_norm = before
    spikes = [e for e in events if isinstance(e, WarningEvent) and e.code == "gradient_spike"]
    assert [e.step for e in spikes] == [13]


def test_fixed_prompts_are_asked_at_each_evaluation(runs: Any, cf: Any, held_out: Path) -> None:
    mine = ["What colour is the sky?", "Say {{ nothing }}."]
    run = runs.make("asked", data={"eval": [str(held_out)]}, training={
        "max_steps": 4, "eval_steps": 2}, evaluation={
        "prompts": mine, "samples": 1, "exact_match": True, "limit": 2})
    events = runs.train(run)
    samples = [e for e in events if isinstance(e, SampleEvent)]
    assert [(s.step, s.prompt) for s in samples if s.prompt in mine] == [
        (2, mine[0]), (2, mine[1]), (4, mine[0]), (4, mine[1])]
    assert len(samples) == 6 and all(s.reference == "" for s in samples if s.prompt in mine)
    predictions = (run.eval / "predictions-tuned.jsonl").read_text(encoding="utf-8")
    assert len(predictions.splitlines()) == 2 and "sky" not in predictions
    alone = runs.train(runs.make("alone", training={"max_steps": 2}, evaluation={
        "prompts": mine}))
    assert [s.step for s in alone if isinstance(s, SampleEvent)] == [2, 2]


def test_flops_are_those_of_the_paper() -> None:
    """6 a weight, 12 x layers x heads x head size x length (arXiv:2204.02311, appendix B)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainer.flops import cost_of, peak_flops, utilisation

    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=False))
    layer = 4 * 16 * 16 + 3 * 16 * 24 + 2 * 16
    weights = 3 * layer + 16 + 50 * 16
    cost = cost_of(model)
    assert cost.weights == 6 * weights and cost.attention == 12 * 3 * 16
    for weight in model.model.parameters():
        weight.requires_grad_(False)
    assert cost_of(model).weights == 6 * 50 * 16 + 4 * (weights - 50 * 16)
    assert cost.of(10, 7) == 10 * (6 * weights + 12 * 3 * 16 * 7)
    assert peak_flops("NVIDIA H200") == 989e12 and peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_flops("NVIDIA L40S") == 362e12 and peak_flops("Quadro") is None
    assert utilisation(cost, 1000.0, 7.0, cost.of(4000.0, 7.0)) == {"mfu": 0.25}
    assert utilisation(cost, 1e12, 0.0, None) == {"tflops_per_s": 6 * weights}


def test_a_run_says_what_it_computes(runs: Any, cf: Any) -> None:
    events = runs.train(runs.make("flops", training={"max_steps": 3}))
    speed, flops = cf.series(events, "tokens_per_s"), cf.series(events, "tflops_per_s")
    assert set(flops) == set(speed) == {1, 2, 3}
    for step, value in flops.items():
        weights = value * 1e12 / speed[step]
        assert 4 * 60_000 < weights < 6 * 200_000
    assert "mfu" not in cf.end_of(events).metrics
