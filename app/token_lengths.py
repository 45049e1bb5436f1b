"""How long a dataset's rows are in a model's tokens; for the command line, as its own user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from app.home import Home
from app.sources import cached_snapshot
from trainer.contract.models import resolve_model
from trainer.data import DataReport, DatasetError, DatasetSpec, examples
from trainer.data.chat import ChatTemplate
from trainer.data.encoder import Objective
from trainer.data.objectives import objectives_of
from trainer.data.sandbox import TemplateError
from trainer.data.tokenize import Encoder, Preparer, Tokenizer


def token_lengths(home: Home, spec: DatasetSpec, report: DataReport, *, model: str,
                  max_length: int) -> dict[str, int] | None:
    """Return p50, p95 and max of the rows' lengths, and how many are over ``max_length``.

    Args:
        home: Where runs are, whose ids may stand for models.
        spec: The dataset.
        report: What its check found; rows that cannot be used are left out.
        model: Whose tokenizer and chat template: as in ``model.name_or_path``.
        max_length: In tokens.

    Returns:
        None when no row can be rendered as a conversation.

    Raises:
        DatasetError: The model has no usable chat template, or is not on this machine.
    """
    objectives = objectives_of(report.shape.kind)
    if not objectives or not report.usable:
        return None
    folder = _folder(home, model)
    try:
        preparer = Preparer(Encoder(
            Tokenizer.from_folder(folder), ChatTemplate.from_folder(folder), sys.maxsize,
            objective=cast(Objective, objectives[0])), bad_rows="skip")
        rows = examples(spec, report, objective=objectives[0], bad_rows="skip")
        lengths = sorted(fitted.length for fitted in preparer.prepare(rows))
    except TemplateError as error:
        raise DatasetError(error.code, error.message, error.advice) from None
    return summary(lengths, max_length) if lengths else None


def summary(lengths: list[int], max_length: int) -> dict[str, int]:
    """Return percentiles (nearest rank) of sorted lengths, and how many are too long."""
    def rank(percent: int) -> int:
        return lengths[-(-percent * len(lengths) // 100) - 1]

    return {"p50": rank(50), "p95": rank(95), "max": lengths[-1],
            "over_max_length": sum(length > max_length for length in lengths)}


def _folder(home: Home, model: str) -> Path:
    source = resolve_model(model, home.runs)
    folder = Path(source.base) if source.is_folder else cached_snapshot(source.base, None)
    if folder is None:
        raise DatasetError("model_not_here", f"The model '{model}' is not on this machine.",
                           "Name a folder with its tokenizer, or download it first.")
    return folder
