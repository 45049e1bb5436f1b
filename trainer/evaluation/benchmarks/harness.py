"""Tasks of lm-evaluation-harness, loaded and asked one after the other; imports lm-eval.

What ``lm_eval.simple_evaluate`` does around a task is done here in the same order: seeds, examples,
then lm-eval's own ``evaluate``. Left out is what it tells of the machine.
"""

from __future__ import annotations

import difflib
import logging
import os
import random
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lm_eval.tasks
import numpy as np
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Kind

from trainer.evaluation.benchmarks import BenchmarkWish
from trainer.evaluation.benchmarks.desk import Desk
from trainer.evaluation.benchmarks.guard import guarded
from trainer.evaluation.benchmarks.model import EngineLM
from trainer.evaluation.benchmarks.parts import Part, Told
from trainer.evaluation.benchmarks.words import Words
from trainer.evaluation.seam import Asker
from trainer.failures import Failure

_DEEPEST = 8
_BY_LIKELIHOOD = ("loglikelihood", "loglikelihood_rolling", "multiple_choice")


@lru_cache(maxsize=16)
def _manager(*folders: str) -> TaskManager:
    """Return the tasks in some folders, of which later ones go before; without any, all of them.

    Over 10,000 files are read for all of lm-eval's tasks, which takes 10 s and more.
    """
    if not folders or folders[0] == "":
        return TaskManager(include_path=[one for one in folders if one] or None)
    return TaskManager(include_path=list(folders), include_defaults=False)


def _manager_of(name: str, folder: str) -> TaskManager:
    """Return the smallest list that a task and all of its parts are found in."""
    own = (folder,) if folder else ()
    near = _folder_of(name)
    for place, folders in (("", own), (near, (near, *own) if near else ())):
        if folders and _whole(name, (found := _manager(*folders)).task_index, place):
            return found
    return _manager("", *own)


def _files_with(pattern: bytes) -> Iterator[Path]:
    """Yield the files of lm-eval's own tasks in which a line is."""
    line = re.compile(pattern, re.MULTILINE)
    for file in Path(lm_eval.tasks.__file__).parent.rglob("*.yaml"):
        if line.search(file.read_bytes()):
            yield file


@lru_cache(maxsize=64)
def _folder_of(name: str) -> str:
    """Return the folder of lm-eval's own task or group, '' when it is not in one file."""
    found = list(_files_with(rb"^(?:task|group):\s*[\"']?" + re.escape(name).encode() +
                             rb"[\"']?\s*(?:#.*)?$"))
    return str(found[0].parent) if len(found) == 1 else ""


@lru_cache(maxsize=64)
def _only_in(tag: str, folder: str) -> bool:
    """Tell whether no task of lm-eval's outside of a folder has a tag."""
    named = rb"(?<![\w-])" + re.escape(tag).encode() + rb"(?![\w-])"
    return all(file.is_relative_to(folder) for file in _files_with(named))


def _whole(name: Any, index: Mapping[str, Any], near: str, depth: int = 0) -> bool:
    """Tell whether a task, or every task of a group or a tag, is in a list.

    ``near`` is the folder of lm-eval's own tasks that the list has, '' for none.
    """
    entry = index.get(name) if isinstance(name, str) else None
    if entry is None or depth > _DEEPEST:
        return False
    if entry.kind is Kind.TAG:
        return bool(near) and _only_in(name, near)
    members = (entry.cfg or {}).get("task")
    return entry.kind is Kind.TASK or (
        entry.kind is Kind.GROUP and isinstance(members, list)
        and all(_whole(member, index, near, depth + 1) for member in members))


@dataclass(frozen=True)
class Harness:
    """One model, and everything it is asked through.

    Attributes:
        wish: What is asked.
        desk: Sends requests.
        asker: Says what the engine can.
        words: The tokenizer; None where it is not known.
    """

    wish: BenchmarkWish
    desk: Desk
    asker: Asker
    words: Words | None

    def run(self, name: str) -> list[Part]:
        """Ask one task or group, and return its scores.

        Raises:
            Failure: See ``run_benchmarks``.
        """
        config = self.wish.config
        self.desk.task = name
        with guarded(name):
            logging.getLogger("lm_eval").setLevel(logging.ERROR)
            loaded = self._load(name)
            self._check(name, loaded["tasks"])
            lm = EngineLM(self.desk, self.words, context=self.wish.context, seed=self.wish.seed)
            results = evaluate(
                lm=lm, task_dict=loaded, limit=config.limit, bootstrap_iters=0, log_samples=True,
                apply_chat_template=config.apply_chat_template,
                fewshot_as_multiturn=config.apply_chat_template)
            groups = {title: [task.task_name for task in group.get_all_tasks()]
                      for title, group in (loaded.get("groups") or {}).items()}
            notes = {task: self._note(results["versions"].get(task))
                     for task in results["results"]}
            return Told(self.wish.model, results, groups, notes, self.wish.seed).parts()

    def _load(self, name: str) -> dict[str, Any]:
        """Load a task's data, with the seeds and examples that are wanted."""
        folder = self.wish.config.include_path
        manager = _manager_of(name, os.path.expanduser(folder))
        if name not in manager.task_index:
            close = difflib.get_close_matches(name, manager.all_tasks, n=3, cutoff=0.7)
            meant = f"Did you mean {', '.join(close)}? " if close else ""
            raise Failure("benchmark_unknown", f"There is no task '{name}'.",
                          f"{meant}`lm_eval ls tasks` lists all of them.")
        seed = self.wish.seed
        random.seed(seed)
        np.random.seed(seed)
        if (torch := sys.modules.get("torch")) is not None:
            torch.manual_seed(seed)
        loaded: dict[str, Any] = dict(manager.load([name]))
        for task in loaded["tasks"].values():
            own, wanted = task.get_config("num_fewshot"), self.wish.config.num_fewshot
            # As lm-eval does: a task that says 0 by itself is never given examples.
            if wanted is not None and own != 0:
                task.set_config(key="num_fewshot", value=wanted)
            elif own is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=seed)
        return loaded

    def _check(self, name: str, tasks: Mapping[str, Any]) -> None:
        """Refuse what this engine cannot be asked, before anything is asked."""
        kinds = {str(task.OUTPUT_TYPE): title for title, task in tasks.items()}
        scored = next((kinds[kind] for kind in _BY_LIKELIHOOD if kind in kinds), "")
        reason = self.asker.can("likelihood") or (
            "" if self.words else "its tokenizer is not known here")
        if scored and reason:
            raise Failure("benchmark_likelihood", f"'{scored}' compares likelihoods, and "
                          f"'{self.wish.model}' cannot tell them: {reason}",
                          "Ask it tasks that generate answers, such as gsm8k or ifeval, or ask "
                          "the model through vLLM or Transformers.")
        if self.words is None and (reason := self.asker.can(
                "chat" if self.wish.config.apply_chat_template else "text")):
            raise Failure("benchmark_task", f"'{name}' cannot be asked of '{self.wish.model}': "
                          f"{reason}", "Switch 'apply_chat_template' over.")

    def _note(self, number: Any) -> str:
        own = f"version {number} of the task, " if number is not None else ""
        return f"{own}lm-eval {version('lm_eval')}"
