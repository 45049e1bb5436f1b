"""Switches of memory and speed change neither the loss nor, where they are exact, any number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent
from trainer.contract.models import read_safetensors_header

pytestmark = pytest.mark.training


PLAIN: dict[str, Any] = {"max_steps": 3, "group_by_length": False}


def losses(runs: Any, cf: Any, name: str, **over: Any) -> list[float]:
    training = {**PLAIN, **over.pop("training", {})}
    events = runs.train(runs.make(name, training=training, **over))
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    return [v for v in cf.series(events, "loss").values() if v is not None]


@pytest.fixture
def plain(runs: Any, cf: Any) -> list[float]:
    """The losses of a run without any switch."""
    return losses(runs, cf, "plain")


@pytest.mark.parametrize("training", [
    {"gradient_checkpointing": True, "gradient_checkpointing_every": 2},
    {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
    {"gradient_checkpointing": True, "per_device_train_batch_size": 2,
     "gradient_accumulation_steps": 2}])
def test_exact_switches_change_no_loss(runs: Any, cf: Any, plain: list[float],
                                       training: dict[str, Any]) -> None:
    assert losses(runs, cf, "careful", training=training) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("every", [1, 2])
def test_only_every_nth_layer_is_computed_again(runs: Any, cf: Any, every: int,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP

    calls = []
    original = Qwen3MLP.forward
    monkeypatch.setattr(Qwen3MLP, "forward",
                        lambda mlp, x: calls.append(1) or original(mlp, x))
    losses(runs, cf, f"every{every}", training={
        "max_steps": 2, "gradient_checkpointing": True, "gradient_checkpointing_every": every})
    assert len(calls) == 2 * (4 if every == 1 else 3)  # two layers forward, and again


@pytest.mark.long  # a minute of g++
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own
def test_compiled_training_is_the_same(runs: Any, cf: Any, plain: list[float]) -> None:
    compiled = losses(runs, cf, "compiled", training={"torch_compile": True})
    assert compiled == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_measuring_a_quantized_model_changes_nothing(runs: Any, cf: Any, held_out: Path,
                                                     kind: str) -> None:
    """bitsandbytes lays 4-bit weights out anew when a model is measured on some CPUs."""
    model = {"quantization": kind}
    alone = losses(runs, cf, "alone", model=model)
    measured = losses(runs, cf, "measured", model=model, data={"eval": [str(held_out)]},
                      training={"eval_steps": 1})
    assert measured == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("tuner", ["full", "freeze"])
def test_pure_bf16_holds_everything_in_bf16(runs: Any, cf: Any, tuner: str) -> None:
    run = runs.make("pure", tuner={"type": tuner}, training={
        "max_steps": 20, "pure_bf16": True, "learning_rate": 3e-3})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    chosen = {e.field: e.value for e in events if isinstance(e, ChoiceEvent)}
    assert chosen["model.dtype"] == "bfloat16"
    found = list(cf.series(events, "loss").values())
    assert found[-1] < 0.7 * found[0]
    header = read_safetensors_header(run.model / "model.safetensors")
    assert {dtype for _, dtype in header.values()} == {"BF16"}


def test_switches_become_arguments() -> None:
    """What only CUDA runs is handed to the trainers as they name it."""
    from types import SimpleNamespace

    from trainer.contract.config import RunConfig
    from trainer.memory import memory_arguments
    from trainer.precision import Gpu, choose

    def arguments(over: dict[str, Any], gpu: Gpu | None = None,
                  **rest: Any) -> dict[str, Any]:
        config = RunConfig.model_validate({"training": over, **rest})
        precision = choose(config, "auto", gpu)
        return memory_arguments(SimpleNamespace(config=config), precision)  # type: ignore[arg-type]

    gpu = Gpu("an H200", (9, 0))
    found = arguments({"use_liger_kernel": True, "activation_offloading": True,
                       "torch_compile": True, "neftune_noise_alpha": 5}, gpu)
    assert found | {"use_liger_kernel": True, "activation_offloading": True, "bf16": True,
                    "torch_compile": True, "neftune_noise_alpha": 5} == found
    pure = arguments({"pure_bf16": True}, gpu, tuner={"type": "full"})
    assert not pure["bf16"] and not pure["fp16"]
    assert arguments({}, gpu, tuner={"type": "full"})["bf16"]
    assert arguments({}, Gpu("a T4", (7, 5)))["fp16"] and not arguments({})["bf16"]
    other = arguments({"neftune_noise_alpha": 5}, gpu, objective="grpo")
    assert other["neftune_noise_alpha"] is None and "activation_offloading" not in other
