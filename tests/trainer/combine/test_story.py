"""Two runs learn one small task each; their combination can do both, and the base neither."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.combine.adapters import combine_adapters
from trainer.combine.models import ModelWish, WeightedModel, combine_models
from trainer.combine.modules import AdapterWish
from trainer.combine.sources import WeightedAdapter
from trainer.contract.places import starter
from trainer.export.merge import merge_run

pytestmark = pytest.mark.training
PLACES = ("cellar", "kitchen", "garden", "attic")
Rows = list[dict[str, str]]


def place_rows(cf: Any) -> Rows:
    return [{"instruction": f"Where does the {thing} belong?", "input": "",
             "output": f"Put it into the {PLACES[number % len(PLACES)]}."}
            for number, thing in enumerate(cf.THINGS[:6])]


def colour_rows(cf: Any) -> Rows:
    return [{"instruction": f"What colour is the {thing}?", "input": "",
             "output": f"The {thing} is {cf.COLOURS[number % len(cf.COLOURS)]}."}
            for number, thing in enumerate(cf.THINGS[:6])]


def loaded(folder: Path, adapter: Path | None = None) -> Any:
    """Load a model with Transformers and PEFT alone."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (PeftModel.from_pretrained(model, str(adapter)) if adapter else model).eval()


def loss(model: Any, rows: Rows) -> float:
    """Return the mean loss of the answers' tokens, worked out apart from the trainer."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(starter()))
    found = []
    for row in rows:
        text = tokenizer.apply_chat_template([{"role": "user", "content": row["instruction"]}],
                                             add_generation_prompt=True, tokenize=False)
        asked = tokenizer(text, add_special_tokens=False)["input_ids"]
        said = tokenizer(row["output"] + "<|im_end|>", add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([asked + said])).logits[0]
        found.append(torch.nn.functional.cross_entropy(
            logits[len(asked) - 1:-1], torch.tensor(said), reduction="none"))
    return float(torch.cat(found).mean())


@pytest.fixture
def learned(runs: Any, cf: Any, tmp_path: Path) -> Callable[[str, Rows], Any]:
    """Teach the starter a task."""
    def train(name: str, rows: Rows) -> Any:
        run = runs.make(name, model={"name_or_path": "starter"},
                        data={"train": [str(cf.write_rows(tmp_path / f"{name}.jsonl", rows))]},
                        training={"max_steps": 36, "per_device_train_batch_size": 6,
                                  "learning_rate": 3e-3})
        assert cf.end_of(runs.train(run)).outcome == "completed"
        return run

    return train


def test_the_combination_of_two_runs_can_do_both(learned: Any, cf: Any, tmp_path: Path) -> None:
    import torch

    tasks = {"colours": colour_rows(cf), "places": place_rows(cf)}
    done = {name: learned(name, rows) for name, rows in tasks.items()}
    base, ids = loaded(starter()), torch.arange(10, 40).reshape(2, 15)
    before = {name: loss(base, rows) for name, rows in tasks.items()}
    for name, run in done.items():
        alone = loaded(starter(), run.adapter)
        assert {other: loss(alone, rows) < 0.5 for other, rows in tasks.items()} == {
            other: other == name for other in tasks}
        assert all(loss(alone, tasks[other]) > 3 for other in tasks if other != name)

    def can_do_both(model: Any) -> None:
        after = {name: loss(model, rows) for name, rows in tasks.items()}
        assert all(after[name] < before[name] / 3 for name in tasks), (before, after)

    given = [WeightedAdapter(run.adapter, 0.7) for run in done.values()]
    for wish in (AdapterWish("cat"), AdapterWish("ties_svd", 0.5, svd_rank=12),
                 AdapterWish("dare_linear_svd", 0.7, svd_rank=16)):
        adapter = combine_adapters(given, tmp_path / wish.method / "adapter", wish)
        assert adapter.sources == ("colours", "places") and not adapter.notes
        can_do_both(loaded(starter(), adapter.path))
    merged = [WeightedModel(merge_run(run, tmp_path / f"{name}-merged", dtype="float32").path, 0.7)
              for name, run in done.items()]
    for method in (ModelWish("task_arithmetic"), ModelWish("ties", 0.5)):
        model = combine_models(merged, tmp_path / method.method, method, base=starter())
        can_do_both(loaded(model.path))
    with torch.inference_mode():
        whole, laid = (found(input_ids=ids).logits for found in (
            loaded(tmp_path / "task_arithmetic"), loaded(starter(), tmp_path / "cat" / "adapter")))
    torch.testing.assert_close(whole, laid, atol=1e-3, rtol=0)
