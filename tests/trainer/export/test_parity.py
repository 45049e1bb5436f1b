"""Exports of a run on the starter, asked by the programs that use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from trainer.contract.config import RunConfig
from trainer.contract.files import read_json, write_json
from trainer.contract.places import starter
from trainer.contract.rundir import RunDir
from trainer.export.errors import ExportError
from trainer.export.gguf_export import export_gguf
from trainer.export.merge import merge_run
from trainer.export.parity import Artefact, ParityReport, check_base, check_parity
from trainer.export.parity_report import SideReport
from trainer.export.parity_sides import LLAMA, VLLM, Program
from trainer.failures import Failure

pytestmark = pytest.mark.training
NOWHERE = "/nowhere/bin/python"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cf: Any, colours: Path,
        held_out: Path) -> Iterator[RunDir]:
    """A run that has learned its answers."""
    root = tmp_path_factory.mktemp("parity")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINESTRA_RUNS", str(root))
        patch.delenv("FINESTRA_HOME", raising=False)
        runs = cf.Runs(root, Path("starter"), colours)
        found = runs.make("tuned", data={"eval": [str(held_out)]},
                          training={"max_steps": 40, "learning_rate": 2e-3})
        assert cf.end_of(runs.train(found)).outcome == "completed"
        yield found


@pytest.fixture(scope="module")
def merged(run: RunDir) -> Path:
    return merge_run(run, run.path.parent / "merged", dtype="float32").path


@pytest.fixture(autouse=True)
def without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VLLM.variable, NOWHERE)


def sides(report: ParityReport) -> list[SideReport]:
    return [side for artefact in report.artefacts for side in artefact.sides]


def require_installed(program: Program, module: str) -> None:
    done = subprocess.run([program.python, "-I", "-c", f"import {module}"], capture_output=True,
                          check=False) if os.access(program.python, os.X_OK) else None
    if done is None or done.returncode:
        pytest.skip(f"{program.name} is not installed ({program.variable}; {program.install})")


def test_merged_model_and_adapter_are_what_was_trained(run: RunDir, merged: Path) -> None:
    told: list[tuple[int, int, str]] = []
    report = check_parity(run, None, [Artefact("merged", "float32", merged),
                                      Artefact("adapter", "safetensors", run.adapter)],
                          max_new_tokens=12, progress=lambda *step: told.append(step))
    assert report.verdict == "same", report.to_markdown()
    plain, vllm, peft = sides(report)
    assert (report.prompts, report.prompts_from) == (8, "held-out rows")
    assert plain.prompts_same == plain.answers_same == len(plain.prompts) == 8
    assert plain.largest is not None and plain.largest < 1e-3 and plain.computes == "float32"
    assert peft.verdict == "same" and peft.computes == "bfloat16"
    assert peft.largest is not None and 0 < peft.largest < 0.2
    assert (vllm.verdict, vllm.reasons) == ("not run", ["vLLM is not installed."])
    assert vllm.advice == "make vllm"
    assert [step[:2] for step in told] == [(done, 4) for done in range(5)]
    json.dumps(report.to_json(), allow_nan=False)


def perturb(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["model.layers.2.mlp.down_proj.weight"] *= 2
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def change_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("\\n", " \\n"), encoding="utf-8")


def change_end(folder: Path) -> None:
    for name in ("generation_config.json", "config.json"):
        write_json(folder / name, {**read_json(folder / name), "eos_token_id": 4087})


def break_tokenizer(folder: Path) -> None:
    value = read_json(folder / "tokenizer.json")
    value["model"]["merges"] = value["model"]["merges"][:2000]
    write_json(folder / "tokenizer.json", value)


def refuse(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ raise_exception('not me') }}")


def cut(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(10_000)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights": (perturb, "beyond what this format does"),
    "template": (change_template, "chat template is not the one"),
    "end": (change_end, "Answers do not end at <|im_end|>"),
    "tokenizer": (break_tokenizer, "become other tokens"), "refuses": (refuse, "not me"),
    "cut": (cut, "cannot be loaded")}


@pytest.mark.parametrize("names", [
    ("weights", "template", "end", "cut"),
    pytest.param(("tokenizer", "refuses"), marks=pytest.mark.long)])
def test_what_is_broken_is_another_model(run: RunDir, merged: Path, tmp_path: Path,
                                         names: tuple[str, ...]) -> None:
    made = []
    for name in names:
        BROKEN[name][0](Path(shutil.copytree(merged, tmp_path / name)))
        made.append(Artefact("merged", "float32", tmp_path / name))
    for artefact in check_parity(run, None, made, max_new_tokens=12).artefacts:
        side, said = artefact.sides[0], BROKEN[artefact.name][1]
        assert artefact.verdict == side.verdict == "different", artefact.name
        assert any(said in reason for reason in side.reasons), (artefact.name, side.reasons)
        if artefact.name == "end":
            # Nothing else is wrong with it: where answers part, they only go on.
            assert all(one.answer is None or one.answer.reference is None for one in side.prompts)
            assert side.largest is not None and side.largest < 1e-3


def test_gguf_files_answer_as_trained(run: RunDir, merged: Path, tmp_path: Path) -> None:
    require_installed(LLAMA, "llama_cpp")
    made = [Artefact("gguf", kind, export_gguf(merged, tmp_path / f"{kind}.gguf", kind).path)
            for kind in ("f16", "q8_0", "q4_0")]
    folder = Path(shutil.copytree(merged, tmp_path / "other"))
    perturb(folder)
    change_template(folder)
    made.append(Artefact("gguf", "q8_0", export_gguf(folder, tmp_path / "other.gguf",
                                                     "q8_0").path))
    report = check_parity(run, None, made, max_new_tokens=12)
    *good, bad = report.artefacts
    assert good[0].verdict == "same", report.to_markdown()
    assert {one.verdict for one in good} <= {"same", "close"}, report.to_markdown()
    means = [one.sides[0].mean or 0.0 for one in good]
    assert means == sorted(means) and means[0] < 0.005
    assert all(one.sides[0].prompts_same == 8 for one in good)
    assert bad.verdict == "different" and bad.sides[0].prompts_same == 0
    assert len(bad.sides[0].reasons) >= 2


@pytest.mark.long
def test_vllm_answers_as_trained(run: RunDir, merged: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VLLM.variable)
    require_installed(VLLM, "vllm")
    report = check_parity(run, None, [Artefact("merged", "float32", merged)])
    side = sides(report)[1]
    assert side.verdict == "same" and side.prompts_same == side.answers_same == 8, side.reasons
    assert side.largest is not None and side.largest < 0.01


def test_a_program_that_is_missing_says_nothing(merged: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LLAMA.variable, raising=False)
    made = [Artefact("onnx", "f32", merged), Artefact("gguf", "q8_0", merged / "config.json")]
    if subprocess.run([LLAMA.python, "-c", "import llama_cpp"], capture_output=True,
                      check=False).returncode == 0:
        monkeypatch.setenv(LLAMA.variable, NOWHERE)
    report = check_base(starter(), made, max_new_tokens=2, count=3)
    assert report.verdict == "not run" and (report.run, report.prompts) == ("starter", 3)
    assert report.prompts_from == "the built-in ones"
    onnx, gguf = sides(report)
    assert "no program for this format" in onnx.reasons[0]
    assert "not installed" in gguf.reasons[0] and gguf.advice == LLAMA.install


def test_another_base_is_refused(run: RunDir, merged: Path) -> None:
    other = RunDir(Path(shutil.copytree(run.path, run.path.parent / "other")))
    manifest = read_json(other.manifest)
    manifest["base"]["sha256"]["model.safetensors"] = "0" * 64
    write_json(other.manifest, manifest)
    with pytest.raises(Failure) as error:
        check_parity(other, None, [Artefact("merged", "float32", merged)])
    assert error.value.code == "base_changed"


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.mark.parametrize("after", [0, 12])
def test_a_cancelled_check_ends_its_program(run: RunDir, merged: Path, after: int) -> None:
    # Other tests may lend out a child that lives on.
    asked, before = 0, children()

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(ExportError) as error:
        check_parity(run, None, [Artefact("merged", "float32", merged)], cancelled=cancelled)
    assert error.value.code == "cancelled" and asked == after + 1
    assert children() <= before


def test_a_model_that_gives_scores_has_no_answers(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "scores")
    run.create(RunConfig.model_validate({"objective": "classification",
                                         "data": {"train": ["x"]}}), {})
    report = check_parity(run, None, [Artefact("adapter", "safetensors", tmp_path)])
    assert report.verdict == "not run" and report.to_json()["verdict"] == "not run"
    assert "gives scores" in report.artefacts[0].sides[0].reasons[0]
