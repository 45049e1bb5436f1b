"""Scripts of runs: they compile, need nothing of ours, and learn the same numbers."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.script import write_script
from trainer.contract import ConfigError
from trainer.contract.config import RunConfig, parse
from trainer.contract.config.tuner import TUNERS
from trainer.contract.events import MetricsEvent, from_line
from trainer.contract.files import write_json
from trainer.contract.rundir import RunDir

DATA = {"sft": "sample_chat", "pretrain": "sample_text", "kto": "sample_kto",
        "classification": "sample_classes", "grpo": "sample_questions",
        "rloo": "sample_questions"}
SMALL = {"num_generations": 2, "max_completion_length": 4}
SUM = {"rollout": {**SMALL, "rewards": [{"name": "exact_answer"}]}}
# Runs several scripts one after the other and prints what each of them logged.
HARNESS = """
import json, os, runpy, sys
for place, path in enumerate(sys.argv[1:]):
    os.makedirs(str(place), exist_ok=True)
    os.chdir(str(place))
    trainer = runpy.run_path(path)["main"]()
    print("LOSSES " + json.dumps([line["loss"] for line in trainer.state.log_history
                                  if "loss" in line]), flush=True)
    os.chdir("..")
"""


def config_of(objective: str = "sft", **over: Any) -> RunConfig:
    values: dict[str, Any] = {
        "objective": objective,
        "data": {"train": [DATA.get(objective, "sample_preferences")], "max_length": 96,
                 "max_samples": 48},
        "training": {"max_steps": 2, "per_device_train_batch_size": 4, "eval_steps": None,
                     "save_steps": None, "learning_rate": 1e-3, "device": "cpu"},
        "evaluation": {"samples": 0}}
    for section, inner in over.items():
        values[section] = {**values.get(section, {}), **inner}
    return parse(values)


def script_of(config: RunConfig, folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(write_script(config, home=None, runs=folder).text, encoding="utf-8")
    return path


def in_a_process(scripts: list[Path], folder: Path) -> list[list[float]]:
    """Run scripts in one fresh process that cannot see Finestra; return their losses."""
    done = subprocess.run([sys.executable, "-P", "-c", HARNESS, *map(str, scripts)], cwd=folder,
                          capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line.removeprefix("LOSSES ")) for line in done.stdout.splitlines()
            if line.startswith("LOSSES ")]


def losses_of(config: RunConfig, folder: Path) -> list[float]:
    """Train a run here; return the loss of every step."""
    from trainer.__main__ import main

    run = RunDir(folder / "run")
    run.create(config, {})
    attempt = run.new_attempt()
    write_json(attempt.settings, {"attempt": attempt.number, "device": "cpu", "resume": "auto"})
    assert main(run.path) == 0
    events = [from_line(line) for line in attempt.events.read_bytes().splitlines()]
    return [event.values["loss"] or 0.0 for event in events
            if isinstance(event, MetricsEvent) and "loss" in event.values]


SAME = {
    "sft": config_of(data={"train": ["sample_instructions"], "val_size": 0.1}),
    "mixed": config_of(data={"train": [{"name": "sample_instructions", "weight": 2},
                                       {"name": "sample_chat", "weight": 1}],
                             "mix_strategy": "interleave_over"}),
    "padding-free": config_of(training={"padding_free": True}),
    "pretrain": config_of("pretrain"), "dpo": config_of("dpo"), "kto": config_of("kto"),
    "orpo": config_of("orpo"), "reward": config_of("reward")}
ALSO = {
    "simpo": config_of("simpo"), "cpo": config_of("cpo"),
    "classification": config_of("classification"), "grpo": config_of("grpo", **SUM),
    "rloo": config_of("rloo", **SUM), "full": config_of(tuner={"type": "full"}),
    "freeze": config_of(tuner={"type": "freeze"}), "bfd": config_of(training={"packing": "bfd"}),
    "wrapped": config_of(training={"packing": "wrapped"}),
    "qlora": config_of(model={"quantization": "nf4"}), "ia3": config_of(tuner={"type": "ia3"}),
    "mixture": config_of("dpo", dpo={"mixture": {"sigmoid": 1.0, "sft": 0.2}})}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """What the scripts of all these configs log, one after the other in one fresh process."""
    folder = tmp_path_factory.mktemp("scripts")
    configs = {**{name: longer(config) for name, config in SAME.items()}, **ALSO}
    scripts = [script_of(config, folder, name) for name, config in configs.items()]
    return dict(zip(configs, in_a_process(scripts, folder), strict=True))


def longer(config: RunConfig) -> RunConfig:
    values = config.dump()
    values["training"]["max_steps"] = 5
    return parse(values)


@pytest.mark.training
@pytest.mark.parametrize("name", SAME)
def test_a_script_learns_what_the_run_learns(name: str, logged: dict[str, list[float]],
                                             tmp_path: Path, warm: None,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINESTRA_RUNS", str(tmp_path))
    monkeypatch.delenv("FINESTRA_HOME", raising=False)
    ours = losses_of(longer(SAME[name]), tmp_path)
    assert len(ours) == 5 and len(set(ours)) > 3
    assert logged[name] == pytest.approx(ours, abs=1e-3)


@pytest.mark.training
@pytest.mark.parametrize("name", ALSO)
def test_other_objectives_and_methods_run(name: str, logged: dict[str, list[float]]) -> None:
    assert len(logged[name]) == 2


@pytest.mark.parametrize("tuner", TUNERS.__args__)  # type: ignore[attr-defined]
def test_every_method_has_a_script_that_knows_nothing_of_ours(tuner: str, tmp_path: Path) -> None:
    written = write_script(config_of(tuner={"type": tuner}), home=None, runs=tmp_path)
    tree = ast.parse(written.text)
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
              for alias in node.names]
    assert not [name for name in names if name.partition(".")[0] in ("app", "trainer")]
    assert max(len(line) for line in written.text.splitlines()) < 2000


LOSSES = {name: config_of("cpo", cpo={"loss_type": name}) for name in ("hinge", "ipo")}


def test_scripts_name_nothing_unknown_and_import_nothing_unused(tmp_path: Path) -> None:
    configs = {**SAME, **ALSO, **LOSSES,
               **{f"tuner-{name}": config_of(tuner={"type": name})
                  for name in TUNERS.__args__}}  # type: ignore[attr-defined]
    for name, config in configs.items():
        script_of(config, tmp_path, name)
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,I,UP,B",
         "--ignore", "E501", "--output-format", "concise", "--no-cache", str(tmp_path)],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("over", "word"), [
    ({"tuner": {"type": "full"}, "training": {"optim": "muon"}}, "muon"),
    ({"sft": {"loss_type": "eaft"}}, "eaft"),
    ({"tuner": {"loraplus_lr_ratio": 16}}, "LoRA+"),
    ({"data": {"deduplicate": "exact"}}, "Duplicates")])
def test_what_differs_is_said_in_the_head(over: dict[str, Any], word: str,
                                          tmp_path: Path) -> None:
    written = write_script(config_of(**over), home=None, runs=tmp_path)
    assert any(word in text for text in written.differs)
    assert word in (ast.get_docstring(ast.parse(written.text)) or "")


@pytest.mark.parametrize(("config", "code"), [
    (config_of("gkd", teacher={"name_or_path": "starter"}), "script_objective"),
    (config_of("grpo", rollout={**SMALL, "rewards": [{"name": "language", "language": "en"}]}),
     "script_reward")])
def test_what_has_no_script_is_refused(config: RunConfig, code: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        write_script(config, home=None, runs=tmp_path)
    assert caught.value.problems[0].code == code
