"""A real base beside runs on it: the one that was made worse is called so, the equal one is not."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.contract.config import parse
from trainer.contract.rundir import RunDir

pytestmark = pytest.mark.training


@pytest.fixture
def trained(bench: Any) -> Any:
    """Train the starter with LoRA, as a run of the same home."""
    def train(name: str, answer: str, **training: Any) -> str:
        data = bench.data(name, [{"prompt": f"What is {n} + {m}?", "completion": answer}
                                 for n in range(2, 10) for m in range(2, 10)])
        run = RunDir(bench.runs / name)
        run.create(parse({
            "name": name, "model": {"name_or_path": "starter"}, "data": {"train": [data]},
            "tuner": {"type": "lora", "r": 8}, "evaluation": {"samples": 0},
            "training": {"per_device_train_batch_size": 8, "device": "cpu", **training}}), {})
        assert bench.go(run).outcome == "completed"
        return name

    return train


def test_worse_on_purpose_is_worse_and_equal_is_not(bench: Any, trained: Any) -> None:
    equal = trained("equal", "7", max_steps=1, learning_rate=1e-9)
    spoiled = trained("spoiled", "I would rather not say.", max_steps=12, learning_rate=5e-3)
    run = bench.make("e", models=["starter", equal, spoiled], data=["sample_questions"],
                     max_samples=40, metrics=["numeric", "likelihood"],
                     generation={"max_new_tokens": 16})
    assert bench.go(run).outcome == "completed"
    report = bench.report(run)
    values = {one.model: one.value for one in report.results if one.metric == "numeric"}
    assert values["starter"] == values["equal"] > 0.5 and values["spoiled"] < 0.2
    found = {(one.b, one.metric): one for one in report.comparisons}
    assert found["spoiled", "numeric"].verdict == "worse"
    assert found["equal", "numeric"].verdict == "unclear"
    assert found["equal", "numeric"].p_value == 1.0
    assert abs(found["equal", "perplexity"].difference) < 1.0
    # All three were asked by one engine, which was started once.
    assert len(list((run.path / "attempts" / "001").glob("engine-*.log"))) == 1
    assert report.answered[2].load_s < report.answered[0].load_s
