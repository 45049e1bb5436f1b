"""What switches of memory and losses cannot be combined with, each by trying what is refused."""

import pytest

from trainer.contract.config import parse
from trainer.contract.config.checks.memory import packing_problems
from trainer.contract.problems import ConfigError

FULL = {"type": "full"}


def codes(values):
    try:
        parse(values)
    except ConfigError as error:
        return {(p.field, p.code) for p in error.problems}
    return set()


@pytest.mark.parametrize(("values", "field", "code"), [
    ({"training": {"label_smoothing_factor": 0.1}, "sft": {"loss_type": "dft"}},
     "training.label_smoothing_factor", "smoothing_loss"),
    ({"training": {"label_smoothing_factor": 0.1}, "objective": "classification",
      "classification": {"loss_type": "focal"}},
     "training.label_smoothing_factor", "smoothing_loss"),
    ({"training": {"use_liger_kernel": True, "use_kernels": True}}, "training.use_kernels",
     "kernels_twice"),
    ({"training": {"pure_bf16": True}, "tuner": FULL, "model": {"dtype": "float32"}},
     "training.pure_bf16", "pure_bf16_dtype"),
    ({"training": {"fp8": True}}, "training.fp8", "fp8_adapter"),
    ({"training": {"fp8": True}, "tuner": FULL, "model": {"dtype": "float16"}}, "training.fp8",
     "fp8_dtype"),
    ({"training": {"fp8": True, "pure_bf16": True}, "tuner": FULL}, "training.fp8", "fp8_pure"),
    ({"objective": "dpo", "tuner": {"target_modules": "q_proj, lm_head"}},
     "tuner.target_modules", "lm_head_fused")])
def test_what_cannot_be_combined_is_refused(values, field, code):
    assert (field, code) in codes(values)


@pytest.mark.parametrize("values", [
    {"training": {"label_smoothing_factor": 0.1}},
    {"training": {"label_smoothing_factor": 0.1}, "objective": "dpo",
     "sft": {"loss_type": "dft"}},
    {"training": {"pure_bf16": True}, "tuner": FULL},
    {"training": {"pure_bf16": True}, "model": {"dtype": "float32"}},
    {"tuner": {"target_modules": "q_proj, lm_head"}},
    {"training": {"packing": "bfd", "padding_free": True}},
    {"training": {"packing": "wrapped"}, "model": {"attn_implementation": "eager"}}])
def test_what_works_is_let_through(values):
    assert codes(values) == set()


def test_families_whose_rows_see_each_other_are_not_packed():
    packed = parse({"training": {"packing": "bfd"}})
    (problem,) = packing_problems(packed, "opt")
    assert (problem.field, problem.code) == ("training.packing", "packing_family")
    assert packing_problems(parse({}), "opt") == packing_problems(packed, "qwen3") == []
