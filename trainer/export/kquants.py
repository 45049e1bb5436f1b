"""A merged model as a GGUF file with K-quants, and through a llama.cpp checkout's converter.

The package ``gguf`` has no K-quants: llama.cpp makes them itself, through llama-cpp-python, in a
child that can be ended. The 16-bit (or 32-bit) file in between has each weight as it is stored, so
that it is rounded once; it is gone in the end.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from trainer.contract.models import read_folder
from trainer.export.children import Needed, Tool, find_tool, run_child, run_job
from trainer.export.errors import Cancel, ExportError, Progress
from trainer.export.gguf_export import export_gguf, plan_gguf
from trainer.export.gguf_library import gguf_library
from trainer.export.gguf_tensors import Kind
from trainer.export.report import Report, require_space, whole_file

KQuant = Literal["q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m",
                 "q6_k"]
KQUANTS: tuple[KQuant, ...] = get_args(KQuant)
# enum llama_ftype of llama.cpp's llama.h; the numbers are part of the file format.
_FTYPES: dict[KQuant, int] = {"q2_k": 10, "q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "q4_k_s": 14,
                              "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18}
LLAMA = Needed("llama-cpp-python", "FINESTRA_LLAMA_PYTHON", "llama_missing",
               "Install it: pip install 'finestra[llama]' (it is built from source: CMake and a "
               "C++ compiler are needed), or name an interpreter that has it in "
               "FINESTRA_LLAMA_PYTHON.")
CHECKOUT = "FINESTRA_LLAMA_CPP"
# What the converter of llama.cpp may know although ours does not.
_UNKNOWN_HERE = {"family_unknown", "config_unsupported", "pretokenizer_unknown",
                 "normalizer_unknown", "pieces_unknown", "tokenizer_unknown"}
_STEP = re.compile(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)")
# Of the bytes in 16 bits: what a quantized file takes at most, should all rows need q8_0.
_SHARE = 0.6


def export_kquant(folder: Path, target: Path, kind: KQuant = "q4_k_m", *, name: str = "",
                  progress: Progress | None = None, cancelled: Cancel | None = None) -> Report:
    """Write a model folder as a GGUF file with K-quants.

    Args:
        folder: A whole model with merged weights.
        target: The file; one that is there already is replaced once the new one is whole.
        kind: Which mix of formats llama.cpp takes.
        name: What people read in other programs.
        progress: Told after each tensor, of conversion and quantizing together.
        cancelled: Asked while it runs.

    Raises:
        ExportError: The kind is unknown ('kind_unknown'), llama-cpp-python is missing
            ('llama_missing'), it failed ('tool_failed'), what came out is not the model
            ('file_damaged'), or as ``convert_gguf``. Nothing is left behind.
        ModelError: The folder is no whole model, or wants to run code of its own.
        OSError: It cannot be written.
    """
    if kind not in _FTYPES:
        raise ExportError("kind_unknown", f"There is no K-quant '{kind}'.",
                          f"Choose one of: {', '.join(KQUANTS)}.")
    tool = find_tool(LLAMA)
    stored = _stored(folder)
    wide = 2 if stored == "f32" else 1
    weights = read_folder(folder).parameters * 2
    require_space(target.parent, int(weights * (wide + _SHARE)))
    source = target.with_name(f"{target.name}.source.gguf")
    try:
        first = convert_gguf(folder, source, stored, name=name or folder.name,
                             progress=_part(progress, 0.0), cancelled=cancelled)
        done = quantize_gguf(source, target, kind, progress=_part(progress, 0.5),
                             cancelled=cancelled, tool=tool)
    finally:
        source.unlink(missing_ok=True)
    return Report(done.path, done.bytes, [*first.notes, *done.notes])


def quantize_gguf(source: Path, target: Path, kind: KQuant, *, progress: Progress | None = None,
                  cancelled: Cancel | None = None, tool: Tool | None = None) -> Report:
    """Quantize a GGUF file in 16 or 32 bits; arguments and errors as ``export_kquant``."""
    tool = tool or find_tool(LLAMA)
    size = source.stat().st_size
    require_space(target.parent, int(size * _SHARE))

    def heard(line: str) -> None:
        if progress and (found := _STEP.search(line)):
            progress(size * int(found[1]) // int(found[2]), size, found[3])

    with whole_file(target) as partial:
        run_job(tool, "kquants", {"source": str(source.resolve()), "ftype": _FTYPES[kind],
                                  "target": str(partial.resolve()), "threads": _threads()},
                what="llama.cpp's quantizer", on_line=heard, cancelled=cancelled)
        notes = _check(source, partial, tool)
    return Report(target, target.stat().st_size, notes)


def convert_gguf(folder: Path, target: Path, kind: Kind, *, name: str = "",
                 progress: Progress | None = None, cancelled: Cancel | None = None) -> Report:
    """Write a GGUF file by our own converter, else by that of a llama.cpp checkout.

    Args:
        folder: A whole model with merged weights.
        target: The file.
        kind: One of our formats; a checkout's converter has no q4_0.
        name: What people read in other programs; only our converter writes it.
        progress: Told after each slice; a checkout's converter tells nothing.
        cancelled: Asked while it runs.

    Raises:
        ExportError: As ``gguf_export.export_gguf``; FINESTRA_LLAMA_CPP names no checkout
            ('checkout_missing'), or its converter failed ('tool_failed').
        ModelError: The folder is no whole model, or wants to run code of its own.
    """
    try:
        plan_gguf(folder, kind)
    except ExportError as error:
        if error.code not in _UNKNOWN_HERE:
            raise
        if not os.environ.get(CHECKOUT, "").strip():
            raise ExportError(error.code, error.message, f"{error.advice} The converter of a "
                              f"llama.cpp checkout may know it: name the checkout's folder in "
                              f"{CHECKOUT}.".strip()) from None
        return _by_checkout(folder, target, kind, error, cancelled)
    done = export_gguf(folder, target, kind, name=name, progress=progress, cancel=cancelled)
    return Report(done.path, done.bytes, list(done.notes))


def _by_checkout(folder: Path, target: Path, kind: Kind, why: ExportError,
                 cancelled: Cancel | None) -> Report:
    """Convert by ``convert_hf_to_gguf.py``, which gets the folder only after our own checks."""
    script = Path(os.path.expanduser(os.environ[CHECKOUT].strip())) / "convert_hf_to_gguf.py"
    if not script.is_file():
        raise ExportError("checkout_missing", f"{CHECKOUT} names '{script.parent}', where no "
                          "convert_hf_to_gguf.py lies.", "Name the folder of a llama.cpp checkout.")
    if kind == "q4_0":
        raise ExportError("kind_unknown", "llama.cpp's converter does not write q4_0.",
                          "Choose f16, bf16, f32, q8_0 or a K-quant.")
    facts = read_folder(folder)
    require_space(target.parent, facts.parameters * (4 if kind == "f32" else 2))
    with whole_file(target) as partial:
        # Not isolated (-P, -I): the script imports what lies beside it in the checkout.
        run_child([sys.executable, str(script.resolve()), str(folder.resolve()), "--outfile",
                   str(partial.resolve()), "--outtype", kind],
                  what="llama.cpp's converter", cancelled=cancelled)
        if not partial.is_file():
            raise ExportError("file_damaged", "llama.cpp's converter ended without a file.",
                              "Look at the log; update the checkout.")
    return Report(target, target.stat().st_size, [
        f"Converted by the llama.cpp checkout, because Finestra's converter does not know this "
        f"model: {why.message}"])


def _stored(folder: Path) -> Kind:
    """Return the format that has every stored weight exactly."""
    kinds = {dtype for _, dtype in read_folder(folder).tensors.values() if dtype[0] in "BF"}
    return "bf16" if kinds == {"BF16"} else "f16" if kinds == {"F16"} else "f32"


def _check(source: Path, target: Path, tool: Tool) -> list[str]:
    """Check that a quantized file has the tensors of its source; say in which formats."""
    gguf = gguf_library()
    try:
        before, after = ({tensor.name: (tuple(tensor.shape), tensor.tensor_type.name.lower())
                          for tensor in gguf.GGUFReader(path).tensors}
                         for path in (source, target))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ExportError("file_damaged", f"What llama.cpp wrote cannot be read: {error}",
                          "Export it again; if it stays so, update llama-cpp-python.") from None
    if {name: shape for name, (shape, _) in before.items()} != {
            name: shape for name, (shape, _) in after.items()}:
        raise ExportError("file_damaged", "What llama.cpp wrote has other tensors than the model.",
                          "Update llama-cpp-python, or choose q8_0 or q4_0.")
    kinds = Counter(kind for _, kind in after.values())
    notes = [f"Quantized by llama-cpp-python {tool.version}: "
             + ", ".join(f"{count} tensors {kind}" for kind, count in sorted(kinds.items())) + "."]
    if odd := sum(len(shape) > 1 and shape[0] % 256 != 0 for shape, _ in after.values()):
        notes.append(f"{odd} matrices have rows that are no multiple of 256 long; llama.cpp keeps "
                     "them in larger formats.")
    return notes


def _part(progress: Progress | None, start: float) -> Progress | None:
    """Show one of two equal halves of the work as a part of the whole."""
    if progress is None:
        return None
    tell: Callable[[int, int, str], None] = progress
    return lambda done, total, what: tell(int(start * 2 * total) + done, 2 * total, what)


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
