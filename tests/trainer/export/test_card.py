"""Model cards: true, whole, and nothing in them that the reader's program would run."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from trainer.contract.config import parse
from trainer.contract.files import write_json
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir
from trainer.export.card import escape, make_card, read_licence
from trainer.export.errors import ExportError

TOKEN = "hf_" + "a1B2c3D4" * 4


def make_run(tmp_path, *, name: str = "support bot", base: str = "Qwen/Qwen3-0.6B",
             datasets: tuple[str, ...] = ("sample_instructions",)) -> RunDir:
    run = RunDir(tmp_path / "20261121-support-bot-abc123")
    config = parse({"name": name, "objective": "sft", "model": {"name_or_path": base},
                    "data": {"train": ["sample_instructions"], "max_length": 512},
                    "tuner": {"type": "lora", "r": 8}, "training": {"learning_rate": 2e-4}})
    run.create(config, {})
    write_json(run.manifest, {
        "base": {"name": base, "revision": "0123abcd"}, "versions": {"trl": "1.16.0"},
        "datasets": [{"name": one, "split": "train", "sha256": "f" * 64, "rows": 500}
                     for one in datasets]})
    write_json(run.new_attempt().result, {"metrics": {
        "eval_loss": 1.49362, "exact_match": 0.91, "exact_match_before": 0.0,
        "tokens_per_s": 65.6, "memory_mib": 688.0, "train_loss": None}})
    return run


def front(card: str) -> dict[str, object]:
    found = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_a_card_says_what_the_model_was_made_of(tmp_path):
    run = make_run(tmp_path, datasets=("sample_instructions", "org/set"))
    card = make_card(run, "adapter", base=starter())
    assert front(card) == {
        "base_model": "Qwen/Qwen3-0.6B", "base_model_relation": "adapter",
        "license": "apache-2.0", "library_name": "peft", "pipeline_tag": "text-generation",
        "tags": ["finestra", "sft", "lora"], "datasets": ["org/set"]}
    for line in ("# support bot", "| sample\\_instructions | train | 500 | ffffffffffff |",
                 "| learning rate | 0.0002 |", "| rank | 8 |", "| longest row | 512 |",
                 "| eval\\_loss | 1.494 |", "| exact\\_match | 0.91 |", "Made with trl 1.16.0.",
                 'from_pretrained("Qwen/Qwen3-0.6B")', "is under `apache-2.0`"):
        assert line in card
    assert "memory" not in card and "tokens\\_per\\_s" not in card


@pytest.mark.parametrize(("kind", "relation", "library", "command"), [
    ("merged", "finetune", "transformers", "vllm serve"),
    ("gguf", "quantized", "gguf", "llama-cli -m m-q8_0.gguf")])
def test_other_kinds_say_how_they_are_used(tmp_path, kind, relation, library, command):
    card = make_card(make_run(tmp_path), kind, file="m-q8_0.gguf")
    assert front(card)["base_model_relation"] == relation
    assert front(card)["library_name"] == library and command in card
    assert "name no licence" in card and "license" not in front(card)


def test_nothing_of_the_machine_and_no_secret_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    run = make_run(tmp_path, name=f"with {TOKEN}", base="/srv/secret/place/my-base",
                   datasets=("/srv/secret/rows.jsonl", "C:\\Users\\ann\\rows.csv"))
    card = make_card(run, "adapter")
    assert "srv" not in card and "ann" not in card and TOKEN not in card
    assert "my-base" in card and "rows.jsonl" in card and "rows.csv" in card
    assert "base_model" not in front(card) and "datasets" not in front(card)


@pytest.mark.parametrize("name", [
    "<script>alert(1)</script>", "[click](javascript:alert(1))", "![x](https://evil.test/x.png)",
    "a | b\n| c", "# not a title\n---\nlicense: mit", "`code` **bold** ~~gone~~ $x$",
    "https://evil.test and www.evil.test", "me@evil.test &lt;b&gt;"])
def test_a_name_stays_a_name(tmp_path, name):
    card = make_card(make_run(tmp_path, datasets=(name, "last")), "adapter", base=starter())
    assert front(card)["license"] == "apache-2.0"
    rows = card.partition("|---|---|---|---|\n")[2].splitlines()
    assert rows[0] == f"| {escape(name)} | train | 500 | ffffffffffff |"
    assert rows[1].startswith("| last |")
    assert "<" not in rows[0] and "https://" not in rows[0] and "www.evil" not in rows[0]
    assert not re.search(r"(?<!\\)[\[\]`*~$]", rows[0])
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 5


def test_the_front_matter_cannot_be_broken_out_of(tmp_path):
    card = make_card(make_run(tmp_path, datasets=("org/a\n---\n# x", "org/b: c", "org/ok")),
                     "adapter")
    assert front(card)["datasets"] == ["org/ok"]


def test_where_a_licence_is_looked_for(tmp_path):
    assert read_licence(starter()) == "apache-2.0"
    assert read_licence(tmp_path) == ""
    readme = tmp_path / "README.md"
    readme.write_text("---\nlanguage: en\nlicense: 'Llama3.2'\n---\nlicense: mit\n")
    assert read_licence(tmp_path) == "llama3.2"
    readme.write_text("No word of it.\nlicense: mit\n")
    assert read_licence(tmp_path) == ""
    (tmp_path / "config.json").write_text(json.dumps({"license": "MIT"}))
    assert read_licence(tmp_path) == "mit"


def test_a_run_that_never_started_has_no_card(tmp_path):
    run = make_run(tmp_path)
    run.manifest.unlink()
    with pytest.raises(ExportError, match="never started"):
        make_card(run, "adapter")
