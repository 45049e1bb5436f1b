"""A merged model as ONNX, for onnxruntime and Transformers.js: through optimum-onnx.

optimum-onnx needs Transformers 4, so it runs in a child with the interpreter that
FINESTRA_ONNX_PYTHON names. That version reads positions from other words of config.json; it gets
both, and what comes out is compared with what Finestra's Transformers says.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.contract.files import write_json
from trainer.contract.models import ModelFacts, read_folder
from trainer.export.children import JOBS, Needed, find_tool, run_child, run_job
from trainer.export.errors import Cancel, ExportError, Progress
from trainer.export.report import (
    Report,
    copy_texts,
    require_absent,
    require_space,
    size_of,
    whole_folder,
)

TOOL = Needed("optimum-onnx", "FINESTRA_ONNX_PYTHON", "onnx_missing",
              "Make an environment of its own (python -m venv ENV; ENV/bin/pip install torch "
              "accelerate 'optimum-onnx[onnxruntime]') and name its ENV/bin/python in "
              "FINESTRA_ONNX_PYTHON.")
# What the check reads: letters, digits, marks and Chinese, for any tokenizer.
_PROBE = ("What is 12 + 30, and why? Ask the museum; it opens at 09:45.\n"
          "def add(a, b):\n    return a + b\n今天的天气很好。")
_MOST_IDS = 64
_STAGES = {"stage: exporting": (0.3, "exporting"), "stage: checking": (0.8, "checking")}
# Weights in float32, and once more while they are put in order.
_COPIES = 2
_SPARE_BYTES = 64 << 20


def export_onnx(folder: Path, target: Path, *, progress: Progress | None = None,
                cancelled: Cancel | None = None) -> Report:
    """Write a model folder as ONNX in float32, with a cache of keys and values.

    Args:
        folder: A whole model with merged weights in 16 or 32 bits.
        target: The folder to end up in; it must not exist.
        progress: Told at each stage.
        cancelled: Asked while it runs.

    Raises:
        ExportError: optimum-onnx is missing ('onnx_missing') or failed, or what came out says
            something else ('tool_failed'), the stored weights are quantized ('weights_quantized'),
            Transformers 4 has no words for the model's positions ('config_unsupported'),
            'target_exists', 'disk_full' or 'cancelled'. Nothing is left behind.
        ModelError: The folder is no whole model, or wants to run code of its own.
        OSError: It cannot be written.
    """
    require_absent(target)
    facts = read_folder(folder)
    if facts.quantization:
        raise ExportError("weights_quantized", f"'{folder.name}' stores its weights quantized "
                          f"({facts.quantization}).", "Export the merged model in 16 bits.")
    config = {**facts.config, **older_words(facts.text_config)}
    tool = find_tool(TOOL)
    size = facts.parameters * 4
    require_space(target.parent, _COPIES * size + _SPARE_BYTES)
    said: list[str] = []

    def heard(line: str) -> None:
        if line.startswith("checked: "):
            said.append(line.removeprefix("checked: "))
        if progress and line in _STAGES:
            share, what = _STAGES[line]
            progress(int(size * share), size, what)

    with whole_folder(target) as partial, tempfile.TemporaryDirectory(
            prefix="finestra-onnx-") as scratch:
        place = Path(scratch)
        ids, expected = _expect(folder, facts, place, cancelled)
        run_job(tool, "onnx", {"source": str(_stage(folder, config, place)), "ids": ids,
                               "target": str(partial.resolve()), "expected": str(expected)},
                what="The export to ONNX", on_line=heard, cancelled=cancelled)
        _check(partial)
        copy_texts(folder, partial)
    return Report(target, size_of(target), [_made(tool.version, said, len(ids))])


def older_words(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Transformers 4 calls the positions that Transformers 5 calls rope_parameters.

    Raises:
        ExportError: It has no words for them ('config_unsupported').
    """
    found = config.get("rope_parameters")
    if not isinstance(found, dict):
        return {}
    if "full_attention" in found and set(found) <= {"full_attention", "sliding_attention"}:
        near = found.get("sliding_attention", {})
        if near.get("rope_type", "default") != "default":
            raise _no_words("sliding windows with scaled positions")
        return {**_flat(found["full_attention"]),
                "rope_local_base_freq": near.get("rope_theta", 10000.0)}
    if any(isinstance(value, dict) for value in found.values()):
        raise _no_words("positions by kinds of layers")
    return _flat(found)


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    scaling = {key: value for key, value in found.items()
               if key not in {"rope_theta", "partial_rotary_factor"}}
    partial = found.get("partial_rotary_factor")
    return {"rope_theta": found.get("rope_theta", 10000.0),
            **({"partial_rotary_factor": partial} if partial is not None else {}),
            "rope_scaling": scaling if found.get("rope_type", "default") != "default" else None}


def _no_words(what: str) -> ExportError:
    return ExportError("config_unsupported", f"This model has {what}, for which Transformers 4 "
                       "(which optimum-onnx needs) has no words.", "Choose another format.")


def _expect(folder: Path, facts: ModelFacts, place: Path,
            cancelled: Cancel | None) -> tuple[list[int], Path]:
    """Let Finestra's Transformers say what the model says to a few tokens."""
    from tokenizers import Tokenizer

    table = folder / "tokenizer.json"
    ids = Tokenizer.from_file(str(table)).encode(_PROBE).ids if table.is_file() else range(4, 40)
    rows = int(facts.text_config.get("vocab_size") or 1 << 30)
    chosen = [number for number in ids if number < rows][:_MOST_IDS]
    expected = place / "expected.json"
    run_child([sys.executable, "-I", str(JOBS / "logits.py")], what="Transformers",
              wish={"source": str(folder.resolve()), "ids": chosen, "target": str(expected)},
              cancelled=cancelled)
    return chosen, expected


def _stage(folder: Path, config: dict[str, Any], place: Path) -> Path:
    """Return a folder with the model's files as links, and a config that both versions read."""
    staged = place / "model"
    staged.mkdir()
    copy_texts(folder, staged)
    for path in folder.iterdir():
        if path.suffix == ".safetensors" or path.name.endswith(".index.json"):
            (staged / path.name).symlink_to(path.resolve())
    write_json(staged / "config.json", config)
    return staged


def _check(partial: Path) -> None:
    if not (partial / "model.onnx").is_file():
        raise ExportError("tool_failed", "The export to ONNX ended without a model.onnx.",
                          "Look at the log of this export.")
    for path in partial.iterdir():
        if path.is_dir() or path.suffix in {".bin", ".pt", ".py", ".pkl"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _made(version: str, said: list[str], count: int) -> str:
    checked = said[-1] if said else "no"
    proof = ("onnxruntime is not installed there, so the file was not run: compare it before you "
             "use it." if checked == "no" else
             f"onnxruntime says the same as Transformers at {count} positions: no log-probability "
             f"is further away than {checked}.")
    return f"float32, by optimum-onnx {version}; {proof}"
