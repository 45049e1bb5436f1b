"""Numbers are those of lm-eval's own run of the same model and task."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.evaluation.benchmarks.conftest import STARTER, HttpAsker
from tests.trainer.serving.conftest import KEY, serving

pytestmark = pytest.mark.serving
TASKS = ("colours", "sums", "texts", "both")


@pytest.fixture(scope="module")
def by_hand(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `lm_eval run` says, as a person would call it."""
    place = tmp_path_factory.mktemp("by-hand")
    # Two tokens less than the context: see trainer/evaluation/benchmarks/model.py.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lm_eval", "run", "--model", "hf", "--model_args",
         f"pretrained={STARTER},dtype=float32,max_length=2046", "--device", "cpu",
         "--batch_size", "4", "--include_path", str(folder), "--tasks", ",".join(TASKS[:3]),
         "--seed", "3", "--output_path", str(place / "results.json"), "--log_samples"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = next(place.glob("results*.json"))
    return json.loads(found.read_text())


def test_numbers_are_those_of_lm_eval(benches, by_hand, tmp_path):
    with serving(tmp_path, STARTER, dtype="float32") as server:
        asker = HttpAsker(f"{server.url}/v1", KEY)
        result = benches.run(benches.wish(*TASKS[:3], seed=3, at_once=8), asker)
    ours = {(one.dataset, one.metric): one for one in result.results}
    theirs = by_hand["results"]
    checked = 0
    for (task, metric), one in ours.items():
        key = metric if "," in metric else f"{metric},none"
        if task == "texts":
            assert one.value == pytest.approx(theirs[task][key], rel=1e-4)
        else:
            assert one.value == theirs[task][key]
            name, _, filtered = key.partition(",")
            assert f"stderr {theirs[task][f'{name}_stderr,{filtered}']:.4f}" in one.detail
        checked += 1
    assert checked == 7
