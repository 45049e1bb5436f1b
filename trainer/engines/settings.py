"""How engines are kept: which kind answers, how long they wait, how many a device takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OnTraining = Literal["ask", "evict"]
VLLM_PYTHON = "FINESTRA_VLLM_PYTHON"


def default_vllm_python() -> Path:
    """Return where ``make vllm`` puts the interpreter: beside this environment."""
    return Path(sys.prefix).parent / ".venv-vllm" / "bin" / "python"


@dataclass(frozen=True)
class EngineSettings:
    """Settings of all engines; durations in seconds.

    Attributes:
        kind: Which kind answers: 'auto' is llama.cpp for GGUF files, Transformers for the rest.
        idle_s: Without a question for so long an engine is let go.
        start_s: Longest time from the start of an engine to its first answer.
        wait_s: How long a request waits for a device whose engine is answering others.
        adapter_s: Longest time that an engine takes to load an adapter.
        per_device: Engines at once on one device.
        adapters: Adapters that an engine keeps beside its base; the one not used for longest goes.
        on_training: A run needs a GPU whose engine is answering: 'ask' lets the answer end first
            and says so, 'evict' ends it. An engine that is idle goes in any case.
        max_model_len: Longest conversation in tokens; 0 lets the engine decide.
        vllm_python: Interpreter of vLLM's own environment.
        llama_python: Interpreter that has llama-cpp-python.
    """

    kind: str = "auto"
    idle_s: float = 300.0
    start_s: float = 300.0
    wait_s: float = 60.0
    adapter_s: float = 60.0
    per_device: int = 1
    adapters: int = 8
    on_training: OnTraining = "ask"
    max_model_len: int = 0
    vllm_python: Path = Path(sys.executable)
    llama_python: Path = Path(sys.executable)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> EngineSettings:
        """Take what the environment says.

        FINESTRA_ENGINE names the kind, FINESTRA_ENGINE_IDLE_S and FINESTRA_ENGINE_START_S set the
        times, FINESTRA_ENGINE_EVICT=1 lets training end an answer, FINESTRA_VLLM_PYTHON and
        FINESTRA_LLAMA_PYTHON name interpreters. What is no number is passed over.
        """
        source = os.environ if environ is None else environ
        return cls(
            kind=source.get("FINESTRA_ENGINE") or "auto",
            idle_s=_number(source.get("FINESTRA_ENGINE_IDLE_S"), cls.idle_s),
            start_s=_number(source.get("FINESTRA_ENGINE_START_S"), cls.start_s),
            on_training="evict" if source.get("FINESTRA_ENGINE_EVICT") == "1" else "ask",
            vllm_python=Path(source.get(VLLM_PYTHON) or default_vllm_python()),
            llama_python=Path(source.get("FINESTRA_LLAMA_PYTHON") or sys.executable))


def _number(text: str | None, otherwise: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return otherwise
    return value if value > 0 else otherwise
