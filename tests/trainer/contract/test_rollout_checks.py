"""What cannot be combined in objectives that sample answers, and what a teacher must share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.config import parse
from trainer.contract.problems import ConfigError
from trainer.contract.teacher import difference, read_vocabulary, teacher_problem

GRPO: dict[str, Any] = {"objective": "grpo",
                        "rollout": {"rewards": [{"name": "exact_answer"}]}}


def codes(**values: Any) -> list[str]:
    try:
        parse(values)
    except ConfigError as error:
        return [problem.code for problem in error.problems]
    return []


def grpo(rewards: list[Any] | None = None, **values: Any) -> list[str]:
    rollout = dict(GRPO["rollout"], **values.pop("rollout", {}))
    return codes(**{**GRPO, "rollout": rollout | ({} if rewards is None else {
        "rewards": rewards})}, **values)


@pytest.mark.parametrize(("batch", "accumulation", "group", "fits"), [
    (8, 1, 8, True), (4, 2, 8, True), (3, 8, 8, True), (4, 1, 8, False), (6, 1, 4, False),
    (6, 2, 4, True), (1, 1, 2, False)])
def test_a_step_holds_whole_groups(batch: int, accumulation: int, group: int, fits: bool) -> None:
    training = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    for objective in ("grpo", "rloo"):
        found = codes(objective=objective, training=training,
                      rollout=dict(GRPO["rollout"], num_generations=group))
        assert found == ([] if fits else ["answers_per_step"])
    assert codes(objective="sft", training=training, rollout={"num_generations": group}) == []


def test_the_advice_works() -> None:
    values = {**GRPO, "training": {"per_device_train_batch_size": 5,
                                   "gradient_accumulation_steps": 2}}
    with pytest.raises(ConfigError) as raised:
        parse(values)
    problem = raised.value.problems[0]
    assert problem.params["size"] == "8" and "batch size of 8" in problem.advice
    values["training"]["per_device_train_batch_size"] = 8
    parse(values)


@pytest.mark.parametrize(("section", "code"), [
    ({"loss_type": "luspo"}, "importance_sampling_of_loss"),
    ({"loss_type": "luspo", "importance_sampling_level": "sequence"}, ""),
    ({"loss_type": "vespo", "importance_sampling_level": "sequence"},
     "importance_sampling_of_loss"), ({"loss_type": "vespo"}, ""),
    ({"loss_type": "cispo"}, "cispo_bound"),
    ({"loss_type": "cispo", "epsilon_high": 0.28}, "cispo_bound"),
    ({"loss_type": "cispo", "epsilon_high": 5}, ""),
    ({"loss_type": "grpo", "importance_sampling_level": "sequence"}, "")])
def test_losses_and_their_ratios(section: dict[str, Any], code: str) -> None:
    assert grpo(grpo=section) == ([code] if code else [])
    assert codes(objective="sft", grpo=section) == []


def test_rewards_have_what_they_need() -> None:
    assert grpo([]) == ["rewards_none"]
    assert grpo([{"name": "exact_answer", "weight": 0}]) == ["rewards_weigh_nothing"]
    for name, needs in (("regex", 1), ("format", 1), ("length", 1), ("language", 1),
                        ("json_schema", 1), ("reward_model", 1), ("judge", 2), ("python", 1)):
        assert grpo([{"name": name}]) == ["reward_needs"] * needs, name
    assert grpo([{"name": "length", "target": 3, "pattern": "x"}]) == ["reward_has_no_use"]
    assert "regular_expression" in grpo([{"name": "regex", "pattern": "("}])
    for text in ("{", '{"a":' * 15_000):
        assert "json_text" in grpo([{"name": "json_schema", "json_schema": text}])
    assert codes(objective="sft", rollout={"rewards": []}) == []


def test_teachers() -> None:
    assert codes(objective="gkd") == ["teacher_none"] == codes(objective="distillation")
    teacher = {"name_or_path": "starter"}
    assert codes(objective="gkd", teacher=teacher) == []
    never = teacher | {"lmbda": 1, "seq_kd": True}
    assert codes(objective="gkd", teacher=never) == ["seq_kd_never"]
    prompted = {"data": {"train_on_prompt": True}}
    assert codes(objective="gkd", teacher=teacher, **prompted) == ["gkd_prompt"]
    assert codes(objective="gkd", teacher=teacher | {"lmbda": 0}, **prompted) == []


def write(path: Path, vocabulary: Any, added: list[Any]) -> Path:
    path.mkdir()
    (path / "tokenizer.json").write_text(json.dumps(
        {"model": {"vocab": vocabulary}, "added_tokens": added}))
    return path


def test_vocabularies_are_compared_by_number(tmp_path: Path) -> None:
    end = [{"content": "</s>", "id": 2}]
    one = read_vocabulary(write(tmp_path / "a", {"x": 0, "y": 1}, end) / "tokenizer.json")
    same = read_vocabulary(write(tmp_path / "b", [["x", -1.0], ["y", -2.0]], end)
                           / "tokenizer.json")
    assert one == {"x": 0, "y": 1, "</s>": 2} and difference(one, same) == ""
    assert difference(one, {"x": 1, "y": 0, "</s>": 2}).startswith("2 tokens differ")
    assert "missing in the student" in difference(one, one | {"z": 3})
    assert "missing in the teacher" in difference(one | {"z": 3}, one)


def test_a_teacher_is_looked_at_before_the_start(tmp_path: Path) -> None:
    config = parse({"objective": "gkd", "teacher": {"name_or_path": str(tmp_path / "none")}})
    problem = teacher_problem(config, tmp_path, None)
    assert problem is not None and problem.code == "model_missing"
    other = write(tmp_path / "other", {"x": 0}, [])
    student = write(tmp_path / "student", {"x": 1}, [])
    config = parse({"objective": "gkd", "teacher": {"name_or_path": str(other)}})
    problem = teacher_problem(config, tmp_path, student)
    assert problem is not None and problem.code == "teacher_tokenizer"
    assert teacher_problem(config, tmp_path, other) is None
