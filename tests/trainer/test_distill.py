"""Distillation and GKD: the divergence by hand, nearer to the teacher, refusals, exact resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import SampleEvent, WarningEvent

pytestmark = pytest.mark.training

DISTIL: dict[str, Any] = {
    "objective": "distillation", "evaluation": {"samples": 1},
    "rollout": {"max_completion_length": 12}, "training": {"max_steps": 4}}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, cf: Any) -> Path:
    return cf.write_rows(tmp_path_factory.mktemp("data") / "asked.jsonl", [
        {"prompt": row["instruction"], "reference": row["output"]} for row in cf.colour_rows(48)])


@pytest.fixture(scope="module")
def teacher(tiny_model: Path, colours: Path, tmp_path_factory: pytest.TempPathFactory,
            cf: Any) -> Path:
    """A folder of runs with one, 'teacher', that was trained on the colours with LoRA."""
    root = tmp_path_factory.mktemp("teachers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINESTRA_RUNS", str(root))
        patch.delenv("FINESTRA_HOME", raising=False)
        runs = cf.Runs(root, tiny_model, colours)
        run = runs.make("teacher", training={"max_steps": 40})
        assert cf.end_of(runs.train(run)).outcome == "completed"
    return root


@pytest.fixture
def taught(runs: Any, cf: Any, teacher: Path, asked: Path,
           monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return the config of a run whose teacher is the trained run."""
    (runs.root / "teacher").symlink_to(teacher / "teacher")

    def make(objective: str, **over: Any) -> dict[str, Any]:
        data = {} if objective == "gkd" else {"data": {"train": [str(asked)]}}
        values = cf.merge(DISTIL, {"objective": objective, **data,
                                   "teacher": {"name_or_path": "teacher"}})
        return dict(cf.merge(values, over))

    return make


def load(run: Any, *, base: bool = False) -> Any:
    """Return a run's result, or its base, with its adapter merged: in plain PEFT."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(run.read_config().model.name_or_path)
    return model if base else PeftModel.from_pretrained(model, str(run.adapter)).merge_and_unload()


def forward_kl(student: Any, teacher: Any, held_out: Path, folder: str) -> float:
    """Return the mean KL(teacher || student) a token of held-out conversations."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    total, tokens = 0.0, 0
    for line in held_out.read_text().splitlines():
        row = json.loads(line)
        prompt = f"<|im_start|>user\n{row['instruction']}<|im_end|>\n<|im_start|>assistant\n"
        before = len(tokenizer(prompt)["input_ids"])
        ids = tokenizer(prompt + row["output"] + "<|im_end|>", return_tensors="pt")["input_ids"]
        with torch.no_grad():
            p, q = (m(input_ids=ids).logits[0, before - 1:-1].log_softmax(-1)
                    for m in (teacher, student))
        total += float((p.exp() * (p - q)).sum())
        tokens += len(p)
    return total / tokens


def divergence(student: Any, teacher: Any, beta: float) -> Any:
    """Return the generalised Jensen-Shannon divergence of each position, eq. 1 of 2306.13649.

    beta KL(P || M) + (1 - beta) KL(Q || M) with M = beta P + (1 - beta) Q, P the teacher's
    distribution; at the ends the KL divergences themselves.
    """
    import torch

    p, q = teacher.softmax(-1), student.softmax(-1)
    if beta == 0:
        return (p * (p.log() - q.log())).sum(-1)
    if beta == 1:
        return (q * (q.log() - p.log())).sum(-1)
    m = torch.log(beta * p + (1 - beta) * q)
    return (beta * p * (p.log() - m) + (1 - beta) * q * (q.log() - m)).sum(-1)


@pytest.mark.parametrize(("objective", "more"), [
    ("distillation", {"training": {"learning_rate": 1e-2}}),
    ("gkd", {}), pytest.param("gkd", {"teacher": {"lmbda": 0.0, "seq_kd": True, "beta": 0.0}},
                              marks=pytest.mark.long)])
def test_the_student_comes_nearer_to_the_teacher(
        runs: Any, cf: Any, taught: Any, held_out: Path, objective: str,
        more: dict[str, Any]) -> None:
    over = cf.merge(taught(objective, training={
        "max_steps": 40, "per_device_train_batch_size": 8, "eval_steps": 20},
        data={"val_size": 8}), more)
    run = runs.make(objective, **over)
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    from trainer.contract.rundir import RunDir

    teacher, folder = load(RunDir(runs.root / "teacher")), over_model(run)
    before = forward_kl(load(run, base=True), teacher, held_out, folder)
    after = forward_kl(load(run), teacher, held_out, folder)
    assert after < 0.6 * before and before > 0.5, (before, after)
    losses = cf.series(events, "loss")
    assert min(losses.values()) > 0 and len(set(losses.values())) == 40
    held = cf.series(events, "eval_loss")
    assert held[40] < held[20]
    assert cf.end_of(events).metrics["num_tokens"] > 40 * 8 * 10
    if objective == "distillation":
        assert "entropy" in cf.end_of(events).metrics
        assert [e for e in events if isinstance(e, SampleEvent) and e.step == 0]


def over_model(run: Any) -> str:
    return str(run.read_config().model.name_or_path)


@pytest.mark.parametrize("objective", ["distillation", "gkd"])
def test_the_divergence_is_that_of_its_paper(runs: Any, taught: Any,
                                             objective: str) -> None:
    import torch

    loop = runs.loop(**taught(objective))
    rows = [loop.train_dataset[index] for index in (0, 5, 11)]
    if objective == "gkd":
        inputs = loop.data_collator(rows)
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        compared = inputs["labels"][:, 1:] != -100
    else:
        inputs = dict(loop._prepare_inputs(rows))
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        none = torch.zeros_like(inputs["prompt_mask"])
        compared = torch.cat([none, inputs["completion_mask"]], dim=1)[:, 1:].bool()
    assert compared.sum() > 10
    logits = [model(input_ids=ids, attention_mask=mask).logits[:, :-1].detach()
              for model in (loop.model, loop.teacher_model)]
    values = []
    for beta in (0.0, 0.3, 0.5, 1.0):
        loop.beta = beta
        wanted = divergence(*logits, beta)[compared].mean().item()
        assert loop.compute_loss(loop.model, inputs).item() == pytest.approx(wanted, rel=1e-4)
        values.append(wanted)
    assert len({round(value, 6) for value in values}) == 4 and min(values) > 1e-3
    assert not any(p.requires_grad for p in loop.teacher_model.parameters())


def test_sampled_answers_count_their_own_tokens(runs: Any, taught: Any) -> None:
    import torch

    loop = runs.loop(**taught("gkd", teacher={"lmbda": 1.0}))
    inputs = loop.data_collator([loop.train_dataset[index] for index in (0, 5)])
    data_tokens = (inputs["labels"] != -100).sum()
    prompts = inputs["prompts"].clone()
    loss = loop.training_step(loop.model, inputs, data_tokens).item()
    assert inputs["input_ids"][:, :prompts.shape[1]].equal(prompts)
    compared = inputs["labels"][:, 1:] != -100
    assert int(compared.sum()) != int(data_tokens)
    logits = [model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
                    ).logits[:, :-1].detach() for model in (loop.model, loop.teacher_model)]
    wanted = divergence(*logits, 0.5)[compared].mean()
    assert loss == pytest.approx(wanted.item(), rel=1e-4)
    assert loop.totals.tokens and torch.isfinite(wanted)


def test_gkd_trains_an_adapter_on_the_head(runs: Any, cf: Any, taught: Any) -> None:
    from safetensors.torch import load_file

    run = runs.make("head", **taught("gkd", training={"max_steps": 2}, tuner={
        "target_modules": ["lm_head"]}))
    end = cf.end_of(runs.train(run))
    assert end.outcome == "completed", end
    weights = load_file(run.adapter / "adapter_model.safetensors")
    assert any("lm_head" in name and "lora_B" in name and float(weight.abs().sum()) > 0
               for name, weight in weights.items())


def test_what_stands_before_the_first_label_is_the_prompt() -> None:
    from trainer.loops.distilling import PromptedCollator

    batch = PromptedCollator(0)([{"input_ids": [5, 6, 7], "labels": [-100, -100, 7]},
                                 {"input_ids": [8, 9], "labels": [-100, 9]}])
    assert batch["prompts"].tolist() == [[5, 6], [0, 8]]
    assert batch["prompt_attention_mask"].tolist() == [[1, 1], [0, 1]]
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 7], [-100, 9, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize("objective", ["distillation", "gkd"])
def test_it_resumes_exactly(runs: Any, taught: Any, objective: str,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    over = taught(objective, training={"max_steps": 8, "gradient_accumulation_steps": 2})
    runs.in_halves(monkeypatch, 3, **over).require_same("loss", "grad_norm", "num_tokens")


def test_a_changed_teacher_is_refused_on_resume(
        runs: Any, cf: Any, taught: Any, teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = taught("distillation")
    (runs.root / "teacher").unlink()
    shutil.copytree(teacher / "teacher", runs.root / "teacher")
    run = runs.make("taught", **over)
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 2)
        assert cf.end_of(runs.train(run)).outcome == "stopped"
    weights = runs.root / "teacher" / "adapter" / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + bytes(4 * [whole[-1] ^ 1]))
    end = cf.end_of(runs.train(run))
    assert (end.code, end.message.split(" changed")[0]) == ("inputs_changed", "the teacher")
    weights.write_bytes(whole)
    assert cf.end_of(runs.train(run)).outcome == "completed"


def test_teachers_that_cannot_teach(runs: Any, cf: Any, taught: Any, tiny_model: Path) -> None:
    other = runs.train(runs.make("other", **taught(
        "distillation", teacher={"name_or_path": "starter"})))
    end = cf.end_of(other)
    assert end.code == "teacher_tokenizer" and "tokens differ" in end.message
    same = runs.train(runs.make("same", **taught(
        "gkd", teacher={"name_or_path": str(tiny_model)}, training={"max_steps": 2})))
    assert cf.end_of(same).outcome == "completed"
    assert [e.code for e in same if isinstance(e, WarningEvent)][:1] == ["teacher_is_student"]
    gone = runs.train(runs.make("gone", **taught(
        "gkd", teacher={"name_or_path": "./nowhere"})))
    assert cf.end_of(gone).code == "model_missing"
