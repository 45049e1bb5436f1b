"""The classifier classifies: losses by formula, learning, what is measured, loading again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.training
ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["animal", "food", "home", "music", "work"]


def test_losses_are_those_of_the_formulas() -> None:
    import torch

    from trainer.loops.classification import ClassLoss, balanced

    chance = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(6, 4, generator=chance)
    labels = torch.tensor([0, 1, 2, 3, 1, 1])
    weights = balanced(labels.tolist(), 4)
    assert weights == pytest.approx((6 / 4, 6 / 12, 6 / 4, 6 / 4))
    plain, focal, weighted, smooth = [], [], [], []
    for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
        total = sum(math.exp(v) for v in row)
        p = [math.exp(v) / total for v in row]
        nll = -math.log(p[label])
        plain.append(nll)
        focal.append((1 - p[label]) ** 2.0 * nll)
        weighted.append(weights[label] * nll)
        smooth.append(0.9 * nll + 0.1 * sum(-math.log(one) for one in p) / 4)
    for loss, expected in ((ClassLoss(), plain), (ClassLoss(gamma=2.0), focal),
                           (ClassLoss(weights=weights), weighted),
                           (ClassLoss(smoothing=0.1), smooth)):
        assert loss(logits, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_macro_f1_by_hand() -> None:
    import torch

    from trainer.loops.classification import macro_f1

    counts = torch.tensor([[4, 1, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    first, second = 2 * 4 / (5 + 7), 2 * 3 / (5 + 4)
    assert macro_f1(counts) == pytest.approx((first + second + 0) / 3)
    assert macro_f1(torch.zeros(2, 2)) == 0.0


def classify(runs: Any, name: str, **over: Any) -> Any:
    """Make a run of the classifier on the sample classes."""
    training = {"max_steps": 60, "per_device_train_batch_size": 16, "eval_steps": 60,
                "learning_rate": 3e-3, **over.pop("training", {})}
    return runs.make(name, objective="classification", training=training, **{
        "model": {"name_or_path": "starter"},
        "data": {"train": [str(ROOT / "data" / "sample_classes.jsonl")], "val_size": 100,
                 "max_length": 64}, **over})


def texts(run: Any) -> tuple[list[list[int]], list[int]]:
    """Return the token rows and classes that a run was measured on."""
    from datasets import Dataset

    table = Dataset.from_file(str(next((run.path / "tokens").rglob("rows.arrow"))))
    return table["input_ids"][:40], [CLASSES.index(name) for name in table["label"][:40]]


@pytest.mark.parametrize("tuner", ["lora", pytest.param("full", marks=pytest.mark.long)])
def test_the_classifier_classifies_and_loads_again(runs: Any, cf: Any, tuner: str,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.loops.classification import CommittedClassifier, load_classifier

    trained: list[Any] = []
    original = CommittedClassifier.settle

    def settle(loop: Any) -> None:
        original(loop)
        trained.append(loop.model)

    monkeypatch.setattr(CommittedClassifier, "settle", settle)
    over: dict[str, Any] = {"tuner": {"type": tuner, "r": 8}}
    if tuner == "full":
        over["training"] = {"learning_rate": 1e-3}
    run = classify(runs, tuner, **over)
    events = runs.train(run)
    end = cf.end_of(events)
    assert end.outcome == "completed", end
    print("measured", end.metrics)
    assert end.metrics["eval_accuracy"] > 0.9 and end.metrics["eval_macro_f1"] > 0.9
    seen = [v for v in cf.series(events, "accuracy").values() if v is not None]
    assert sum(seen[:3]) < sum(seen[-3:])
    confusion = json.loads((run.eval / "confusion.json").read_text())
    counts = confusion["rows_are_right_columns_are_answers"]
    assert confusion["classes"] == CLASSES and sum(map(sum, counts)) == 100
    assert sum(counts[i][i] for i in range(5)) / 100 == end.metrics["eval_accuracy"]
    rows, right = texts(run)
    loaded = load_classifier(run.path, "cpu")
    assert loaded.classes == tuple(CLASSES)
    answers = loaded.classify(rows)
    assert sum(CLASSES.index(name) == label for (name, _), label in
               zip(answers, right, strict=True)) >= 36
    same_scores(loaded.scorer, trained[0], rows)


def same_scores(scorer: Any, model: Any, rows: list[list[int]]) -> None:
    import torch

    found = torch.tensor(scorer.scores(rows[:8]))
    with torch.no_grad():
        expected = [model.eval()(input_ids=torch.tensor([row])).logits[0] for row in rows[:8]]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("over", [
    {"classification": {"loss_type": "focal"}}, {"classification": {"balance": True}},
    {"training": {"label_smoothing_factor": 0.1}}, {"model": {"quantization": "nf4"}}])
def test_other_losses_and_bases(runs: Any, cf: Any, over: dict[str, Any],
                                tiny_model: Path) -> None:
    training = {"max_steps": 3, "eval_steps": 1, "learning_rate": 1e-3,
                **over.pop("training", {})}
    model = {"name_or_path": str(tiny_model), **over.pop("model", {})}
    events = runs.train(classify(runs, "other", model=model, training=training, **over))
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    losses = cf.series(events, "eval_loss")
    assert losses[1] == pytest.approx(math.log(5), abs=0.7) and losses[3] != losses[1]


def test_accumulation_equals_the_big_batch_and_resume_is_exact(
        runs: Any, cf: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over: dict[str, Any] = {"model": {"name_or_path": str(tiny_model)}}
    steps = {"max_steps": 4, "group_by_length": False, "eval_steps": None, "save_steps": 2}
    big = cf.series(runs.train(classify(runs, "big", training=steps, **over)), "loss")
    small = classify(runs, "small", training={
        **steps, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}, **over)
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 2)
        begun = cf.series(runs.train(small), "loss")
    rest = cf.series(runs.train(small), "loss")
    assert [*begun.values(), *rest.values()] == pytest.approx(list(big.values()), rel=1e-4)
