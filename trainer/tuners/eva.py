"""EVA (arXiv:2410.07170): A begins as the main directions of what the data puts into each layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

_ROWS = 512


class _Batches:
    """The first rows as padded batches; PEFT goes over them until its bases stand still."""

    def __init__(self, rows: Any, *, batch_size: int, pad: int, device: Any) -> None:
        """Look at so many rows a batch."""
        self._rows, self._size = rows, batch_size
        self._pad, self._device = pad, device

    def __len__(self) -> int:
        """Return the number of batches."""
        return max(1, min(len(self._rows), _ROWS) // self._size)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield input_ids, attention_mask and labels (B, T); labels say what counts."""
        for begin in range(len(self)):
            ids = [_ids(self._rows[number % len(self._rows)])
                   for number in range(begin * self._size, (begin + 1) * self._size)]
            longest = max(map(len, ids))
            padded = torch.tensor([row + [self._pad] * (longest - len(row)) for row in ids])
            lengths = torch.tensor([len(row) for row in ids])
            mask = (torch.arange(longest)[None] < lengths[:, None]).long()
            batch = {"input_ids": padded, "attention_mask": mask,
                     "labels": padded.masked_fill(mask == 0, -100)}
            yield {name: value.to(self._device) for name, value in batch.items()}


def _ids(row: dict[str, Any]) -> list[int]:
    """Return the tokens of a row, whatever its kind."""
    if "input_ids" in row:
        return list(row["input_ids"])
    answer = row.get("chosen_ids") or row.get("completion_ids") or []
    return [*row["prompt_ids"], *answer]


def begin_with_directions(model: Any, rows: Any, *, batch_size: int, pad: int) -> None:
    """Set A of every LoRA layer from a pass over the rows; B stays zero.

    Args:
        model: A PEFT model that was made with the initialisation 'eva'.
        rows: Token rows of training.
        batch_size: Rows a pass.
        pad: Id of the padding token.
    """
    from peft import initialize_lora_eva_weights

    batches = _Batches(rows, batch_size=min(batch_size, max(1, len(rows))), pad=pad,
                       device=model.device)
    was_training = model.training
    model.eval()
    initialize_lora_eva_weights(model, batches, show_progress_bar=False,
                                forward_fn=_forward)
    model.train(was_training)
    model.peft_config["default"].init_lora_weights = True
    model.peft_config["default"].eva_config = None


def _forward(model: Any, inputs: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
