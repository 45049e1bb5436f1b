"""What Finestra adds to TRL's DPOTrainer: references that are right, resume exactly, cost little.

TRL keeps reference log-probabilities that were asked in advance in a file beside the dataset,
found again by model and data but not by how they were counted; here they live as long as the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from torch.utils.data import DataLoader, Dataset
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from trainer.loops.loop import CommittedLoop
from trainer.loops.preference import PairMeans

REFERENCE = "reference.safetensors"
ADVANCE_NAMES = ("ref_chosen_logps", "ref_rejected_logps")


class UniformReference(DataCollatorForPreference):
    """Pads pairs and says that the reference finds all answers alike."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return ids, masks (2B, T) and the reference's log-probabilities (B,), all 0."""
        flat = dict.fromkeys(ADVANCE_NAMES, 0.0)
        return dict(super().torch_call([{**row, **flat} for row in examples]))


@dataclass(frozen=True)
class WithReference(Dataset[dict[str, Any]]):
    """Rows, and what the reference says of them."""

    rows: Any
    chosen: list[float]
    rejected: list[float]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a row with both log-probabilities."""
        said = (self.chosen[index], self.rejected[index])
        return {**self.rows[index], **dict(zip(ADVANCE_NAMES, said, strict=True))}


class MovingReference:
    """Mixed in front of DPOTrainer: a reference that moves is part of every checkpoint."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if self.args.sync_ref_model:  # type: ignore[attr-defined]
            step = self.state.global_step  # type: ignore[attr-defined]
            folder = Path(self.args.output_dir, f"checkpoint-{step}")  # type: ignore[attr-defined]
            save_model(self.ref_model, str(folder / REFERENCE))  # type: ignore[attr-defined]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
        saved = Path(resume_from_checkpoint, REFERENCE)
        if saved.is_file():
            load_model(self.ref_model, str(saved))  # type: ignore[attr-defined]


class CommittedDPOTrainer(CommittedLoop, MovingReference, PairMeans, DPOTrainer):
    """TRL's DPOTrainer on pairs that are already tokens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build TRL's trainer, then give 'sigmoid' its label smoothing, which TRL leaves out."""
        super().__init__(*args, **kwargs)
        if self.label_smoothing and "sigmoid" in self.loss_types:
            self.loss_types = ["robust" if name == "sigmoid" else name
                               for name in self.loss_types]
            self.label_smoothing = conservative(self.label_smoothing)

    def ask_in_advance(self, check: Callable[[], None], *, switch_off: bool) -> None:
        """Ask the reference about every row, so that it need not be kept.

        Args:
            check: Called before each batch; raises to stop.
            switch_off: The reference is the model without its adapter, which is new; else it is
                the model as it stands.
        """
        self.ref_model = None if switch_off else self.model
        self.model.eval()
        self.train_dataset = self._asked(self.train_dataset, check)
        if self.eval_dataset is not None:
            self.eval_dataset = self._asked(self.eval_dataset, check)
        self.model.train()
        self.ref_model, self.precompute_ref_logps = None, True

    def _asked(self, rows: Any, check: Callable[[], None]) -> WithReference:
        chosen: list[float] = []
        rejected: list[float] = []
        for batch in DataLoader(rows, batch_size=self.args.per_device_eval_batch_size,
                                collate_fn=self.data_collator):
            check()
            said = self.compute_ref_log_probs(self.model, self._prepare_inputs(batch))
            for values, kept in zip(said, (chosen, rejected), strict=True):
                kept += values.float().tolist()
        return WithReference(rows, chosen, rejected)


def conservative(smoothing: float) -> float:
    """Return the smoothing with which TRL's 'robust' loss is conservative DPO with another one.

    Conservative DPO is (1 - e) L(right) + e L(flipped) (arXiv:2305.18290's authors, cDPO); robust
    DPO (arXiv:2403.00409) is ((1 - r) L(right) - r L(flipped)) / (1 - 2 r). They are equal for
    r = -e / (1 - 2 e).
    """
    return -smoothing / (1 - 2 * smoothing)
