"""What the estimate counts of each method is what PEFT makes."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from trainer.contract.adapter_sizes import trained_shapes
from trainer.contract.config import RunConfig
from trainer.contract.config.tuner import TUNERS
from trainer.contract.models import read_folder
from trainer.contract.places import starter
from trainer.contract.plan import adapter_parameters

pytestmark = pytest.mark.training

FORMS: list[dict[str, Any]] = [
    *({"type": name} for name in get_args(TUNERS)),
    {"r": 16, "use_dora": True}, {"lora_fa": True}, {"layers_to_transform": [0, 3]},
    {"rank_pattern": {"q_proj": 2, "layers.0.mlp.*": 4}}, {"target_modules": "q_proj, down_proj"},
    {"trainable_token_indices": [1, 2, 3]}, {"modules_to_save": ["norm"]},
    {"modules_to_save": ["embed_tokens"]}, {"type": "adalora", "adalora": {"init_r": 5}},
    {"type": "lokr", "lokr": {"decompose_both": True}, "r": 2},
    {"type": "lokr", "lokr": {"decompose_factor": 8}, "r": 200},
    {"type": "miss", "miss": {"init_weights": "bat"}},
    {"type": "miss", "miss": {"init_weights": "mini"}},
    {"type": "road", "road": {"variant": "road_4"}}, {"type": "randlora", "r": 48},
    {"type": "ia3", "target_modules": "k_proj, v_proj, down_proj"},
    {"type": "prefix_tuning", "prompt": {"prefix_projection": True}},
    {"type": "prefix_tuning", "prompt": {"prefix_projection": True, "encoder_hidden_size": 32}},
    {"type": "p_tuning", "prompt": {"encoder_hidden_size": 64}},
    {"type": "freeze", "freeze": {"layers": -2, "modules": ["mlp"]}},
    {"type": "freeze", "freeze": {"layers": 0, "extra_modules": ["embed_tokens"]}}]


@pytest.fixture(scope="module")
def model() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(starter()), dtype=torch.float32)


@pytest.mark.parametrize("tuner", FORMS, ids=lambda form: "-".join(map(str, form.values())))
def test_the_estimate_counts_what_is_trained(model: Any, tuner: dict[str, Any]) -> None:
    import copy

    from peft import get_peft_model

    from trainer.contract.targets import linear_shapes
    from trainer.tuners.attach import freeze_first_factors
    from trainer.tuners.configs import peft_config
    from trainer.tuners.freeze import freeze
    from trainer.work import quiet_libraries

    quiet_libraries()
    config, facts = RunConfig.model_validate({"tuner": tuner}), read_folder(starter())
    trained = copy.deepcopy(model)
    if config.tuner.type == "freeze":
        freeze(trained, config.tuner)
    elif config.tuner.is_adapter:
        names = ({module.rpartition(".")[2] for module in linear_shapes(facts)}
                 if config.tuner.layers_to_transform else ())
        trained = get_peft_model(trained, peft_config(config, sorted(names)))
        if config.tuner.lora_fa:
            freeze_first_factors(trained)
    count = sum(p.numel() for p in trained.parameters() if p.requires_grad)
    counted = 0
    for shape in trained_shapes(config, facts).values():
        size = 1
        for side in shape:
            size *= side
        counted += size
    assert counted == count > 0
    assert adapter_parameters(config, facts) == (count if config.tuner.is_adapter else 0)
