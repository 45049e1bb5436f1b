"""Adapters with random matrices, as PEFT writes them over the tiny model."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.contract.files import read_json, write_json

Make = Callable[..., Path]
BASE = {"model.safetensors": "1" * 64, "config.json": "2" * 64}


@pytest.fixture
def make(tmp_path: Path, tiny_model: Path) -> Make:
    """Write an adapter as a run's ``adapter`` folder and return it."""
    def written(name: str, *, seed: int = 0, base: dict[str, str] | None = None,
                kind: str = "LoraConfig", **settings: Any) -> Path:
        import peft
        import torch
        from transformers import AutoModelForCausalLM

        folder = tmp_path / name / "adapter"
        torch.manual_seed(seed)
        given = {"r": 4, "target_modules": ["q_proj", "down_proj"], **settings}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForCausalLM.from_pretrained(tiny_model)
            laid = peft.get_peft_model(model, getattr(peft, kind)(**given))
            with torch.no_grad():
                for key, weight in laid.named_parameters():
                    if "lora_" in key and "magnitude" not in key:
                        weight.normal_(0, 0.1)
            laid.save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                     "generation_config.json"):
            shutil.copyfile(tiny_model / file, folder / file)
        write_json(folder.parent / "manifest.json", {"base": {"sha256": base or BASE}})
        return folder

    return written


def tensors(folder: Path) -> dict[str, Any]:
    """Return an adapter's tensors as float64."""
    from safetensors.numpy import load_file

    return {name: value.astype(np.float64)
            for name, value in load_file(folder / "adapter_model.safetensors").items()}


def parts(folder: Path) -> dict[str, tuple[Any, Any, float]]:
    """Return (A, B, scale) by module, the scale worked out from adapter_config.json by hand."""
    config, found = read_json(folder / "adapter_config.json"), {}
    every = tensors(folder)
    for name, a in every.items():
        if ".lora_A." not in name and "embedding_A" not in name:
            continue
        module = name.removeprefix("base_model.model.").split(".lora_")[0]
        b = every[name.replace("lora_A", "lora_B").replace("embedding_A", "embedding_B")]
        alpha = next((value for key, value in config["alpha_pattern"].items()
                      if module.endswith(key)), config["lora_alpha"])
        rank = len(a)
        found[module] = a, b, alpha / (rank ** 0.5 if config["use_rslora"] else rank)
    return found


def deltas(folder: Path) -> dict[str, Any]:
    """Return what an adapter changes by module: scale * B A."""
    return {module: scale * b @ a for module, (a, b, scale) in parts(folder).items()}


@pytest.fixture(scope="session")
def nf(request: pytest.FixtureRequest) -> Any:
    """This module, for its functions."""
    return request.config.pluginmanager.get_plugin(str(Path(__file__)))
