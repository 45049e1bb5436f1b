"""Models with a head of scores in place of words: loading, adapters, and answering with numbers.

The head is a linear layer ``score`` over the last hidden state; a row's score is the one at its
last token that is no padding (Transformers' ``...ForSequenceClassification``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.contract.files import read_json, write_json
from trainer.contract.models import ModelError, ModelSource, read_safetensors_header
from trainer.contract.rundir import RunDir, is_safe_name
from trainer.failures import Failure

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainer.context import Context
    from trainer.workbench import Workbench

HEAD = "score"
CLASSES = "classes.json"
_BATCH_TOKENS = 16_384


def load_with_head(context: Context, bench: Workbench, labels: Sequence[str] | int
                   ) -> PreTrainedModel:
    """Load the base with a new head, ready to be trained or to carry an adapter.

    Args:
        context: The attempt.
        bench: Base and number formats.
        labels: The classes' names, or how many scores a row gets.

    Raises:
        Failure: This architecture has no such head ('head_missing').
    """
    from trl.trainer.reward_trainer import suppress_seqcls_warning

    from trainer import work

    count = labels if isinstance(labels, int) else len(labels)
    with suppress_seqcls_warning():
        model = work.load_trainable(context, bench, labels=count)
    text_config = model.config.get_text_config()
    text_config.pad_token_id = model.config.pad_token_id = bench.tokenizer.pad_token_id
    if not isinstance(labels, int):
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: index for index, name in enumerate(labels)}
    if not hasattr(model, HEAD):
        raise Failure("head_missing", f"{type(model).__name__} has no layer '{HEAD}': this "
                      "architecture gives no scores here.", "Use another base model.")
    getattr(model, HEAD).requires_grad_(True)
    return model


def headed(adapter: Any) -> Any:
    """Return PEFT's config for a model with a head, which is trained and kept whole."""
    if adapter is None:
        return None
    adapter.task_type = "SEQ_CLS"
    if hasattr(adapter, "modules_to_save"):
        adapter.modules_to_save = [*(adapter.modules_to_save or []), HEAD]
    return adapter


def write_classes(model: Any, folder: Path) -> None:
    """Write the names of a classifier's classes beside its adapter, in the order of the scores."""
    if has_head(folder) and model.config.num_labels > 1:
        names = model.config.id2label
        write_json(folder / CLASSES, [names[place] for place in range(len(names))])


def has_head(folder: Path) -> bool:
    """Tell whether a folder of weights or of an adapter gives scores instead of words."""
    adapter = read_json(folder / "adapter_config.json")
    if isinstance(adapter, dict):
        return adapter.get("task_type") == "SEQ_CLS"
    config = read_json(folder / "config.json")
    names = config.get("architectures") or [] if isinstance(config, dict) else []
    return any(str(name).endswith("ForSequenceClassification") for name in names)


def refuse_head(source: ModelSource) -> None:
    """Refuse a result that gives scores where a model that writes is needed.

    Raises:
        ModelError: The base or one of the adapters over it has a head ('base_scores').
    """
    folders = [*source.adapters, *([Path(source.base)] if source.is_folder else [])]
    for folder in filter(has_head, folders):
        name = folder.parent.name if folder in source.adapters else folder
        raise ModelError("base_scores", f"'{name}' is a model that gives scores; it has no words "
                         "to learn or to answer with.",
                         "Start from the model that it was trained from.")


@dataclass(frozen=True)
class Scorer:
    """A finished reward model or classifier, on a device; its tokenizer is the run's own."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    device: str

    def score(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """Return the score of each row of token ids (prompt and answer, its end included)."""
        return [float(values[0]) for values in self.scores(rows)]

    def scores(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return all scores of each row of token ids, in the order given.

        Raises:
            ValueError: A row has no tokens.
        """
        if not all(len(row) for row in rows):
            raise ValueError("A row without tokens has no score.")
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        found: dict[int, list[float]] = {}
        while order:
            room = max(1, _BATCH_TOKENS // len(rows[order[0]]))
            batch, order = order[:room], order[room:]
            found |= zip(batch, self._ask([rows[i] for i in batch]).tolist(), strict=True)
        return [found[index] for index in range(len(rows))]

    def _ask(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return scores (B, labels) of rows of token ids."""
        import torch

        width = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.no_grad():
            return self.model(input_ids=ids.to(self.device), use_cache=False,
                              attention_mask=mask.to(self.device)).logits.float().cpu()


def load_scorer(name: Path | str, device: str, *, runs: Path | None = None) -> Scorer:
    """Load a finished reward model or classifier to give scores.

    Args:
        name: A run's folder, a run's id in ``runs``, or a folder of whole weights.
        device: Where it works, ``"cpu"`` or ``"cuda"``.
        runs: The folder that holds the runs; that of the run's folder unless told.

    Raises:
        ModelError: There is none, it gives no scores, or it is not whole.
    """
    from trainer.model import load_tokenizer

    folder = Path(name)
    if runs is not None and is_safe_name(str(name)) and (runs / name).is_dir():
        folder = runs / name
    result = _finished(folder)
    if not has_head(result):
        raise ModelError("no_scores", f"'{name}' answers with words, not with scores.",
                         "Name a run of the objective 'reward', or a model of the kind "
                         "...ForSequenceClassification.")
    tokenizer = load_tokenizer(result)
    model = (_with_adapter(RunDir(folder), runs or folder.parent, device)
             if (result / "adapter_config.json").is_file() else _whole(result, device))
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return Scorer(model.to(device).eval(), tokenizer, device)


def _finished(folder: Path) -> Path:
    """Return the folder of the weights: of a run its result, else the folder itself."""
    run = RunDir(folder)
    if (run.adapter / "adapter_config.json").is_file():
        return run.adapter
    found = run.model if (run.model / "config.json").is_file() else folder
    if not (found / "config.json").is_file():
        raise ModelError("scorer_missing", f"There is no finished reward model at '{folder}'.",
                         "Name a completed run of the objective 'reward', or a folder.")
    return found


def _whole(folder: Path, device: str) -> Any:
    from trainer.contract.models import read_folder
    from trainer.model import auto_class

    read_folder(folder)
    return auto_class(1).from_pretrained(
        str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True,
        dtype="float32" if device == "cpu" else "auto")


def _with_adapter(run: RunDir, runs: Path, device: str) -> Any:
    from trainer.adapters import attach_adapter
    from trainer.model import load_model, locate
    from trainer.precision import choose, find_gpu

    config = run.read_config()
    base = locate(config.model, runs, lambda text: None)
    precision = choose(config, "cpu" if device == "cpu" else "auto", find_gpu())
    model = load_model(base, config, precision, labels=_labels(run.adapter))
    return attach_adapter(model, run.adapter)


def _labels(adapter: Path) -> int:
    """Return how many scores an adapter's head gives, as its weights say."""
    header = read_safetensors_header(adapter / "adapter_model.safetensors")
    shapes = [shape for name, (shape, _) in header.items() if name.endswith(f"{HEAD}.weight")]
    if not shapes:
        raise ModelError("head_lost", f"The adapter '{adapter}' has no layer '{HEAD}'.",
                         "Train the reward model again.")
    return shapes[0][0]
