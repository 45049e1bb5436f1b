"""What the sample data teach the starter, through the product's own trainer."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source_tree import ROOT

pytestmark = pytest.mark.long

RECIPE = ROOT / "templates" / "recipes" / "quickstart.yaml"


def train(home: Path, *overrides: str) -> dict[str, list[list[float]]]:
    """Run the quickstart with changes to its end and return its series."""
    environment = {**os.environ, "FINESTRA_HOME": str(home), "HF_HUB_OFFLINE": "1"}

    def finestra(*arguments: str) -> dict:
        done = subprocess.run([sys.executable, "-m", "app", *arguments, "--json"], cwd=home,
                              capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
        return json.loads(done.stdout)

    run = finestra("train", str(RECIPE), *overrides)
    return finestra("runs", "metrics", run["id"])["series"]


def shuffle_answers(source: Path, target: Path) -> None:
    """Write the same rows with the answers dealt out anew."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    answers = [row["output"] for row in rows]
    random.Random(7).shuffle(answers)
    lines = [json.dumps({**row, "output": answer}, ensure_ascii=False) + "\n"
             for row, answer in zip(rows, answers, strict=True)]
    target.write_text("".join(lines), encoding="utf-8")


GSM8K = ("tuner.r=16", "training.learning_rate=2e-3", "training.max_steps=200",
         "training.per_device_train_batch_size=4", "data.max_length=512", "data.eval=[]",
         "data.val_size=64", "evaluation.exact_match=false")


def test_real_questions_are_learned_from_held_out_ones_too(shared, tmp_path):
    source = shared / "data" / "real" / "gsm8k_train.jsonl"
    if not source.is_file():
        pytest.skip("there is no gsm8k_train.jsonl under ../shared/data/real")
    series = train(tmp_path, f"data.train=[{source}]", *GSM8K)
    losses = [value for _, value in series["loss"]]
    assert len(losses) == 200
    assert sum(losses[-20:]) < sum(losses[:20])
    assert series["eval_loss"][-1][1] < series["eval_loss"][0][1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_starter_learns_to_answer_questions_it_was_never_asked(seed, tmp_path):
    (first, before), *_, (last, after) = train(tmp_path, f"training.seed={seed}")["exact_match"]
    assert first == 0 and last > 0
    assert before < 0.2
    assert after > 0.8


def test_shuffled_answers_teach_nothing(tmp_path):
    shuffled = tmp_path / "shuffled.jsonl"
    shuffle_answers(ROOT / "data" / "sample_instructions.jsonl", shuffled)
    points = train(tmp_path, f"data.train=[{shuffled}]")["exact_match"]
    assert points[-1][1] < 0.2
