"""Numbers are those of lm-eval's own class for Transformers, on the same model and tasks."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.evaluation.benchmarks.conftest import STARTER, Benches, HttpAsker
from tests.trainer.serving.conftest import KEY, Server, serving
from trainer.evaluation.benchmarks import BenchmarkResult

pytestmark = pytest.mark.serving
# Two tokens less than the context: see trainer/evaluation/benchmarks/model.py.
MODEL = {"pretrained": str(STARTER), "dtype": "float32", "max_length": 2046}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory):
    """The starter in float32, served by the Transformers engine."""
    with serving(tmp_path_factory.mktemp("engine"), STARTER, dtype="float32") as server:
        yield server


@pytest.fixture(scope="module")
def hf():
    """The starter, as lm-eval loads it."""
    from lm_eval.models.huggingface import HFLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return HFLM(**MODEL, device="cpu", batch_size=4)


def ours(benches: Benches, engine: Server, *tasks: str, **config: Any) -> BenchmarkResult:
    wish = benches.wish(*tasks, seed=3, at_once=8, config=config)
    return benches.run(wish, HttpAsker(f"{engine.url}/v1", KEY))


def theirs(hf: Any, folder: Path, *tasks: str, **options: Any) -> dict[str, Any]:
    """Ask as `lm_eval run --seed 3` does."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    seeds = dict.fromkeys(("random_seed", "numpy_random_seed", "torch_random_seed",
                           "fewshot_random_seed"), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, Any] = simple_evaluate(
            hf, tasks=list(tasks), task_manager=manager, bootstrap_iters=2, **seeds, **options)
    return found["results"]


def agree(result: BenchmarkResult, wanted: dict[str, Any]) -> int:
    """Hold every number against lm-eval's; returns how many there were."""
    for one in result.results:
        key = one.metric if "," in one.metric else f"{one.metric},none"
        name, _, filtered = key.partition(",")
        if one.dataset == "texts":
            assert one.value == pytest.approx(wanted[one.dataset][key], rel=1e-4)
            continue
        assert one.value == wanted[one.dataset][key], (one.dataset, key)
        if one.dataset != "both":
            error = wanted[one.dataset][f"{name}_stderr,{filtered}"]
            assert f"stderr {error:.4f}" in one.detail
    return len(result.results)


def test_choices_answers_and_texts(benches, engine, hf, folder):
    result = ours(benches, engine, "colours", "sums", "texts")
    assert agree(result, theirs(hf, folder, "colours", "sums", "texts")) == 7
    # Not equal because all of it is nothing.
    assert {one.value for one in result.results if one.metric == "acc"} - {0, 1}


def test_a_group_with_examples_and_a_limit(benches, engine, hf, folder):
    result = ours(benches, engine, "both", limit=6, num_fewshot=2)
    assert agree(result, theirs(hf, folder, "both", limit=6, num_fewshot=2)) == 5


def test_conversations(benches, engine, hf, folder):
    result = ours(benches, engine, "colours", "sums", apply_chat_template=True, limit=6)
    told = theirs(hf, folder, "colours", "sums", apply_chat_template=True, limit=6,
                  fewshot_as_multiturn=True)
    assert agree(result, told) == 4


@pytest.mark.long
def test_the_command_line_of_lm_eval_says_the_same(benches, engine, folder, tmp_path):
    """As a person would call it."""
    model = ",".join(f"{name}={value}" for name, value in MODEL.items())
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lm_eval", "run", "--model", "hf", "--model_args", model,
         "--device", "cpu", "--batch_size", "4", "--include_path", str(folder), "--tasks",
         "colours,sums,texts", "--seed", "3", "--output_path", str(tmp_path / "results.json")],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(tmp_path.glob("results*.json")).read_text())
    assert agree(ours(benches, engine, "colours", "sums", "texts"), found["results"]) == 7
