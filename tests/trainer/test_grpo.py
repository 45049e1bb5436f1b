"""GRPO and RLOO: losses and advantages by hand, learning, exact resume, what is warned of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import SampleEvent, WarningEvent

pytestmark = pytest.mark.training

BATCH, GROUP, LONGEST = 8, 4, 8
GRPO: dict[str, Any] = {
    "objective": "grpo", "evaluation": {"samples": 2},
    "rollout": {"num_generations": GROUP, "max_completion_length": LONGEST,
                "rewards": [{"name": "regex", "pattern": "e"}]},
    "training": {"per_device_train_batch_size": BATCH, "max_steps": 4}}


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"prompt": f"What is {a} + {b}?" + " Please!" * (a % 3), "reference": str(a + b)}
            for a in range(6) for b in range(5)]
    path = tmp_path_factory.mktemp("data") / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


Make = Callable[..., Any]


@pytest.fixture
def make_loop(runs: Any, cf: Any, questions: Path) -> Make:
    """Build the loop of a run as its course does, without training it."""
    def make(**over: Any) -> Any:
        return runs.loop(**cf.merge(cf.merge(GRPO, {"data": {"train": [str(questions)]}}), over))

    return make


def sampled(loop: Any, *, apart: bool = True) -> dict[str, Any]:
    """Sample a batch; ``apart`` lets the model have moved since, so that ratios are not 1."""
    import torch

    rows = [loop.train_dataset[index] for index in list(loop._get_train_sampler())[:BATCH]]
    inputs = dict(loop._prepare_inputs(rows))
    if apart:
        torch.manual_seed(7)
        now = log_probs(loop, inputs)[0].detach()
        inputs["old_per_token_logps"] = now + 0.4 * torch.randn_like(now)
        inputs["ref_per_token_logps"] = now + 0.3 * torch.randn_like(now)
    return inputs


def log_probs(loop: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
    """Return each sampled token's log-probability (B, T), and the mask, in plain PyTorch."""
    import torch

    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    logits = loop.model(input_ids=ids, attention_mask=mask).logits.float() / loop.temperature
    width = inputs["completion_ids"].shape[1]
    logits = logits[:, -width - 1:-1]
    picked = logits.gather(2, inputs["completion_ids"].unsqueeze(2)).squeeze(2)
    return picked - logits.logsumexp(dim=2), inputs["completion_mask"]


def expected(name: str, level: str, beta: float, logps: Any, mask: Any,
             inputs: dict[str, Any]) -> Any:
    """Return the loss of one batch from its formula; eps 0.2 and 0.28, cispo 5.

    The KL term carries the ratio (arXiv:2512.02556), which makes its gradient unbiased.
    """
    import torch

    advantage = inputs["advantages"][:, None]
    gap = logps - inputs["old_per_token_logps"]
    lengths = mask.sum(1)
    if level == "sequence":
        gap = ((gap * mask).sum(1) / lengths)[:, None].expand_as(mask)
    ratio = gap.exp()
    if name == "cispo":
        each = -ratio.clamp(max=5.0).detach() * advantage * logps
    elif name == "sapo":
        heat = torch.where(advantage > 0, 1.0, 1.05)
        each = -4 / heat * torch.sigmoid(heat * (ratio - 1)) * advantage
    elif name == "vespo":
        whole = (gap * mask).sum(1, keepdim=True).exp().detach()
        k, lam = (torch.where(advantage >= 0, a, b) for a, b in ((2.0, 3.0), (3.0, 2.0)))
        each = -torch.exp(lam) * whole ** k * torch.exp(-lam * whole) * advantage * logps
    else:
        each = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.28) * advantage)
    away = inputs["ref_per_token_logps"] - logps
    each = (each + beta * (away.exp() - away - 1) * ratio) * mask
    return {"grpo": (each.sum(1) / lengths).mean(), "sapo": (each.sum(1) / lengths).mean(),
            "dr_grpo": each.sum() / (len(each) * LONGEST),
            "luspo": each.sum(1).mean()}.get(name, each.sum() / lengths.sum())


def test_advantages_and_every_loss_are_those_of_their_papers(make_loop: Make) -> None:
    import torch

    loop = make_loop(grpo={"epsilon_high": 0.28}, rollout={"temperature": 1.3})
    inputs = sampled(loop)
    rewards = torch.tensor([float("e" in text) for text in loop.processing_class.batch_decode(
        [ids[m.bool()] for ids, m in zip(inputs["completion_ids"], inputs["completion_mask"],
                                         strict=True)], skip_special_tokens=True)])
    assert 0 < rewards.sum() < BATCH and inputs["completion_mask"].sum() > BATCH
    levels = {(float(a)) for a in inputs["advantages"]}
    assert len(levels) > 1
    cases = [(name, "token", 0.0) for name in ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo",
                                               "vespo")]
    cases += [("luspo", "sequence", 0.0), ("grpo", "sequence", 0.0), ("grpo", "token", 0.1),
              ("dapo", "token", 0.1), ("dapo", "sequence", 0.0)]
    for name, level, beta in cases:
        loop.loss_type, loop.importance_sampling_level, loop.beta = name, level, beta
        loop.epsilon_high = 5.0 if name == "cispo" else 0.28
        found = loop.compute_loss(loop.model, inputs)
        logps, mask = log_probs(loop, inputs)
        wanted = expected(name, level, beta, logps, mask, inputs)
        assert found.item() == pytest.approx(wanted.item(), rel=2e-5), (name, level, beta)
        assert abs(found.item()) > 1e-4, (name, level, beta)
        weights = [p for p in loop.model.parameters() if p.requires_grad]
        for one, other in zip(torch.autograd.grad(found, weights),
                              torch.autograd.grad(wanted, weights), strict=True):
            assert torch.allclose(one, other, atol=2e-6), (name, level, beta)


def test_advantages_of_a_group(make_loop: Make) -> None:
    import torch

    loop = make_loop()
    rewards = torch.tensor([0.0, 1.0, 1.0, 3.0, 2.0, 2.0, 2.0, 2.0])
    loop._calculate_rewards = lambda *args: rewards[:, None]
    for scale, spread in (("group", rewards.view(2, 4).std(dim=1).repeat_interleave(4)),
                          ("batch", rewards.std()), ("none", None)):
        loop.scale_rewards = scale
        loop._step, loop._buffered_inputs = 0, None
        found = sampled(loop, apart=False)["advantages"]
        plain = rewards - rewards.view(2, 4).mean(dim=1).repeat_interleave(4)
        wanted = plain if spread is None else plain / (spread + 1e-4)
        assert sorted(found.tolist()) == pytest.approx(sorted(wanted.tolist()), abs=1e-5)


def test_the_config_reaches_trl(make_loop: Make) -> None:
    loop = make_loop(
        grpo={"loss_type": "cispo", "epsilon": 0.3, "epsilon_high": 4, "beta": 0.01,
              "scale_rewards": "none", "num_iterations": 2},
        rollout={"temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1,
                 "repetition_penalty": 1.2, "mask_truncated_completions": True,
                 "rewards": [{"name": "regex", "pattern": "e", "weight": -2},
                             {"name": "length", "target": 3, "weight": 0.5}]},
        training={"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4})
    assert (loop.loss_type, loop.epsilon_low, loop.epsilon_high, loop.beta) == ("cispo", 0.3, 4,
                                                                                0.01)
    assert (loop.scale_rewards, loop.num_iterations, loop.mask_truncated_completions) == (
        "none", 2, True)
    wanted = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1,
              "repetition_penalty": 1.2, "max_new_tokens": LONGEST, "eos_token_id": [2]}
    assert {key: getattr(loop.generation_config, key) for key in wanted} == wanted
    assert loop.reward_func_names == ["regex", "length"]
    assert loop.reward_weights.tolist() == [-2.0, 0.5]
    order = list(loop._get_train_sampler())
    assert order[:4] == [order[0]] * 4 and order[4:8] == [order[4]] * 4 and order[0] != order[4]
    assert order[8:16] == order[:8] == order[16:24] == order[24:32] != order[32:40]


def test_rloo_compares_with_the_siblings(make_loop: Make) -> None:
    import torch

    loop = make_loop(objective="rloo", rloo={"beta": 0.0})
    rewards = torch.tensor([0.0, 1.0, 1.0, 3.0, 2.0, 5.0, 2.0, 2.0])
    loop._calculate_rewards = lambda *args: rewards[:, None]
    inputs = sampled(loop, apart=False)
    wanted = [float(r - (group.sum() - r) / 3) for group in rewards.view(2, 4) for r in group]
    assert sorted(inputs["advantages"].tolist()) == pytest.approx(sorted(wanted), abs=1e-5)
    inputs["old_logps"] = inputs["old_logps"] + torch.linspace(-0.5, 0.5, BATCH)
    logps, mask = log_probs(loop, inputs)
    ratio = ((logps * mask).sum(1) - inputs["old_logps"]).exp()
    hand = -torch.minimum(ratio * inputs["advantages"],
                          ratio.clamp(0.8, 1.2) * inputs["advantages"]).mean()
    assert loop.compute_loss(loop.model, inputs).item() == pytest.approx(hand.item(), rel=1e-5)


def test_rloo_pays_for_leaving_the_reference(make_loop: Make) -> None:
    import torch

    loop = make_loop(objective="rloo", rloo={"beta": 0.5}, tuner={"type": "full"})
    assert loop.ref_model is not None and loop.beta == 0.5
    loop._calculate_rewards = lambda *args: torch.zeros(BATCH, 1)
    with torch.no_grad():
        for parameter in loop.ref_model.parameters():
            parameter.mul_(1.02)
    inputs = sampled(loop, apart=False)
    logps, mask = log_probs(loop, inputs)
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    whole = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    logits = loop.ref_model(input_ids=ids, attention_mask=whole).logits[:, -mask.shape[1] - 1:-1]
    there = logits.log_softmax(2).gather(2, inputs["completion_ids"][:, :, None]).squeeze(2)
    paid = (-0.5 * ((logps - there) * mask).sum(1)).detach()
    order = {tuple(row.tolist()): i for i, row in enumerate(inputs["prompt_ids"])}
    assert len(order) == 2
    for prompt in order:
        at = [i for i, row in enumerate(inputs["prompt_ids"]) if tuple(row.tolist()) == prompt]
        group = paid[at]
        wanted = [float(r - (group.sum() - r) / (GROUP - 1)) for r in group]
        assert inputs["advantages"][at].tolist() == pytest.approx(wanted, abs=1e-4)
    assert inputs["advantages"].abs().max() > 1e-3


def test_accumulated_batches_are_one_large_batch(make_loop: Make) -> None:
    loop = make_loop(training={"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4})
    sampled(loop, apart=False)
    parts = loop._buffered_inputs
    assert [len(part["advantages"]) for part in parts] == [4, 4]
    whole = sum(loop.compute_loss(loop.model, part).item() for part in parts)
    wanted, tokens = 0.0, 0
    for part in parts:
        mask = part["completion_mask"]
        wanted -= float((part["advantages"][:, None] * mask).sum())
        tokens += int(mask.sum())
    assert whole == pytest.approx(wanted / tokens, rel=1e-5) and tokens > 8


LEARN: dict[str, Any] = {
    "training": {"max_steps": 40, "per_device_train_batch_size": 32, "eval_steps": 20},
    "rollout": {"num_generations": 8}, "data": {"val_size": 10},
    "rloo": {"beta": 0.0, "normalize_advantages": True}}


@pytest.mark.parametrize("objective", ["grpo", "rloo"])
def test_it_learns_what_is_rewarded(runs: Any, cf: Any, questions: Path, objective: str) -> None:
    over = cf.merge(cf.merge(GRPO, {"data": {"train": [str(questions)]}}), LEARN)
    run = runs.make(objective, **(over | {"objective": objective}))
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    rewards = cf.series(events, "reward")
    first, last = (sum(rewards[s] for s in steps) / 8 for steps in (range(1, 9), range(33, 41)))
    assert last > first + 0.25 and last > 0.65, (first, last)
    held = cf.series(events, "eval_reward")
    assert set(held) == {20, 40} and held[40] > 0.6
    assert cf.series(events, "eval_loss") == {step: -value for step, value in held.items()}
    assert greedy(run) > greedy(None, run) + 0.2
    metrics = cf.end_of(events).metrics
    wanted = {"reward", "reward_std", "rewards_regex_mean", "completions_mean_length", "entropy",
              "clip_ratio_region_mean", "grad_norm", "num_tokens", "frac_reward_zero_std"}
    assert wanted <= set(metrics) and "eval_frac_reward_zero_std" not in metrics
    shown = [e for e in events if isinstance(e, SampleEvent) and e.reward is not None]
    assert shown and {e.step for e in shown} == {0, 20}
    assert all(e.prompt.startswith("What is") and "|" not in e.prompt for e in shown)
    assert all(e.reward == float("e" in e.output) for e in shown)
    assert not [e for e in events if isinstance(e, WarningEvent)
                and e.code == "zero_loss"]


def greedy(run: Any, of: Any = None) -> float:
    """Return the share of greedy answers with an 'e' of a run's result, or of its base."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = (run or of).read_config().model.name_or_path
    model = AutoModelForCausalLM.from_pretrained(base)
    if run is not None:
        model = PeftModel.from_pretrained(model, str(run.adapter))
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = 0
    with torch.no_grad():
        for number in range(10):
            ids = tokenizer(f"<|im_start|>user\nHow much is {number} and 9?<|im_end|>\n"
                            "<|im_start|>assistant\n", return_tensors="pt")
            out = model.generate(**ids, max_new_tokens=LONGEST, do_sample=False)
            found += "e" in tokenizer.decode(out[0, ids["input_ids"].shape[1]:],
                                             skip_special_tokens=True)
    return found / 10


@pytest.mark.parametrize(("stop", "over"), [
    (3, {}), (3, {"grpo": {"num_iterations": 2, "beta": 0.05}}),
    (3, {"objective": "rloo", "rloo": {"num_iterations": 2}, "tuner": {"type": "full"}})])
def test_it_resumes_exactly(runs: Any, cf: Any, questions: Path, stop: int, over: dict[str, Any],
                            monkeypatch: pytest.MonkeyPatch) -> None:
    values = cf.merge(cf.merge(GRPO, {
        "data": {"train": [str(questions)], "val_size": 4},
        "training": {"max_steps": 19, "gradient_accumulation_steps": 2, "eval_steps": 2,
                     "per_device_train_batch_size": 4}}), over)
    runs.in_halves(monkeypatch, stop, **values).require_same(
        "loss", "grad_norm", "reward", "entropy", "num_tokens", "eval_reward",
        "completions_mean_length")


def test_answers_are_computed_as_in_training(runs: Any, cf: Any, questions: Path) -> None:
    """SHiRA multiplies by the base's weights, beside norms that a quantized base has in float32."""
    over = cf.merge(GRPO, {"data": {"train": [str(questions)]}, "training": {"max_steps": 1},
                           "model": {"quantization": "nf4", "dtype": "bfloat16"},
                           "tuner": {"type": "shira"}, "evaluation": {"prompts": ["Who?"]}})
    events = runs.train(runs.make("bf16", **over))
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)


def test_equal_rewards_are_said(runs: Any, cf: Any, questions: Path) -> None:
    over = cf.merge(GRPO, {"data": {"train": [str(questions)]}, "training": {"max_steps": 12}})
    over["rollout"]["rewards"] = [{"name": "regex", "pattern": "never said"}]
    events = runs.train(runs.make("equal", **over))
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    warnings = [e for e in events if isinstance(e, WarningEvent)]
    assert [e.code for e in warnings] == ["equal_rewards"] and "mean 0" in warnings[0].message
    assert set(cf.series(events, "loss").values()) == {0.0}


def test_what_cannot_work_is_said(runs: Any, cf: Any, questions: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"prompt": "What is 1 + 1?"}\n' * 4)
    over = cf.merge(GRPO, {"data": {"train": [str(bare)]}})
    over["rollout"]["rewards"] = [{"name": "exact_answer"}]
    assert cf.end_of(runs.train(runs.make("bare", **over))).code == "reward_references"
    over = cf.merge(GRPO, {"data": {"train": [str(questions)]},
                           "rollout": {"max_completion_length": 500}})
    assert cf.end_of(runs.train(runs.make("room", **over))).code == "rollout_room"


def test_a_reward_model_scores_what_was_written(runs: Any, cf: Any, questions: Path,
                                                pairs: Path) -> None:
    from trainer.contract.config import RewardUse
    from trainer.rewards import Help, make

    judge = runs.make("judge", objective="reward", data={"train": [str(pairs)]},
                      training={"max_steps": 20})
    assert cf.end_of(runs.train(judge)).outcome == "completed"
    reward = make(RewardUse(name="reward_model", model="judge"), Help(runs=runs.root))
    score = reward._scorer.score  # type: ignore[attr-defined]
    ids = [[1, 40, 50], [1, 60]]
    assert reward(["a", "b"], ["c", "d"], completion_ids=[[70, 2], [80, 90, 2]],
                  prompt_ids=ids) == score([[1, 40, 50, 70, 2], [1, 60, 80, 90, 2]])
    over = cf.merge(GRPO, {"data": {"train": [str(questions)]}, "training": {"max_steps": 2}})
    over["rollout"]["rewards"] = [{"name": "reward_model", "model": "judge"}]
    events = runs.train(runs.make("student", **over))
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    assert all(cf.end_of(events).metrics[name] for name in ("reward_std", "grad_norm"))
