"""Artefacts as the programs see them that use them, each in a child of its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.contract.files import read_json
from trainer.contract.models import ModelError, read_adapter, read_folder
from trainer.export.children import Tool, run_job
from trainer.export.errors import Cancel, ExportError
from trainer.export.parity_bounds import bound_between, bound_of
from trainer.export.parity_judge import TOP, Judgement, Reference, Said, judge
from trainer.export.parity_prompts import Prompt
from trainer.export.parity_report import SideReport

Kind = Literal["merged", "adapter", "gguf", "quantized", "onnx"]
_STORED = {"F64": "float32", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
           "F8_E4M3": "fp8", "F8_E5M2": "fp8"}
# What is in the last words of a program that lacks a package, or memory.
_MISSING = ("ModuleNotFoundError", "ImportError", "No module named", "requires the package")
_NO_ROOM = ("memory", "OutOfMemory", "KV cache", "signal 9")


@dataclass(frozen=True)
class Artefact:
    """Something that was exported.

    Attributes:
        kind: What it is.
        format: How its numbers are stored, such as 'stored', 'bfloat16', 'q4_k_m', 'gptq'.
        path: Its folder; of GGUF the file.
        made_of: The number format of the merged weights that it was made of, such as 'bfloat16';
            '' for that of the base.
    """

    kind: Kind
    format: str
    path: Path
    made_of: str = ""


@dataclass(frozen=True)
class Program:
    """A program that uses artefacts.

    Attributes:
        name: As people know it.
        job: As ``jobs/parity.py`` knows it.
        variable: The environment variable that names its interpreter; '' for Finestra's own.
        install: The command that installs it.
    """

    name: str
    job: str
    variable: str = ""
    install: str = ""

    @property
    def python(self) -> Path:
        """The interpreter that should have it."""
        if self.variable and (named := os.environ.get(self.variable, "").strip()):
            return Path(os.path.expanduser(named))
        if self.job == "vllm":
            return Path(sys.prefix).parent / ".venv-vllm" / "bin" / "python"
        return Path(sys.executable)


TRANSFORMERS = Program("Transformers", "transformers")
PEFT = Program("PEFT", "transformers")
LLAMA = Program("llama.cpp", "llama", "FINESTRA_LLAMA_PYTHON", "pip install llama-cpp-python")
VLLM = Program("vLLM", "vllm", "FINESTRA_VLLM_PYTHON", "make vllm")
PROGRAMS: dict[Kind, tuple[Program, ...]] = {
    "merged": (TRANSFORMERS, VLLM), "adapter": (PEFT,), "gguf": (LLAMA,),
    "quantized": (TRANSFORMERS, VLLM), "onnx": ()}


@dataclass(frozen=True)
class Asked:
    """What every side is asked.

    Attributes:
        prompts: The prompts.
        reference: What the trained model made of them.
        computes: The format that the trained model computed in.
        base: The folder that an adapter is laid over.
        limit: Longest answer.
        gpu: Whether programs compute on the GPU.
    """

    prompts: Sequence[Prompt]
    reference: Reference
    computes: str
    base: Path
    limit: int
    gpu: bool
    cancelled: Cancel | None = field(default=None, repr=False)

    @property
    def context(self) -> int:
        """How many tokens a program has to read at most, with the answer."""
        longest = max(len(one.prompt) for one in self.reference.said)
        return 256 * -(-(longest + 2 * self.limit + 64) // 256)


class NotRun(Exception):
    """A program cannot say anything; the text says why."""


def check_side(artefact: Artefact, program: Program, asked: Asked) -> SideReport:
    """Compare an artefact, as a program uses it, with the trained model.

    Raises:
        ExportError: It was cancelled ('cancelled').
    """
    bound = bound_between(*_rounded_to(artefact, asked.base), asked.computes)
    try:
        _require_whole(artefact)
        told = _run(artefact, program, asked)
    except NotRun as error:
        return SideReport(program=program.name, verdict="not run", reasons=[str(error)],
                          advice=program.install)
    except (ModelError, ExportError) as error:
        if getattr(error, "code", "") == "cancelled":
            raise
        return SideReport(program=program.name, verdict="different",
                          reasons=[f"It cannot be loaded: {error}"])
    bound = bound.wider(bound_between(told["computes"]))
    said = [Said(one["prompt"], one["answer"], one["logprobs"],
                 [{int(token): value for token, value in place} for place in one["top"]],
                 one["error"]) for one in told["said"]]
    found: Judgement = judge(asked.reference, said, told["ends"], bound)
    return SideReport(
        program=program.name, version=told["version"], computes=told["computes"],
        verdict=found.verdict, reasons=found.reasons, mean=found.mean, largest=found.largest,
        bound={"mean": bound.mean, "largest": bound.largest, "tie": bound.tie, "why": bound.why},
        prompts=found.prompts)


def _run(artefact: Artefact, program: Program, asked: Asked) -> dict[str, Any]:
    """Let a program answer.

    Raises:
        NotRun: It is not installed, cannot be started, or lacks memory.
        ExportError: It cannot use the artefact, or the check was cancelled.
    """
    if not os.access(program.python, os.X_OK):
        raise NotRun(f"{program.name} is not installed.")
    with tempfile.TemporaryDirectory(prefix="finestra-parity-") as folder:
        out = Path(folder) / "said.json"
        wish = {"program": program.job, "path": str(artefact.path.resolve()),
                "base": str(asked.base) if artefact.kind == "adapter" else "",
                "prompts": [dict(prompt.document) for prompt in asked.prompts],
                "reference": [{"ids": [*said.prompt, *said.answer], "start": len(said.prompt)}
                              for said in asked.reference.said],
                "max_new_tokens": asked.limit, "context": asked.context, "gpu": asked.gpu,
                "top": TOP, "out": str(out)}
        try:
            run_job(Tool(program.python, ""), "parity", wish, what=program.name,
                    cancelled=asked.cancelled)
        except ExportError as error:
            _require_able(program, error)
            raise
        told: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return told


def _require_able(program: Program, error: ExportError) -> None:
    """Tell a program that cannot run from an artefact that it cannot use.

    vLLM does not know every model that Transformers loads, so that its word is no verdict.
    """
    if error.code == "tool_missing" or any(part in error.message for part in _MISSING):
        raise NotRun(f"{program.name} is not installed, or lacks a package: {error.message}")
    if any(part in error.message for part in _NO_ROOM):
        raise NotRun(f"{program.name} had too little memory: {error.message}")
    if error.code == "tool_failed" and program is VLLM:
        raise NotRun(f"vLLM cannot serve it: {error.message}")


def _require_whole(artefact: Artefact) -> None:
    """Check files before a library sees them.

    Raises:
        ModelError: They are not whole, or want to run code of their own.
    """
    if artefact.kind == "adapter":
        read_adapter(artefact.path)
    elif artefact.kind != "gguf":
        read_folder(artefact.path)
    elif not artefact.path.is_file():
        raise ModelError("file_missing", f"There is no file '{artefact.path.name}'.")


def _rounded_to(artefact: Artefact, base: Path) -> tuple[str, str]:
    """Return the formats that weights went through after training; '' for none."""
    if artefact.kind == "adapter":
        return "", ""
    if artefact.kind == "merged":
        return usual_format(artefact.path), ""
    made_of = artefact.made_of if bound_of(artefact.made_of) else usual_format(base)
    if bound_of(artefact.format):
        return artefact.format, made_of
    config = read_json(artefact.path / "config.json") if artefact.path.is_dir() else None
    stored = (config or {}).get("quantization_config") or {}
    return str(stored.get("quant_method") or artefact.format), made_of


def usual_format(folder: Path) -> str:
    """Return the number format of most tensors of a model folder; '' when it cannot be read."""
    try:
        kinds = Counter(kind for _, kind in read_folder(folder).tensors.values())
    except ModelError:
        return ""
    return _STORED.get(kinds.most_common(1)[0][0], "") if kinds else ""
