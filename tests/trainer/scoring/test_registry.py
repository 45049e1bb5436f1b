"""Every metric by its name: what it takes, what is missing, and input that is not nice."""

import builtins
import inspect
import subprocess
import sys

import numpy as np
import pytest

from tests.source_tree import ROOT
from trainer.contract.consent import digest
from trainer.contract.kinds import evaluate as contract
from trainer.failures import Failure
from trainer.scoring import (
    METRICS,
    Choice,
    Likelihood,
    Prediction,
    compare,
    kind_of,
    make,
    score,
    summarise,
)
from trainer.scoring.words import _jieba

OPTIONS = {"regex": {"pattern": r"\d+"}, "json": {"schema": {"type": "object"}},
           "classification": {"labels": ["yes", "no"]}, "code": {"consent": True},
           "embedding": {"embed": lambda texts: [[len(text), 1] for text in texts]}}
# Handed in by code, or of tests only.
INNER = {"embed", "bounds"}
NASTY = ["", "\0", "a\0b\0" * 10, "\ud800", "x\udfff y", "\u200b\u202e\ufeff", "\\boxed{" * 500,
         "####" * 500, "1" * 100_000, "word " * 20_000, "天气" * 50_000, "(" * 100_000,
         "1,000," * 15_000, "\n" * 100_000, "é" * 100_000, "a\u0301" * 50_000, "𝟙" * 30_000,
         "I am sorry " * 9_000, "Action: " * 12_000, "[" * 100_000, "```json\n" * 12_000]


def prediction(row: int, output: str, reference: str) -> Prediction:
    return Prediction(row, "?", output, (reference,), (Choice(output, -1.0), Choice("b", -2.0)), 0,
                      "yes", (), ({"name": "f", "arguments": {}},), None, "stop",
                      Likelihood.of(output, [-1.0]))


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def score(p, a, r): return [len(x) for x in a]", encoding="utf-8")
    options = {**OPTIONS, "python": {"path": str(path), "sha256": digest(path)}}
    return [make(name, **options.get(name, {})) for name in METRICS]


def test_input_that_is_not_nice_is_scored_like_any_other(metrics):
    references = ["a reference", "", "42", "\0", "\ud800", "天气很好"]
    rows = [prediction(row, text, references[row % len(references)])
            for row, text in enumerate(NASTY, 1)]
    # Of 'code' references are programs: its own test has such input.
    metrics = [metric for metric in metrics if metric.name != "code"]
    scores = score(metrics, rows)
    for one in summarise(scores, resamples=20):
        assert one.n + one.left_out == len(NASTY)
    assert not [s.name for s in scores if np.isinf(s.values).any()]
    for one in scores:
        if one.counted.any():
            assert compare(one, one, resamples=2).p == 1.0
    assert all(kind_of(row, metric) for row in rows for metric in metrics)


def test_two_texts_of_a_hundred_thousand_characters():
    long = " ".join(f"word{n % 997}" for n in range(13_000))
    row = prediction(1, long, long.replace("word5", "term5"))
    assert len(long) > 100_000
    for one in score([make("rouge"), make("bleu"), make("chrf"), make("exact_match")], [row]):
        assert 0 <= one.value < 100


def test_no_prediction_at_all(metrics):
    for one in summarise(score(metrics, []), resamples=3):
        assert one.n == one.left_out == 0 and np.isnan(one.value)


def test_names_and_options_that_there_are_not():
    with pytest.raises(Failure, match="no metric 'bertscore'"):
        make("bertscore")
    with pytest.raises(Failure, match="unexpected keyword argument 'stems'"):
        make("rouge", stems=True)
    with pytest.raises(Failure, match="missing a required"):
        make("regex")


def test_every_metric_score_and_option_is_documented(metrics):
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = {line.split("|")[1].strip(" `"): line for line in
             text.partition("| metric | scores |")[2].partition("\n\n")[0].splitlines()[2:]}
    assert list(table) == list(METRICS)
    for metric in metrics:
        words = {*inspect.signature(type(metric)).parameters, *(s.name for s in metric.score([])),
                 *contract.OPTIONS[metric.name]} - INNER
        assert not {word for word in words if f"`{word}`" not in table[metric.name]}


def test_the_contract_names_the_same_metrics():
    assert tuple(contract.OPTIONS) == METRICS


def test_two_predictions_of_the_same_row_are_refused():
    with pytest.raises(Failure, match="the same row"):
        score([make("exact_match")], [prediction(1, "a", "a"), prediction(1, "b", "a")])


@pytest.mark.parametrize(("package", "name", "options"), [
    ("sacrebleu", "bleu", {}), ("sacrebleu", "chrf", {}), ("rouge_score", "rouge", {}),
    ("regex", "regex", {"pattern": "a"}), ("jsonschema", "json", {"schema": {}}),
    ("jieba", "rouge", {})])
def test_a_package_that_is_not_there_is_named_with_the_command(package, name, options, monkeypatch):
    kept = builtins.__import__

    def without(module, *arguments, **more):
        if module.partition(".")[0] == package:
            raise ImportError(module)
        return kept(module, *arguments, **more)

    _jieba.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Failure, match="which is not installed") as caught:
        make(name, **options).score([prediction(1, "天气", "天气")])
    assert caught.value.advice == "Run: pip install 'finestra[eval]'"


def test_importing_it_takes_neither_torch_nor_the_packages_of_metrics():
    code = ("import sys, trainer.scoring\n"
            "sys.exit(' '.join(m for m in ('torch', 'transformers', 'sacrebleu', 'rouge_score',"
            " 'jieba', 'jsonschema', 'scipy') if m in sys.modules) or None)")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
