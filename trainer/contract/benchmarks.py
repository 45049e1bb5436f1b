"""Benchmarks that are offered by name, and what a task folder of the user's own may do.

``BENCHMARKS`` is what page and command line show; ``benchmark_problems`` is what can be told before
a run exists. A task folder is data as long as nothing in it is a program (rule R3): what is one
needs the consent of somebody who has read it, by the digest of the whole folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from trainer.contract.kinds.evaluate import BenchmarkConfig
from trainer.contract.problems import Problem

PACKAGE, EXTRA = "lm_eval", "bench"
LARGEST_FOLDER, MOST_FILES = 2**30, 2000
_YAML = (".yaml", ".yml", "")
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in (
    "str", "int", "float", "bool", "null", "map", "seq", "set", "omap", "pairs", "binary",
    "timestamp", "merge", "value")}
# Keys of a task by which lm-eval would run code of a file or of a hub.
_CODE_KEYS = {"class": "a Python class", "use_prompt": "prompts of another package",
              "hf_evaluate": "a metric of a hub", "trust_remote_code": "code of a dataset",
              "unsafe_code": "programs that models write"}
_ADDRESS = re.compile(r"\s*(?!hf://)[a-z][a-z0-9+.-]*:(//|:)", re.IGNORECASE)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that is offered by name; docs/evaluating.md says more of each.

    Attributes:
        name: What it is chosen by.
        title: As people call it.
        tasks: What lm-evaluation-harness calls it.
        num_fewshot: Examples before each question, as it is usually reported; None leaves it to
            the task.
        rows: Questions.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    num_fewshot: int | None
    rows: int


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark("mmlu", "MMLU", ("mmlu",), 5, 14_042),
    Benchmark("ceval", "C-Eval", ("ceval-valid",), 5, 1_346),
    Benchmark("cmmlu", "CMMLU", ("cmmlu",), 5, 11_582),
    Benchmark("gsm8k", "GSM8K", ("gsm8k",), 5, 1_319),
    Benchmark("ifeval", "IFEval", ("ifeval",), None, 541),
    Benchmark("hellaswag", "HellaSwag", ("hellaswag",), 10, 10_042),
    Benchmark("arc", "ARC", ("arc_challenge", "arc_easy"), 25, 3_548),
    Benchmark("truthfulqa", "TruthfulQA", ("truthfulqa_mc1", "truthfulqa_mc2"), None, 817),
)


@dataclass(frozen=True)
class TaskFolder:
    """A folder of tasks as it is now.

    Attributes:
        sha256: Of its files' names and contents.
        code: What in it would run, such as "colours.yaml: !function"; empty for plain data.
    """

    sha256: str
    code: tuple[str, ...]


def benchmark_problems(config: BenchmarkConfig) -> list[Problem]:
    """Return what keeps a config's benchmarks from being asked on this machine."""
    if not config.tasks:
        return []
    found = [] if importlib.util.find_spec(PACKAGE) is not None else [Problem(
        field="benchmarks.tasks", code="benchmark_package", scope="machine",
        message="Benchmarks need the package 'lm-eval', which is not installed.",
        advice=f"Run: pip install 'finestra[{EXTRA}]'", params={"extra": EXTRA})]
    return found + ([problem] if (problem := folder_problem(config)) else [])


def folder_problem(config: BenchmarkConfig) -> Problem | None:
    """Refuse a task folder that cannot be read, or whose code nobody has consented to."""
    if not config.include_path:
        return None
    name = config.include_path
    try:
        folder = read_task_folder(Path(os.path.expanduser(name)))
    except OSError as error:
        reason = error.strerror or str(error)
        return Problem(field="benchmarks.include_path", code="benchmark_folder", scope="machine",
                       message=f"The task folder '{name}' cannot be read: {reason}.",
                       advice="Check the path.", params={"path": name, "reason": reason})
    if not folder.code or config.sha256 == folder.sha256:
        return None
    given = {"path": name, "sha256": folder.sha256, "code": "; ".join(folder.code[:5])}
    if config.sha256 is None:
        return Problem(field="benchmarks.sha256", code="benchmark_consent", scope="machine",
                       message=f"The task folder '{name}' would run code, and nobody has consented "
                               f"to it: {given['code']}.",
                       advice="Read it; then set benchmarks.sha256 to "
                              f"{folder.sha256} to let it run as it is now.", params=given)
    return Problem(field="benchmarks.sha256", code="benchmark_changed", scope="machine",
                   message=f"The task folder '{name}' has changed since somebody consented to its "
                           "code.", params=given,
                   advice=f"Read it again; then set benchmarks.sha256 to {folder.sha256}.")


def read_task_folder(folder: Path) -> TaskFolder:
    """Return what a folder of tasks is: its digest, and what in it would run.

    Raises:
        OSError: It is no folder, cannot be read, or is too large to be looked through.
    """
    if not folder.is_dir():
        raise NotADirectoryError(20, "it is no folder")
    files = list(_files(folder))
    if len(files) > MOST_FILES or sum(file.stat().st_size for file in files) > LARGEST_FOLDER:
        raise OSError(f"it has more than {MOST_FILES} files or 1 GiB; keep its data elsewhere")
    whole, code = hashlib.sha256(), []
    for file in files:
        name = file.relative_to(folder).as_posix()
        whole.update(f"{name}\0{_digest(file)}\n".encode("utf-8", "surrogateescape"))
        if file.is_symlink():
            code.append(f"{name}: a link")
        elif file.suffix in (".py", *_YAML):
            code += [f"{name}: {what}" for what in _code_in(file, folder)]
    return TaskFolder(whole.hexdigest(), tuple(dict.fromkeys(code)))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that count, sorted; what Python keeps for itself does not."""
    for path, folders, names in os.walk(folder):
        for name in [one for one in folders if (Path(path) / one).is_symlink()]:
            raise OSError(f"it has a linked folder '{name}'")
        folders[:] = sorted(one for one in folders if one != "__pycache__")
        yield from (Path(path) / name for name in sorted(names))


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _code_in(file: Path, folder: Path) -> Iterator[str]:
    """Yield what would run of a file: Python, or tags and keys of a task by which code is run."""
    if file.suffix == ".py":
        yield "Python"
        return
    root = _composed(file)
    if root is None and file.suffix:
        yield "it is no YAML that can be looked through"
    seen: set[int] = set()
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.tag not in _PLAIN:
            yield node.tag
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from _code_of(str(key.value), value, file.parent, folder)
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif _ADDRESS.match(node.value):
            yield f"data from {node.value.strip()[:80]}"


def _composed(file: Path) -> yaml.Node | None:
    """Return a YAML file's nodes, of which nothing is made; None when it is none."""
    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, OSError, ValueError, RecursionError):
        return None


def _code_of(key: str, value: yaml.Node, here: Path, folder: Path) -> Iterator[str]:
    """Yield by what a key and its value would run code."""
    text = value.value if isinstance(value, yaml.ScalarNode) else ""
    if key in _CODE_KEYS and text not in ("false", "False", "null", "~"):
        yield _CODE_KEYS[key]
    if key == "include":
        for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            target = (here / str(part.value)).resolve()
            inside = target.is_relative_to(folder.resolve())
            if not inside or target.suffix not in _YAML or _composed(target) is None:
                yield f"it includes '{part.value}'"
