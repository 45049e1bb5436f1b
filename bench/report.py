"""A measured number beside its goal, as a table for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Number:
    """One line of the table.

    Attributes:
        what: What was measured.
        value: As text with its unit.
        goal: As text; '' for numbers that only inform.
        met: Whether the goal is met; None when there is no goal.
    """

    what: str
    value: str
    goal: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """Return yes, no or nothing."""
        return "" if self.met is None else "yes" if self.met else "**no**"


def table(numbers: Sequence[Number]) -> str:
    """Return the numbers as a Markdown table, padded so that it reads well as it is."""
    rows = [("what", "measured", "goal", "met"),
            *((n.what, n.value, n.goal, n.verdict) for n in numbers)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
             + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def processor() -> str:
    """Return the processor's name, or its architecture where the system does not tell."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def machine() -> str:
    """Return in one sentence what the numbers were measured on."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (f"{processor()}, {cores} cores, {memory_gib:.0f} GiB of memory, no GPU used; "
            f"{platform.system()} {platform.release().split('-')[0]}, "
            f"Python {platform.python_version()}, torch {version('torch')}, "
            f"gradio {version('gradio')}.")


def revision() -> str:
    """Return the commit that was measured, with a plus sign when the tree had changes."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True,
                              check=False)
        return done.stdout.strip()

    head = git("rev-parse", "--short", "HEAD")
    return head + ("+" if head and git("status", "--porcelain", "--untracked-files=no") else "")


def section(title: str, numbers: Sequence[Number], command: str, date: str) -> str:
    """Return one section of docs/benchmarks.md: where from, the table, how it was taken."""
    return (f"## {title}\n\nWritten by `{command}` on {date}, revision {revision() or 'unknown'}. "
            f"Measured on: {machine()}\n\n{table(numbers)}\n\n{HOW[title]}")


def with_section(document: str, text: str) -> str:
    """Return docs/benchmarks.md with one of its sections replaced, or added at the end."""
    title = text.partition("\n")[0]
    sections = re.split(r"^(?=## )", document, flags=re.MULTILINE)[1:]
    found = [known for known in sections if known.partition("\n")[0] == title]
    if not found:
        sections.append("")
    parts = [text if known in (*found, "") else known for known in sections]
    return "\n\n".join(part.strip() for part in ("# Benchmarks", *parts)) + "\n"


STUDIO, DATA, METHODS, SERVING = "Studio", "Data", "Training", "Serving"
SCORING, EVALUATING = "Scoring", "Evaluating"
HOW = {STUDIO: """How each number is taken:

- **Board**: `finestra serve` with an empty home, and beside it a bare Gradio app with one textbox
  (`bench/bare_gradio.py`), started in turns. The time runs from starting the process to the last
  byte of the first page; the table has medians. Memory is the resident set of the server's
  process after its three pages were fetched; torch counts as loaded when one of its
  libraries is mapped into that process.
- **First step**: from `POST /api/runs` to the time that the trainer wrote on its first training
  step, with the starter on the sample data and nothing measured before.
- **A step's point**: a Chromium keeps the run's page open; the time runs from the trainer writing
  the step to the page showing it. Over REST the same, asked every 50 ms.
- **Demo**: `python -m app.demo` in an empty home.""",
       DATA: """How each number is taken:

- **Check**: a JSON Lines file of a million rows with a question and an answer, about 100 bytes
  each, is checked as `finestra data check` does without tokens: every row read and converted,
  duplicates counted, the row index made. One thread, seconds of processor time, the best of three
  processes. Beside it the same lines only decoded by `orjson.loads`, and by `json.loads`.
- **2 GB**: the same with 2 GB of such rows, of which one in a thousand repeats an earlier one.
  Memory is the highest resident set of that process (`VmHWM`).
- **First look**: what the page shows of a 100 MB file while the whole is still being checked, in a
  process that has just started; starting Python itself is not counted.
- **Row 1,000,000** of the 2 GB file, found and read through the index that the check left behind,
  in a new process that has its modules loaded, as the studio's have.
- **Tokenising**: GSM8K's 7,473 training rows, one process and one thread. The bar is the
  `tokenizers` library's `encode_batch` on the same rendered texts. LLaMA-Factory is measured where
  `FINESTRA_LLAMAFACTORY_PYTHON` names an interpreter that has it; else the table has the number
  that was seen with version 0.9.5 and says so.""",
       METHODS: """How each number is taken:

- **Samples a second**: the first 512 questions of GSM8K's training rows, the starter, LoRA of rank
  8 beside every linear layer, batches of 8, no checkpointing, one epoch in the order of the file;
  from the fifth step to the last, the median of the processes of each side, in turns. All sides
  have as many threads as there are cores. The frozen base is held in float32 (what Finestra and TRL
  choose on a CPU) or in bfloat16 (as the starter is stored, which LLaMA-Factory follows; for
  float32 it gets a copy that says so); adapters are float32 on all sides. Bare TRL is
  `bench/bare_trl.py`; LLaMA-Factory is measured where `FINESTRA_LLAMAFACTORY_PYTHON` names an
  interpreter that has it (`bench/llamafactory_training.py`, 0.9.5 with the versions it admits).
- **Process start to first step**: from starting the process to the end of its first step; reading
  and tokenising the rows is in it on all sides.
- **Our callbacks and events**: the time in everything of ours that the loop calls, as a share of
  the loop's time, in one run as by default (`bench/train_child.py`).
- **CUDA**: `bench/gpu.py`, Qwen3-0.6B's shape and that of an 8B with random weights, 2,048 tokens,
  gradient checkpointing; what the run itself reports.""",
       SERVING: """How each number is taken:

- **Streams**: 32 connections at a time, each with five questions one after the other, of 60 to 180
  chunks, asked by `bench/streams.py` of `bench/stub_engine.py`, a process of its own that streams
  2,000 chunks a second in all. Straight to it, and through `/v1` of `finestra serve` (with the
  board), in turns, three times; the table has medians.
- **First token**: from sending a question to the first byte of its first chunk, the median of all
  questions. The engine sends a question's first chunk at once.
- **Most**: the same with an engine that does not wait.
- **Engines** (`bench/engines.py`): started as the studio starts them, with the starter and two
  LoRA runs of two steps. *Load* is from asking to an engine that answers, *first token* from the
  first question after that to its first word, *another adapter* from asking for the second run,
  which the engine has not loaded, to its first word.
- **Batch generation**: the first 500 questions of GSM8K's test rows, or the held-out samples where
  there are none, 64 at a time, answers of exactly 128 tokens, greedy, float32. Beside it plain
  Transformers' `generate`, one question after the other (`bench/plain_child.py`).
- **vLLM** is measured where `make vllm` has made its environment. On a CPU a base alone is started
  without room for adapters; *another adapter* is the second one, after the first has started the
  engine anew. Its streams: 16 connections, two questions each, 32 to 64 tokens, twice.
- **Merging** (`bench/merge_child.py`): a random model in bf16 in files of up to 64 MB, LoRA of rank
  16 beside every linear layer; the highest resident set (`VmHWM`) of the process that merges, with
  all its libraries.""",
       EVALUATING: """How each number is taken:

- **The model** is the starter without ends: the rows of its end tokens are zero, so that every
  answer has 256 tokens (its own answers to such questions have about ten).
- **Through an evaluation**: a run of the kind `evaluate` in a studio of its own on GSM8K's 1,319
  test rows (the held-out samples where there are none), greedy. Rows a second while it asked, as
  its report says; the whole run is from the queue to the end, with starting, loading and scoring.
- **One by one**: 64 of these rows, evenly spread, with plain Transformers' `generate` in float32
  (`bench/plain_child.py`), with one thread or all, whichever is faster; loading is not counted.
- **The same requests with nothing around them**: the engine started anew as the studio starts it,
  asked by a bare HTTP client, as many at once as the evaluation, longest first; nothing is kept. An
  evaluation goes before it and one after it, and their mean counts: two runs of one kind differ by
  up to a tenth on this machine, in either direction.
- **The evaluation by itself**: the same rows, as many at once, asked of `bench/stub_engine.py`,
  which answers at once: reading, asking, keeping and progress, without an engine.
- **vLLM** is measured where `make vllm` has made its environment.""",
       SCORING: """How each number is taken:

- 100,000 predictions each, made from a seed: answers of about 30 words with a few numbers, small
  JSON objects, three classes, four choices, one tool call; for ROUGE, BLEU and chrF texts of 5 to
  30 words of which four in ten differ from the reference. Seconds of processor time of one process.
- **Intervals**: Wilson's for shares; for the others one bootstrap of 1,000 draws for all of them.
- **Compared**: an interval by 1,000 paired draws and a p-value by 10,000 exchanges of rows."""}
