"""Device and number formats, each with its reason; errors in words. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trainer import precision
from trainer.contract.choose import BF16_UNITS
from trainer.contract.config import RunConfig
from trainer.contract.models import ModelError
from trainer.contract.problems import ConfigError, Problem
from trainer.data.reading.rows import DatasetError
from trainer.failures import Failure, classify
from trainer.precision import Gpu, choose

H200, T4 = Gpu("an H200", (9, 0)), Gpu("a T4", (7, 5))


def config(**over: Any) -> RunConfig:
    return RunConfig.model_validate(over)


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether the processor has bf16 units; it has none unless told so."""
    def say(found: bool) -> None:
        monkeypatch.setattr(precision, "has_bf16_units", lambda: found)
    say(False)
    return say


def test_a_processor_with_bf16_units_is_told_of(units: Callable[[bool], None]) -> None:
    assert choose(config(), "cpu", None).compute.reason != BF16_UNITS
    units(True)
    assert choose(config(), "cpu", None).compute == ("float32", BF16_UNITS)
    assert choose(config(model={"dtype": "float32"}), "cpu", None).compute.reason != BF16_UNITS
    assert choose(config(), "GPU-1", H200).compute.value == "bfloat16"


@pytest.mark.parametrize(("values", "device", "gpu", "expected"), [
    ({}, "cpu", None, ("cpu", "float32", "float32")),
    ({}, "cpu", H200, ("cpu", "float32", "float32")),
    ({}, "auto", None, ("cpu", "float32", "float32")),
    ({}, "GPU-1", H200, ("cuda", "bfloat16", "bfloat16")),
    ({}, "GPU-1", T4, ("cuda", "float16", "float16")),
    ({"tuner": {"type": "full"}}, "GPU-1", H200, ("cuda", "bfloat16", "float32")),
    ({"model": {"dtype": "bfloat16"}}, "cpu", None, ("cpu", "bfloat16", "bfloat16")),
])
def test_precision(values: dict[str, Any], device: str, gpu: Gpu | None,
                   expected: tuple[str, str, str]) -> None:
    chosen = choose(config(**values), device, gpu)
    assert (chosen.device.value, chosen.compute.value, chosen.weights.value) == expected
    assert all(c.reason for c in (chosen.device, chosen.compute, chosen.weights,
                                  chosen.attention))


@pytest.mark.parametrize(("values", "device", "code"), [
    ({}, "GPU-1", "gpu_missing"), ({"model": {"dtype": "float16"}}, "cpu", "dtype_unusable")])
def test_what_cannot_be_computed_is_said(values: dict[str, Any], device: str, code: str) -> None:
    with pytest.raises(Failure) as error:
        choose(config(**values), device, None)
    assert error.value.code == code and error.value.advice


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(("error", "code", "text"), [
    (DatasetError("bad_rows", "Row 3 is bad.", "Fix it."), "bad_rows", "Row 3 is bad."),
    (ModelError("weights_none", "No weights.", "Copy."), "weights_none", "No weights."),
    (Failure("nan_loss", "The loss is gone.", "Lower."), "nan_loss", "The loss is gone."),
    (ConfigError([Problem(field="a", code="b", message="Wrong.")]), "config", "a: Wrong."),
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "cuda_oom", "2 GiB"),
    (RuntimeError("CUDA error: CUDA out of memory"), "cuda_oom", "memory"),
    (MemoryError(), "out_of_memory", "too little memory"),
    (OSError(28, "No space left on device"), "disk_full", "full"),
    (FileNotFoundError(2, "No such file", "/x/y.json"), "file_missing", "/x/y.json"),
    (ZeroDivisionError("by zero"), "error", "ZeroDivisionError: by zero"),
])
def test_errors_are_told_apart(error: Exception, code: str, text: str) -> None:
    verdict = classify(error)
    assert verdict.code == code and text in verdict.message
    assert verdict.known == (code != "error")
