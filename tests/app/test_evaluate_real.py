"""``finestra evaluate`` from end to end: the studio, its queue, engines, scores; on the starter."""

import json
import os
import subprocess
import sys

import pytest

from tests.app.test_kindfit import run_of

pytestmark = pytest.mark.serving
ROWS = [{"prompt": f"What is {n} + {n}?", "response": str(2 * n)} for n in range(1, 5)]


@pytest.fixture
def finestra(home):
    """Run the command line as a person does; returns (status, document, errors)."""
    def run(*argv):
        done = subprocess.run(
            [sys.executable, "-m", "app", *argv, "--json"], capture_output=True, text=True,
            check=False, env={**os.environ, "FINESTRA_HOME": str(home)}, timeout=300)
        return done.returncode, json.loads(done.stdout), done.stderr

    return run


def test_two_models_answer_are_scored_and_compared(finestra, fake_studio, tmp_path):
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    run_of(fake_studio.home, "20261121-copy-aaaaaa", left="model")
    fake_studio.reconcile()
    status, found, told = finestra(
        "evaluate", "-m", "starter", "-m", "aaaaaa", "-d", str(data), "--metric", "numeric",
        "--metric", "{name: regex, pattern: '.'}", "--limit", "3", "--max-new-tokens", "5")
    assert status == 0 and found["state"] == "completed" and found["error"] is None, (found, told)
    models = ["starter", "20261121-copy-aaaaaa"]
    assert [(one["model"], one["metric"], one["n"]) for one in found["results"]] == [
        (model, metric, 3) for model in models for metric in ("numeric", "regex")]
    assert all(one["low"] <= one["value"] <= one["high"] for one in found["results"])
    assert {(one["a"], one["b"], one["difference"], one["verdict"])
            for one in found["comparisons"]} == {(*models, 0.0, "unclear")}
    for model in models:
        with open(found["predictions"][model], encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        assert [one["row"] for one in lines] == [1, 2, 3]
        assert {"row", "prompt", "reference", "prediction", "score"} <= set(lines[0])
        assert set(lines[0]["score"]) == {"numeric", "regex"}
    assert finestra("runs", "metrics", found["id"])[0] == 0
    status, shown, _ = finestra("evaluate", "--show", found["id"], "--changed", "2")
    assert status == 0 and shown["rows"]["total"] == 3
    assert shown["rows"]["rows"][0]["answers"][1]["model"] == models[1]
