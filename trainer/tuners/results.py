"""A trained adapter as files that give the same answers on the base that everybody has.

PiSSA and OLoRA begin by taking B0 A0 out of the base's weights, W = R + s B0 A0,
and train R + s B A. That is W + s (B A - B0 A0): an adapter of twice the rank on the base as it
was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.contract.files import read_json, write_json

ADAPTER = "adapter_model.safetensors"


def write_adapter(model: Any, folder: Path) -> None:
    """Write PEFT's two files of the adapter 'default' of a model.

    Args:
        model: The PEFT model.
        folder: An empty folder.
    """
    model.save_pretrained(folder, selected_adapters=["default"])
    if getattr(model, "first_factors", None):
        _double(model, folder)


def _double(model: Any, folder: Path) -> None:
    """Write [B, -B0] and [A; A0], their scale put into B, in place of B and A."""
    import torch
    from safetensors.torch import load_file, save_file

    path, patterns = folder / ADAPTER, {}
    tensors = load_file(str(path))
    for name, (first_a, first_b) in model.first_factors.items():
        layer = model.get_submodule(name)
        a, b, scale = f"{name}.lora_A.weight", f"{name}.lora_B.weight", layer.scaling["default"]
        tensors[a] = torch.cat([tensors[a], first_a.to(tensors[a])]).contiguous()
        tensors[b] = (scale * torch.cat([tensors[b], -first_b.to(tensors[b])], 1)).contiguous()
        patterns[name.removeprefix("base_model.model.")] = len(tensors[a])
    save_file(tensors, str(path), metadata={"format": "pt"})
    config = read_json(folder / "adapter_config.json")
    rank = 2 * int(config["r"])
    odd = {key: value for key, value in patterns.items() if value != rank}
    config |= {"r": rank, "lora_alpha": rank, "use_rslora": False, "init_lora_weights": True,
               "rank_pattern": odd, "alpha_pattern": odd}
    write_json(folder / "adapter_config.json", config)

