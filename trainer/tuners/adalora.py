"""AdaLoRA (arXiv:2303.10512) in the training loop: ranks that move, and exact resume of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from trainer.failures import Failure

STATE = "adalora.safetensors"


def is_adalora(model: Any) -> bool:
    """Tell whether ranks are to be moved."""
    return hasattr(getattr(model, "base_model", None), "rankallocator")


class RankMover(TrainerCallback):
    """Tells AdaLoRA the number of steps, and lets it move ranks after every one of them."""

    def __init__(self, model: Any, checkpoint: Path | None = None) -> None:
        """Keep the PEFT model, and the checkpoint that training goes on from."""
        self._model, self._checkpoint = model, checkpoint

    @property
    def _config(self) -> Any:
        return self._model.peft_config["default"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the schedule of ranks, and take up what was known of them at the checkpoint.

        Raises:
            Failure: The run is too short for ranks to move.
        """
        if self._config.tinit + self._config.tfinal >= state.max_steps:
            raise Failure("adalora_short", f"AdaLoRA's ranks never move: tinit "
                          f"{self._config.tinit} and tfinal {self._config.tfinal} leave none of "
                          f"{state.max_steps} steps.", "Lower them, or train longer.")
        self._config.total_step = state.max_steps
        allocator = self._model.base_model.rankallocator
        allocator.set_total_step(state.max_steps)
        if self._checkpoint is not None:
            _restore(self._model, self._checkpoint / STATE)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add the gradient of the orthogonal regulariser, formula (4) of the paper."""
        (self._config.orth_reg_weight * _unorthogonality(self._model)).backward()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move ranks by the gradients of the step, before they are thrown away."""
        self._model.base_model.update_and_allocate(state.global_step + 1)


def _unorthogonality(model: Any) -> torch.Tensor:
    """Return how far P and Q are from orthogonal, mean Frobenius norm of their Gram - I."""
    parts = []
    for name, weight in model.named_parameters():
        if weight.requires_grad and (".lora_A." in name or ".lora_B." in name):
            gram = weight @ weight.T if ".lora_A." in name else weight.T @ weight
            parts.append(torch.norm(gram - torch.eye(len(gram), device=gram.device)))
    return torch.stack(parts).mean()


def save_ranks(model: Any, folder: Path) -> None:
    """Write what AdaLoRA remembers of the gradients beside a checkpoint."""
    from safetensors.torch import save_file

    allocator = model.base_model.rankallocator
    tensors = {f"{kind}/{name}": value.contiguous()
               for kind in ("ipt", "exp_avg_ipt", "exp_avg_unc")
               for name, value in getattr(allocator, kind).items()}
    pattern = model.peft_config["default"].rank_pattern or {}
    tensors |= {f"pattern/{name}": torch.tensor(kept) for name, kept in pattern.items()}
    save_file(tensors, str(folder / STATE))


def _restore(model: Any, path: Path) -> None:
    from safetensors.torch import load_file

    allocator, pattern = model.base_model.rankallocator, {}
    for key, value in load_file(str(path)).items():
        kind, name = key.split("/", 1)
        if kind == "pattern":
            pattern[name] = value.tolist()
        else:
            device = model.get_parameter(name).device if "." in name else "cpu"
            getattr(allocator, kind)[name] = value.to(device)
    if pattern:
        model.peft_config["default"].rank_pattern = pattern
