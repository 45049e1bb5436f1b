"""Every adapter of the form trains, is written, and says the same on the base that everybody has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from trainer.contract.config.tuner import TUNERS
from trainer.contract.models import read_adapter

pytestmark = pytest.mark.training

SMALL: dict[str, dict[str, Any]] = {
    "boft": {"boft": {"boft_block_size": 4}}, "oft": {"oft": {"oft_block_size": 16}},
    "vera": {"r": 16}, "vblora": {"r": 2, "vblora": {"num_vectors": 8, "vector_length": 16}},
    "fourierft": {"fourierft": {"n_frequency": 50}}, "c3a": {"c3a": {"block_size": 16}},
    "road": {"road": {"group_size": 16}}, "waveft": {"waveft": {"n_frequency": 100}},
    "adalora": {"adalora": {"init_r": 6, "target_r": 4, "tinit": 1, "tfinal": 1}},
    "prompt_tuning": {"prompt": {"num_virtual_tokens": 4}},
    "prefix_tuning": {"prompt": {"num_virtual_tokens": 4}},
    "p_tuning": {"prompt": {"num_virtual_tokens": 4}}}
LORA: dict[str, dict[str, Any]] = {
    "plain": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True},
    "gaussian": {"init_lora_weights": "gaussian"}, "orthogonal": {"init_lora_weights": "orthogonal"},
    "pissa": {"init_lora_weights": "pissa"}, "niter": {"init_lora_weights": "pissa_niter_16"},
    "olora": {"init_lora_weights": "olora", "use_rslora": True},
    "pissa-dora": {"init_lora_weights": "pissa", "use_dora": True, "rank_pattern": {"q_proj": 4}},
    "eva": {"init_lora_weights": "eva"}, "fa": {"lora_fa": True},
    "plus": {"loraplus_lr_ratio": 16.0}, "bias": {"bias": "all"},
    "patterns": {"rank_pattern": {"q_proj": 2, "layers.1.mlp.*": 4},
                 "alpha_pattern": {"v_proj": 64}},
    "tokens": {"trainable_token_indices": [5, 9]}, "layers": {"layers_to_transform": [1]},
    "embeddings": {"modules_to_save": ["embed_tokens"], "target_modules": "q_proj, v_proj"},
    "norms": {"modules_to_save": ["norm"]}}


@pytest.fixture
def cf(request: pytest.FixtureRequest) -> Any:
    return request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))


@pytest.fixture
def trained(runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train a run; return it, its losses, and what the trained model says in the end."""
    import torch

    from trainer import work

    kept: dict[str, Any] = {}
    original = work.save

    def save(context: Any, bench: Any, model: Any, template: Any) -> None:
        model.eval()
        ids = torch.arange(10, 40).reshape(2, 15)
        with torch.no_grad():
            kept["logits"] = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        kept["trained"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        kept["model"] = model
        original(context, bench, model, template)

    monkeypatch.setattr(work, "save", save)

    def train(name: str, **over: Any) -> tuple[Any, dict[int, float], dict[str, Any]]:
        values = {"training": {"max_steps": 3}, **over}
        run = runs.make(name, **values)
        events = runs.train(run)
        assert cf.end_of(events).outcome == "completed", cf.end_of(events)
        return run, cf.series(events, "loss"), dict(kept)

    return train


def said_by_files(run: Any, *, merged: bool = False, base: Path | None = None) -> Any:
    """Return what the finished adapter says over its untouched base, as the chat loads it."""
    import torch

    from trainer import model as models
    from trainer.adapters import attach_adapter, merge_adapters
    from trainer.precision import choose

    config = run.read_config()
    found = models.locate(config.model, run.path.parent, lambda text: None)
    model = models.load_model(found, config, choose(config, "cpu", None))
    tuned = (merge_adapters(model, (run.adapter,)) if merged
             else attach_adapter(model, run.adapter)).eval()
    ids = torch.arange(10, 40).reshape(2, 15)
    with torch.no_grad():
        return tuned(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def assert_the_same_everywhere(run: Any, kept: dict[str, Any], *, merges: bool = True) -> None:
    """Hold the files against the model that was trained: adapter, and merged."""
    import torch

    torch.testing.assert_close(said_by_files(run), kept["logits"], atol=1e-4, rtol=0)
    if merges:
        torch.testing.assert_close(said_by_files(run, merged=True), kept["logits"], atol=1e-4,
                                   rtol=0)


METHODS = [name for name in get_args(TUNERS) if name not in ("full", "freeze", "lora")]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_says_the_same_everywhere(trained: Any, method: str) -> None:
    run, losses, kept = trained(method, tuner={"type": method, **SMALL.get(method, {})})
    assert len(set(losses.values())) == len(losses) == 3
    found = read_adapter(run.adapter)
    assert found.is_mergeable == (method not in ("prompt_tuning", "prefix_tuning", "p_tuning"))
    assert_the_same_everywhere(run, kept, merges=found.is_mergeable)


@pytest.mark.parametrize("form", LORA)
def test_every_form_of_lora_says_the_same_everywhere(trained: Any, form: str) -> None:
    run, losses, kept = trained(form, tuner=LORA[form])
    assert len(set(losses.values())) == len(losses) == 3
    assert_the_same_everywhere(run, kept)
