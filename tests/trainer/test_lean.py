"""What a run cannot need is hidden from the libraries, and nothing else is."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer import lean
from trainer.contract.config import RunConfig
from trainer.contract.rundir import RunDir


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model's folder with nothing in it but a config."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}), "utf-8")
    return folder


def config(base: Path | str, **sections: Any) -> RunConfig:
    document: dict[str, Any] = {"name": "r", **sections}
    document["model"] = {"name_or_path": str(base), **document.get("model", {})}
    return RunConfig.model_validate(document)


def test_a_plain_run_quantizes_nothing(base: Path, tmp_path: Path) -> None:
    assert not lean.quantizes(config(base), tmp_path)
    assert not lean.quantizes(config("starter"), tmp_path)


@pytest.mark.parametrize("sections", [
    {"model": {"quantization": "nf4"}},
    {"training": {"optim": "adamw_8bit"}},
    {"training": {"optim": "ademamix"}},
    {"training": {"fp8": True}},
    {"objective": "grpo", "rollout": {"rewards": [{"name": "reward_model", "model": "scorer"}]}},
    {"objective": "distillation", "teacher": {"name_or_path": "Someone/quantized"}},
])
def test_whatever_needs_few_bits_keeps_the_packages(sections: dict[str, Any], base: Path,
                                                    tmp_path: Path) -> None:
    assert lean.quantizes(config(base, **sections), tmp_path)


@pytest.mark.parametrize("name", ["Someone/model", "/no/such/folder"])
def test_a_base_that_cannot_be_looked_at_may_be_quantized(name: str, tmp_path: Path) -> None:
    assert lean.quantizes(config(name), tmp_path)


def test_weights_stored_in_few_bits_keep_the_packages(base: Path, tmp_path: Path) -> None:
    (base / "config.json").write_text(json.dumps(
        {"model_type": "qwen3", "quantization_config": {"quant_method": "bitsandbytes"}}), "utf-8")
    assert lean.quantizes(config(base), tmp_path)
    (base / "config.json").write_text("{broken", "utf-8")
    assert lean.quantizes(config(base), tmp_path)


def test_hidden_packages_look_absent_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with lean.hidden(("wave", "json")):
        assert importlib.util.find_spec("wave") is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("wave")
        assert sys.modules["json"] is json
    assert importlib.import_module("wave").__name__ == "wave"


def test_a_run_without_a_readable_config_hides_nothing(tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "hide", lambda names: pytest.fail("hid without knowing"))
    (tmp_path / "config.yaml").write_text("{", "utf-8")
    lean.spare(RunDir(tmp_path))
