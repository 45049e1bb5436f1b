"""Texts like those that a model was trained on, for methods that look at some while quantizing."""

from __future__ import annotations

import json
import os
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from trainer.contract.config import RunConfig
from trainer.data.shapes.messages import Example
from trainer.export.errors import ExportError
from trainer.export.parity_prompts import Reader, rows_if_any
from trainer.prompts import Prompter


def write_texts(config: RunConfig, folder: Path, target: Path, count: int) -> Path:
    """Write rows of a run's training data as the model reads them, a JSON object a line.

    Args:
        config: Of the run.
        folder: The model, whose tokenizer and chat template are taken.
        target: The file to write.
        count: At most so many rows.

    Raises:
        ExportError: None of the data is on this machine any more ('texts_missing').
        TemplateError: The chat template cannot be used.
    """
    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    home = os.environ.get("FINESTRA_HOME")
    with Prompter(folder, config.data.template) as prompter:
        is_chat = bool(prompter.describe_if_any().source) and config.facts.rows != "text"
        reader = Reader(prompter if is_chat else None, tokenizer)
        rows = chain.from_iterable(rows_if_any(config, use, Path(home) if home else None)
                                   for use in config.data.uses("train"))
        found = islice((text for row in rows if (text := _text(config, row, reader, tokenizer))),
                       count)
        lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in found]
    if not lines:
        raise ExportError("texts_missing", "The data that the run was trained on is not here any "
                          "more, and this method looks at it while it quantizes.",
                          "Put it back, or choose fp8 or int8, which need none.")
    target.write_text("".join(lines), encoding="utf-8")
    return target


def _text(config: RunConfig, row: Example, reader: Reader, tokenizer: Any) -> str:
    """Return a row's prompt with its answer, in the words of the template."""
    from trainer.questions import prompt_and_answer

    if config.facts.rows == "text":
        return row.text
    messages, answer = prompt_and_answer(row, config.facts.rows)
    prompt = reader.read([one.document() for one in messages], row.tools)
    if prompt is None:
        return ""
    return str(tokenizer.decode(list(prompt.ids), skip_special_tokens=False)) + (answer or "")
