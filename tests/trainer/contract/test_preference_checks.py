"""What cannot be combined among preferences is refused with its reason; the rest is not."""

from __future__ import annotations

from typing import Any

import pytest

from app.board.i18n import problem_text
from trainer.contract.config import parse
from trainer.contract.config.preference import DPOConfig
from trainer.contract.problems import ConfigError

DATA = {"data": {"train": ["sample_preferences"]}}


def problems(values: dict[str, Any]) -> list[Any]:
    try:
        parse({**DATA, **values})
    except ConfigError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize("values,field,code", [
    ({"dpo": {"loss_type": "hinge", "label_smoothing": 0.1}}, "dpo.label_smoothing",
     "label_smoothing_loss"),
    ({"dpo": {"mixture": {"sigmoid": 1, "aot": 1}, "label_smoothing": 0.1}},
     "dpo.label_smoothing", "label_smoothing_shared"),
    ({"dpo": {"loss_type": "exo_pair"}}, "dpo.label_smoothing", "exo_smoothing"),
    ({"dpo": {"mixture": {"sigmoid": 1, "exo_pair": 1}}}, "dpo.label_smoothing",
     "exo_smoothing"),
    ({"dpo": {"loss_type": "bco_pair", "f_divergence_type": "js_divergence"}},
     "dpo.f_divergence_type", "divergence_loss"),
    ({"dpo": {"mixture": {"sigmoid": 1, "sft": 1}, "use_weighting": True}},
     "dpo.use_weighting", "weighting_loss"),
    ({"dpo": {"loss_type": "apo_zero", "reference_free": True}}, "dpo.reference_free",
     "free_loss"),
    ({"dpo": {"reference_free": True, "f_divergence_type": "forward_kl"}},
     "dpo.f_divergence_type", "free_divergence"),
    ({"dpo": {"reference_free": True, "precompute_ref_log_probs": True}},
     "dpo.precompute_ref_log_probs", "free_reference"),
    ({"dpo": {"sync_ref_model": True}}, "dpo.sync_ref_model", "moving_adapter"),
    ({"dpo": {"sync_ref_model": True, "precompute_ref_log_probs": True},
      "tuner": {"type": "full"}}, "dpo.sync_ref_model", "moving_in_advance"),
    ({"dpo": {"loss_type": "aot"}, "training": {"per_device_train_batch_size": 1}},
     "training.per_device_train_batch_size", "aot_single_row"),
    ({"dpo": {"mixture": {"sigmoid": 0}}}, "dpo.mixture.sigmoid", "greater_than"),
    ({"objective": "cpo", "cpo": {"loss_type": "ipo", "label_smoothing": 0.1}},
     "cpo.label_smoothing", "label_smoothing_cpo"),
    ({"objective": "kto", "data": {"train": ["sample_kto"], "val_size": 4},
      "training": {"per_device_eval_batch_size": 1}},
     "training.per_device_eval_batch_size", "kto_single_row"),
])
def test_what_cannot_be_combined_is_refused(values: dict[str, Any], field: str,
                                            code: str) -> None:
    found = problems({"objective": "dpo", **values})
    assert [(problem.field, problem.code) for problem in found] == [(field, code)]
    english, chinese = (problem_text(locale, found[0]) for locale in ("en", "zh"))
    assert all(english) and all(chinese) and english[0] != chinese[0]


@pytest.mark.parametrize("values", [
    {"dpo": {"label_smoothing": 0.1}},
    {"dpo": {"mixture": {"robust": 1, "aot": 1}, "label_smoothing": 0.1},
     "training": {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 4}},
    {"dpo": {"loss_type": "hinge", "mixture": {"sigmoid": 1}, "use_weighting": True}},
    {"dpo": {"sync_ref_model": True}, "tuner": {"type": "full"}},
    {"dpo": {"reference_free": True, "loss_type": "ipo", "ld_alpha": 0.0}},
    {"objective": "sft", "dpo": {"loss_type": "exo_pair"}, "data": {"train": ["sample_chat"]}},
])
def test_what_works_is_let_through(values: dict[str, Any]) -> None:
    assert problems({"objective": "dpo", **values}) == []


def test_a_mixture_stands_in_place_of_the_one_loss() -> None:
    assert DPOConfig(loss_type="hinge").losses == {"hinge": 1.0}
    mixed = DPOConfig.model_validate({"loss_type": "hinge", "mixture": {"sft": 1, "ipo": 0.5}})
    assert mixed.losses == {"sft": 1.0, "ipo": 0.5}
