"""A merged model in 8 or 4 bits for vLLM and Transformers: FP8, INT8, GPTQ, AWQ.

llm-compressor does it and writes compressed-tensors. It needs another version of Transformers than
Finestra, so it runs in a child with the interpreter that FINESTRA_QUANTIZE_PYTHON names. GPTQ and
AWQ look at texts: a JSONL file of ``{"text": ...}``, each rendered as the model reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from trainer.contract.models import ModelFacts, read_folder
from trainer.export.children import Needed, Tool, find_tool, run_job
from trainer.export.errors import Cancel, ExportError, Progress
from trainer.export.report import (
    Report,
    copy_texts,
    require_absent,
    require_space,
    size_of,
    whole_folder,
)

Quantized = Literal["fp8", "int8", "gptq", "awq"]
KINDS: tuple[Quantized, ...] = get_args(Quantized)
CALIBRATED: tuple[Quantized, ...] = ("gptq", "awq")
TOOL = Needed("llmcompressor", "FINESTRA_QUANTIZE_PYTHON", "quantizer_missing",
              "Make an environment of its own (python -m venv ENV; ENV/bin/pip install torch "
              "llmcompressor) and name its ENV/bin/python in FINESTRA_QUANTIZE_PYTHON.")
MOST_TEXTS = 512
FEW_TEXTS = 128
LONGEST_TEXT = 2048
# Heads, routers of experts, and the parts that see or hear stay as they are.
_IGNORED = ["lm_head", r"re:.*\.gate$", r"re:.*router.*", r"re:.*(vision|visual|audio).*"]
_GROUPS = (128, 64, 32)
_LINEAR = re.compile(r"\.layers\.\d+\..*proj.*\.weight$")
_STEP = re.compile(r"^\((\d+)/(\d+)\): (\w+)")
_SPARE_BYTES = 64 << 20
_TITLES = {"fp8": "FP8 (weights by channel, inputs by token as they come)",
           "int8": "INT8 (weights by channel, inputs by token as they come)",
           "gptq": "4 bits by GPTQ", "awq": "4 bits by AWQ"}


def export_quantized(folder: Path, target: Path, kind: Quantized = "fp8", *,
                     texts: Path | None = None, progress: Progress | None = None,
                     cancelled: Cancel | None = None) -> Report:
    """Write a model folder with quantized weights.

    Args:
        folder: A whole model with merged weights in 16 or 32 bits.
        target: The folder to end up in; it must not exist.
        kind: The method.
        texts: For GPTQ and AWQ: JSONL of ``{"text"}``, of which the first 512 are read.
        progress: Told as layers are done.
        cancelled: Asked while it runs.

    Raises:
        ExportError: The kind is unknown ('kind_unknown'), the stored weights are quantized already
            ('weights_quantized'), texts are missing or none ('texts_missing', 'texts_invalid'), a
            layer's rows cannot be cut into groups ('quantize_shape'), llm-compressor is missing
            ('quantizer_missing') or failed ('tool_failed'), nothing was quantized
            ('quantize_nothing'), 'target_exists', 'disk_full' or 'cancelled'. Nothing is left.
        ModelError: The folder is no whole model, or wants to run code of its own.
        OSError: It cannot be written.
    """
    require_absent(target)
    facts = _facts(folder, kind)
    count = _count_texts(texts) if kind in CALIBRATED else 0
    group = _group(facts) if kind in CALIBRATED else 0
    tool = find_tool(TOOL)
    size = facts.weight_bytes
    require_space(target.parent, size + _SPARE_BYTES)
    wish = {"source": str(folder.resolve()), "kind": kind, "group": group, "ignore": _IGNORED,
            "texts": str(texts.resolve()) if texts and count else "", "rows": MOST_TEXTS,
            "length": LONGEST_TEXT}

    def heard(line: str) -> None:
        if progress and (found := _read_step(line)):
            progress(int(size * found[0]), size, found[1])

    with whole_folder(target) as partial:
        run_job(tool, "quantize", {**wish, "target": str(partial.resolve())},
                what="llm-compressor", on_line=heard, cancelled=cancelled)
        copy_texts(folder, partial)
        notes = _check(partial, facts)
        for path in partial.iterdir():
            path.chmod(0o644)
    return Report(target, size_of(target), [_made(kind, tool, group, count), *notes])


def _facts(folder: Path, kind: str) -> ModelFacts:
    if kind not in KINDS:
        raise ExportError("kind_unknown", f"There is no quantized format '{kind}'.",
                          f"Choose one of: {', '.join(KINDS)}.")
    facts = read_folder(folder)
    if facts.quantization:
        raise ExportError("weights_quantized", f"'{folder.name}' stores its weights quantized "
                          f"already ({facts.quantization}).", "Export it from the merged model in "
                          "16 bits.")
    return facts


def _count_texts(texts: Path | None) -> int:
    """Check the texts that are looked at, and return how many there are."""
    if texts is None:
        raise ExportError("texts_missing", "This method looks at texts while it quantizes, and "
                          "none were given.", "Give a dataset like the one the model was trained "
                          "on, or choose fp8 or int8, which need none.")
    count = 0
    with texts.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                count += 1
                _check_text(line, number, texts.name)
            if count == MOST_TEXTS:
                break
    if not count:
        raise ExportError("texts_invalid", f"'{texts.name}' has no texts.",
                          'Each line is {"text": "..."}.')
    return count


def _check_text(line: str, number: int, name: str) -> None:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    text = row.get("text") if isinstance(row, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        raise ExportError("texts_invalid", f"Line {number} of '{name}' has no text.",
                          'Each line is {"text": "..."}.')


def _group(facts: ModelFacts) -> int:
    """Return how many weights share a scale: as many as all layers allow."""
    rows = {shape[1] for name, (shape, _) in facts.tensors.items()
            if len(shape) == 2 and _LINEAR.search(name)}
    for group in _GROUPS:
        if all(row % group == 0 for row in rows):
            return group
    odd = next(row for row in sorted(rows) if row % _GROUPS[-1])
    raise ExportError("quantize_shape", f"This model has rows of {odd} weights, which cannot be "
                      "cut into groups of 32 or more.", "Choose fp8 or int8.")


def _read_step(line: str) -> tuple[float, str] | None:
    """Return which share is done, and with what, of a line of the child's; None for others."""
    if line.startswith("stage: "):
        stage = line.removeprefix("stage: ")
        return {"loaded": 0.1, "saving": 0.9}.get(stage, 0.0), stage
    if found := _STEP.search(line):
        half = 0.5 if found[3] == "Propagating" else 0.0
        return 0.1 + 0.8 * (int(found[1]) - 1 + half) / int(found[2]), f"layer {found[1]}"
    return None


def _check(partial: Path, before: ModelFacts) -> list[str]:
    """Check that what was written is a whole quantized model; say what stayed as it was."""
    after = read_folder(partial)
    whole = {name for name in before.tensors if name.endswith(".weight")}
    packed = {name for name, (_, kind) in after.tensors.items()
              if name.endswith("weight_packed") or (name in whole and kind[:2] in {"F8", "I8"})}
    if not packed or not after.quantization:
        raise ExportError("quantize_nothing", "llm-compressor found no layer of this model to "
                          "quantize.", "Its layers are of a kind that it does not know: choose "
                          "another format.")
    done = {name.removesuffix("_packed") for name in packed}
    left = sum(_numbers(before.tensors[name][0]) for name in whole - done)
    notes = [f"{len(done)} matrices are quantized; {left / before.parameters:.0%} of the weights "
             "(embeddings, head, norms) are as they were."]
    if lost := sorted(whole - done - set(after.tensors) - {"lm_head.weight"}):
        raise ExportError("quantize_nothing", f"llm-compressor lost '{lost[0]}' of this model.",
                          "Choose another format.")
    return notes


def _numbers(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _made(kind: Quantized, tool: Tool, group: int, count: int) -> str:
    how = (f", groups of {group}, looked at {count} texts" if kind in CALIBRATED else "")
    few = (f" That is few: {FEW_TEXTS} or more are usual." if 0 < count < FEW_TEXTS else "")
    return f"{_TITLES[kind]}{how}, by llm-compressor {tool.version}.{few}"
