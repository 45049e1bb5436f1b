"""What stands in the form of an evaluation, as a config and back; pure.

The form has a field for every section's value. Of metrics it has a row of names to tick and those
options that cannot be left out; options that it does not show travel in ``kept``, so that a clone
loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.board.pages._export_page import said_of
from trainer.contract.benchmarks import BENCHMARKS
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.problems import Problem
from trainer.contract.rubrics import RUBRICS

# What the form asks of a metric, (metric, option).
ASKED: tuple[tuple[str, str], ...] = (
    ("regex", "pattern"), ("json", "json_schema"), ("classification", "labels"),
    ("embedding", "model"), ("code", "consent"), ("python", "path"), ("python", "sha256"))
TEXTS = ("max_samples", "engine", "batch_size", "device", "seed", "generation.max_new_tokens",
         "generation.temperature", "generation.top_p", "generation.seed", "generation.system",
         "benchmarks.num_fewshot", "benchmarks.limit", "benchmarks.include_path",
         "benchmarks.sha256", "judge.model", "judge.mode", "judge.limit", "judge.max_new_tokens",
         "judge.price_in", "judge.price_out")
TICKS = ("benchmarks.apply_chat_template", "judge.swap")
OWN = "own"
# Where nothing is written there is nothing, in place of an empty text.
_EMPTY = ("max_samples", "batch_size", "benchmarks.num_fewshot", "benchmarks.limit",
          "benchmarks.sha256", "judge.limit", "judge.price_in", "judge.price_out")
_THINKING = {"": None, "on": True, "off": False}


def raws_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form holds for a config; what it leaves out has its default."""
    full = EvaluateConfig.model_validate({"models": ["x"], "data": ["x"]}).dump()
    for key, value in values.items():
        full[key] = {**full[key], **value} if isinstance(full.get(key), dict) and isinstance(
            value, dict) else value
    raws: dict[str, Any] = {"name": values.get("name", ""), "models": values.get("models", []),
                            "data": values.get("data", [])}
    for path in (*TEXTS, *TICKS):
        section, _, name = path.rpartition(".")
        value = full[section][name] if section else full[name]
        raws[path] = bool(value) if path in TICKS else _shown(value)
    thinking = full["generation"]["enable_thinking"]
    raws["generation.enable_thinking"] = next(k for k, v in _THINKING.items() if v is thinking)
    raws["generation.stop"] = "\n".join(full["generation"]["stop"])
    return {**raws, **_metrics_of(values.get("metrics") or ()),
            **_benchmarks_of(full["benchmarks"]["tasks"]), **_rubric_of(full["judge"]["rubric"])}


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _metrics_of(uses: Sequence[Any]) -> dict[str, Any]:
    given = [{"name": one} if isinstance(one, str) else dict(one) for one in uses]
    raws: dict[str, Any] = {"metrics": [one["name"] for one in given], "kept": {}}
    for metric, option in ASKED:
        raws[f"option.{metric}.{option}"] = False if option == "consent" else ""
    for one in given:
        name = one.pop("name")
        for option, value in one.items():
            if value is None:
                continue
            if (name, option) in ASKED:
                raws[f"option.{name}.{option}"] = "\n".join(value) if isinstance(
                    value, list) else value
            else:
                raws["kept"].setdefault(name, {})[option] = value
    return raws


def _benchmarks_of(tasks: Sequence[str]) -> dict[str, Any]:
    offered = [one.name for one in BENCHMARKS if set(one.tasks) <= set(tasks)]
    theirs = {task for one in BENCHMARKS if one.name in offered for task in one.tasks}
    return {"benchmarks.offered": offered,
            "benchmarks.tasks": ", ".join(task for task in tasks if task not in theirs)}


def _rubric_of(rubric: str) -> dict[str, Any]:
    known = rubric in RUBRICS
    return {"judge.rubric": rubric if known else OWN, "judge.own": "" if known else rubric}


def read(raws: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that the form describes, unchecked; its name may be ''."""
    values: dict[str, Any] = {
        "kind": "evaluate", "name": said_of(raws, "name"), "models": _list(raws.get("models")),
        "data": _list(raws.get("data")), "metrics": _metrics(raws)}
    for path in (*TEXTS, *TICKS):
        if path not in raws:
            continue
        section, _, name = path.rpartition(".")
        node = values.setdefault(section, {}) if section else values
        said = bool(raws[path]) if path in TICKS else said_of(raws, path)
        node[name] = None if said == "" and path in _EMPTY else said
    generation = values.setdefault("generation", {})
    generation["enable_thinking"] = _THINKING.get(said_of(raws, "generation.enable_thinking"))
    generation["stop"] = [line for line in str(raws.get("generation.stop") or "").split("\n")
                          if line]
    values.setdefault("benchmarks", {})["tasks"] = _tasks(raws)
    values.setdefault("judge", {})["rubric"] = _rubric(raws)
    return values


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _metrics(raws: Mapping[str, Any]) -> list[dict[str, Any]]:
    kept = raws.get("kept")
    found = []
    for name in _list(raws.get("metrics")):
        more = kept.get(name) if isinstance(kept, dict) else None
        use: dict[str, Any] = {"name": name, **(more if isinstance(more, dict) else {})}
        for metric, option in ASKED:
            value = raws.get(f"option.{metric}.{option}")
            if metric == name and value not in (None, "", False):
                use[option] = value if value is True else _option(option, str(value))
        found.append(use)
    return [one for one in found if isinstance(one["name"], str)]


def _option(option: str, value: str) -> Any:
    if option == "labels":
        lines = value.split("\n") if "\n" in value else value.split(",")
        return [line.strip() for line in lines if line.strip()]
    return value if option == "pattern" else value.strip()


def _tasks(raws: Mapping[str, Any]) -> list[str]:
    offered = _list(raws.get("benchmarks.offered"))
    own = said_of(raws, "benchmarks.tasks").replace(",", " ").split()
    return list(dict.fromkeys([task for one in BENCHMARKS if one.name in offered
                               for task in one.tasks] + own))


def _rubric(raws: Mapping[str, Any]) -> str:
    chosen = said_of(raws, "judge.rubric")
    return said_of(raws, "judge.own") if chosen == OWN else chosen or "general"


def hidden(raws: Mapping[str, Any]) -> list[str]:
    """Return the fields that mean nothing beside what is chosen."""
    metrics = set(_list(raws.get("metrics")))
    judged, benchmarked = bool(said_of(raws, "judge.model")), bool(_tasks(raws))
    sampling = said_of(raws, "generation.temperature") not in ("", "0", "0.0")
    means = {f"option.{metric}.{option}": metric in metrics for metric, option in ASKED}
    means |= dict.fromkeys(("generation.top_p", "generation.seed"), sampling)
    means |= {path: judged for path in (*TEXTS, *TICKS, "judge.rubric", "judge.own")
              if path.startswith("judge.") and path != "judge.model"}
    means["judge.own"] = judged and said_of(raws, "judge.rubric") == OWN
    means |= {path: benchmarked for path in (*TEXTS, *TICKS)
              if path.startswith("benchmarks.") and path != "benchmarks.include_path"}
    means["benchmarks.sha256"] = bool(said_of(raws, "benchmarks.include_path"))
    return [path for path, meant in means.items() if not meant]


def placed(problem: Problem, raws: Mapping[str, Any]) -> Problem:
    """Return a problem with the form's field that it is about: 'metrics.0.pattern' and the like."""
    head, _, rest = problem.field.partition(".")
    number, _, option = rest.partition(".")
    if head == "metrics" and number.isdigit():
        names = _list(raws.get("metrics"))
        name = names[int(number)] if int(number) < len(names) else ""
        option = option.partition(".")[0] or problem.params.get("option", "")
        if (name, option) in ASKED:
            return problem.model_copy(update={"field": f"option.{name}.{option}"})
    if problem.field == "judge.rubric" and said_of(raws, "judge.rubric") == OWN:
        return problem.model_copy(update={"field": "judge.own"})
    return problem


def digests(problems: Sequence[Problem]) -> dict[str, str]:
    """Return for each field of consent the digest of what would run, as it is now."""
    return {one.field: one.params["sha256"] for one in problems
            if one.field.endswith(".sha256") and "sha256" in one.params}
