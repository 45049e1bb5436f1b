"""Values that nobody would choose: every one is taken or refused in words, in both languages."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from app.board import forms
from app.board.i18n import problem_text
from app.devices import DeviceProbe
from app.home import Home
from app.preflight import Preflight
from trainer.contract import ConfigError, Problem, RunConfig
from trainer.contract.config import (
    OBJECTIVES,
    FieldInfo,
    all_fields,
    flat,
    is_relevant,
    load_yaml,
    parse,
    to_yaml,
)

HAN = re.compile("[\u4e00-\u9fff]")
LONG = "x" * 300
SAMPLES = {"turns": "sample_instructions", "text": "sample_text", "pairs": "sample_preferences",
           "judged": "sample_kto", "prompts": "sample_questions", "labelled": "sample_classes"}
TEXTS = ["", "nope", " ", "a/b", "(", ".*", "..", "/etc/passwd", "名字", LONG, f"a/{LONG}", "a\nb",
         "\ud800", "{x}", None, 3]
NAMES = ["q_proj", "lm_head", "norm", "nope", "*", "", "a,b", "a=b", '"', "(", "\n", 99, -1, 0]
NUMBERS = [0, 1, -1, 2, 7, 0.5, 1e-9, 1e30, 10**30, 2.5, True, "3", "x", float("nan"), None]
USES = [[{"name": "exact_answer", "weight": 0}], [{"name": "length", "target": -1}], [{}],
        [{"name": "regex", "pattern": "("}], [{"name": "python", "path": LONG, "sha256": "x"}],
        [{"name": "json_schema", "json_schema": "{"}], [{"name": "sample_chat", "weight": 1000}],
        ["sample_chat", "nope"], [3], "sample_chat", [{"name": "python", "path": "a\0"}]]
MAPPINGS = [{}, {"q_proj": 4}, {"(": 1}, {"nope": -1}, {"sigmoid": 1, "sft": 0}, {"": 2}, "a=b", []]


def value(info: FieldInfo, chance: random.Random) -> Any:
    """Return some value for a field, a good one or a bad one."""
    if info.kind in ("integer", "number"):
        return chance.choice([*NUMBERS, info.default])
    if info.kind == "list":
        return chance.choice([chance.sample(NAMES, chance.randint(0, 3)), [], "all-linear", None])
    odd = {"boolean": [True, False, "x", None], "choice": [*info.choices, *info.choices, "x"],
           "uses": USES, "mapping": MAPPINGS}
    return chance.choice(odd.get(info.kind, TEXTS))


def nested(seed: int) -> dict[str, Any]:
    """Return a config in which some fields, or nearly all of them, have any value."""
    chance = random.Random(seed)
    objective = chance.choice(list(OBJECTIVES))
    share, found = chance.choice([0.003, 0.01, 0.1, 0.5]), {"objective": objective}
    if chance.random() < 0.8:
        found["data.train"] = [SAMPLES[OBJECTIVES[objective].rows]]
    for path, info in all_fields().items():
        wanted = share * (3 if info.only and is_relevant(info, found) else 1)
        if path not in found and chance.random() < wanted:
            found[path] = value(info, chance)
    values: dict[str, Any] = {}
    for path, one in found.items():
        node = values
        *sections, name = path.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = one
    return values


def stand_in_words(problems: list[Problem]) -> None:
    for problem in problems:
        assert problem.message and problem.advice, problem
        assert forms.owner_of(problem.field) or problem.code in ("unknown_field", "disk_space")
        for text in problem_text("zh", problem):
            assert HAN.search(text), (text, problem)


@pytest.mark.parametrize("part", range(4))
def test_every_value_is_taken_or_refused_in_words(part: int) -> None:
    for seed in range(part * 60, part * 60 + 60):
        values = nested(seed)
        try:
            taken = parse(values)
        except ConfigError as error:
            stand_in_words(error.problems)
            continue
        assert RunConfig.model_validate(load_yaml(to_yaml(taken))) == taken
        assert RunConfig.model_validate(load_yaml(to_yaml(taken, complete=False))) == taken
        raws = forms.show_all(taken.dump())
        again = parse(forms.read_all(raws))
        assert forms.show_all(again.dump()) == raws, flat(again.dump())


def test_nothing_makes_the_preflight_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    preflight = Preflight(Home.open(tmp_path), DeviceProbe())
    for seed in range(1000, 1025):
        for found in (preflight.check(nested(seed)), preflight.check(nested(seed), origin="web")):
            stand_in_words(found.problems)
