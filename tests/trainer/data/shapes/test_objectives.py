"""Which kinds of data fit which objective, and what is said of the others."""

from __future__ import annotations

import re

import pytest

from trainer.contract.config.run import RunConfig
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.mapping import KINDS as ALL_KINDS
from trainer.data.shapes.mapping import Kind, Shape, shape_from_mapping
from trainer.data.shapes.objectives import KINDS, fits, objectives_of, require_fit

MAPPINGS: dict[Kind, dict[str, str]] = {
    "text": {"prompt": "text"}, "preference": {"prompt": "p", "chosen": "c", "rejected": "r"},
    "hh_rlhf": {"chosen": "c", "rejected": "r"}, "prompt_only": {"prompt": "p", "reference": "r"},
    "kto": {"prompt": "p", "response": "r", "kto_tag": "k"}, "openai": {"messages": "m"},
    "sharegpt": {"messages": "m"}, "classification": {"prompt": "t", "label": "l"}}


def shape(kind: Kind) -> Shape:
    return shape_from_mapping(MAPPINGS.get(kind, {"prompt": "p", "response": "r"}), kind)


def test_there_is_a_line_for_every_objective_of_a_run() -> None:
    objectives = RunConfig.model_fields["objective"].annotation
    assert set(KINDS) == set(objectives.__args__)


CHAT = ["sft", "grpo", "rloo", "distillation", "gkd"]
PAIRS = ["dpo", "orpo", "simpo", "cpo", "kto", "reward"]


@pytest.mark.parametrize(("kind", "objectives"), [
    ("alpaca", CHAT), ("openai", CHAT), ("sharegpt", CHAT), ("question_answer", CHAT),
    ("prompt_completion", CHAT), ("classification", [*CHAT, "classification"]),
    ("text", ["pretrain"]), ("preference", PAIRS), ("hh_rlhf", PAIRS), ("kto", ["kto"]),
    ("prompt_only", ["grpo", "rloo", "distillation"]), ("unknown", [])])
def test_which_objectives_a_kind_fits_the_most_usual_first(kind: Kind,
                                                           objectives: list[str]) -> None:
    assert objectives_of(kind) == objectives


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("objective", KINDS)
def test_what_does_not_fit_is_refused_with_advice(kind: Kind, objective: str) -> None:
    if fits(kind, objective):
        require_fit(shape(kind), objective, "mine")
        return
    with pytest.raises(DatasetError) as caught:
        require_fit(shape(kind), objective, "mine")
    assert caught.value.code == f"{kind}_for_{objective}"
    assert f"objective {objective} needs" in caught.value.message
    assert caught.value.advice
    advice = caught.value.advice
    assert f"Choose objective: {objectives_of(kind)[0]}" in advice
    named = set(re.findall(r"\w+", advice.partition("objective: ")[2]))
    assert set(objectives_of(kind)) <= named and objective not in named


def test_references_can_be_learned_by_naming_them_as_responses() -> None:
    with pytest.raises(DatasetError, match=r"map it as 'response' \(now 'reference': 'r'\)"):
        require_fit(shape("prompt_only"), "sft", "mine")


def test_answers_can_be_classes_by_naming_them_as_labels() -> None:
    with pytest.raises(DatasetError, match="has prompts") as caught:
        require_fit(shape("alpaca"), "classification", "mine")
    assert "If 'r' names a class, map it as 'label'" in caught.value.advice


def test_without_an_objective_every_known_kind_is_accepted() -> None:
    for kind in ALL_KINDS:
        require_fit(shape(kind), None, "mine")
