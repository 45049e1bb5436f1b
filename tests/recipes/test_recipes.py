"""Every recipe: complete, checked, small enough for its machine, and it trains."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.board.i18n import TABLES
from app.board.i18n.methods.recipes_words import ABOUT
from trainer.contract.config import RunConfig, parse
from trainer.contract.events import EndEvent, MetricsEvent, from_line
from trainer.contract.files import write_json
from trainer.contract.places import share
from trainer.contract.plan import Setting, estimate
from trainer.contract.rundir import RunDir

FOLDER = share() / "templates" / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
SAMPLES = {"turns": "sample_chat", "text": "sample_text", "pairs": "sample_preferences",
           "judged": "sample_kto", "prompts": "sample_questions", "labelled": "sample_classes"}
MACHINES = {"cpu": 11, "8": 5, "16": 4, "24": 6, "48": 4, "80": 3}


def shapes() -> Any:
    """Return the table of the bases' shapes, which lies beside this file."""
    spec = importlib.util.spec_from_file_location("shapes", Path(__file__).with_name("shapes.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> RunConfig:
    return parse(yaml.safe_load(path.read_text(encoding="utf-8")))


def machine(path: Path) -> str:
    size = re.search(r"-(\d+)gb$", path.stem)
    return size[1] if size else "cpu" if path.stem.endswith("cpu") else ""


def test_how_many_there_are() -> None:
    configs = [read(path) for path in RECIPES]
    assert len(configs) == 41
    assert sum(config.model.name_or_path != "starter" for config in configs) >= 25
    assert len({config.model.name_or_path for config in configs} - {"starter"}) >= 12
    assert sum(config.objective != "sft" for config in configs) >= 20
    assert len({config.objective for config in configs}) >= 12
    found = Counter(machine(path) for path in RECIPES)
    assert all(found[name] >= least for name, least in MACHINES.items()), found


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines[:8] if line.startswith("# ")]
    assert len(head) >= 2 and head[0].startswith("# For ") and max(map(len, lines)) <= 100
    config = read(path)
    assert config.name == path.stem
    assert path.stem in ABOUT and re.search("[一-鿿]", ABOUT[path.stem])
    assert all(f"preset.{path.stem}" in TABLES[locale] for locale in ("en", "zh"))
    said, chinese = (re.findall(r"([\d.]+) GB", text) for text in (
        " ".join(line[2:] for line in head), ABOUT[path.stem]))
    assert Counter(said) == Counter(chinese)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_fits_its_machine(path: Path) -> None:
    config, size = read(path), machine(path)
    if config.model.name_or_path == "starter" or not size:
        return
    kind, dtype = ("cpu", "float32") if size == "cpu" else ("cuda", "bfloat16")
    facts = shapes().facts_of(config.model.name_or_path)
    needed = estimate(config, facts, Setting(kind, dtype, 0)).total_bytes / 1e9  # type: ignore[arg-type]
    assert needed < 0.95 * (8 if size == "cpu" else int(size))
    said = re.search(r"about ([\d.]+) GB", path.read_text(encoding="utf-8").replace("\n# ", " "))
    assert said is not None and float(said[1]) == pytest.approx(needed, rel=0.25)


def made_small(config: RunConfig) -> RunConfig:
    """Return a recipe on the starter and on samples, two small steps on a CPU."""
    values = config.dump()
    values["model"].update(name_or_path="starter", dtype="float32", revision=None)
    values["data"].update(train=[SAMPLES[config.facts.rows]], eval=[], val_size=0.0,
                          max_length=min(config.data.max_length, 96), max_samples=12)
    training = values["training"]
    training.update(max_steps=2, eval_steps=None, save_steps=None, warmup_ratio=0.0,
                    per_device_train_batch_size=min(
                        4, config.training.per_device_train_batch_size),
                    gradient_accumulation_steps=min(
                        2, config.training.gradient_accumulation_steps))
    values["evaluation"].update(exact_match=False, samples=0)
    values["rollout"].update(max_completion_length=8, num_generations=2)
    if config.facts.teacher:
        values["teacher"]["name_or_path"] = "starter"
    return parse(values)


def two_steps(run: RunDir) -> tuple[EndEvent, list[float]]:
    """Train in this process; return how it ended and the losses."""
    from trainer.__main__ import main

    attempt = run.new_attempt()
    write_json(attempt.settings, {"attempt": attempt.number, "device": "cpu", "resume": "auto"})
    main(run.path)
    events = [from_line(line) for line in attempt.events.read_bytes().splitlines()]
    end = events[-1]
    assert isinstance(end, EndEvent)
    return end, [event.values["loss"] or 0.0 for event in events
                 if isinstance(event, MetricsEvent) and "loss" in event.values]


# Trained in every run of the tests: what is made for CPUs, and one of each kind that is not.
OFTEN = {path.stem for path in RECIPES if machine(path) == "cpu"} | {
    "quickstart", "distill-lora-80gb", "gkd-24gb", "rloo-math-lora-48gb", "sft-galore-24gb",
    "kto-qlora-16gb"}


@pytest.mark.training
@pytest.mark.parametrize("path", [
    pytest.param(path, id=path.stem, marks=() if path.stem in OFTEN else pytest.mark.long)
    for path in RECIPES])
def test_a_recipe_trains(path: Path, tmp_path: Path, warm: None,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINESTRA_RUNS", str(tmp_path))
    monkeypatch.delenv("FINESTRA_HOME", raising=False)
    run = RunDir(tmp_path / "run")
    run.create(made_small(read(path)), {})
    end, losses = two_steps(run)
    assert end.outcome == "completed", (end.message, end.advice)
    assert len(losses) == 2 and all(abs(loss) < 100 for loss in losses)
    assert (run.adapter if run.adapter.is_dir() else run.model).is_dir()


def test_the_table_of_the_docs_is_what_there_is() -> None:
    text = (FOLDER.parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(" `"): [cell.strip() for cell in cells[2:-1]] for cells in (
        line.split("|") for line in text.splitlines() if line.startswith("| `"))}
    assert set(rows) == {path.stem for path in RECIPES}
    for path in RECIPES:
        config = read(path)
        size = machine(path)
        assert rows[path.stem][1] == config.objective
        assert rows[path.stem][3] == config.model.name_or_path
        assert rows[path.stem][4] == ", ".join(config.data.names("train"))
        assert not size or rows[path.stem][0] == ("CPU" if size == "cpu" else f"{size} GB")
