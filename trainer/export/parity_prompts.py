"""What is asked in a parity check: eight prompts of the run's own data, or eight built-in ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Literal

from trainer.contract.config import DatasetUse, RunConfig
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.messages import Example, Message
from trainer.data.templates.sandbox import TemplateError
from trainer.prompts import Prompter

COUNT = 8
# Rows that are looked at, and tokens that a prompt may have: a check is to be quick.
_LOOK_AT = 100
_LONGEST = 1024
_BEGINNING = 120
BUILT_IN = Path(__file__).with_name("parity_prompts.json")


@dataclass(frozen=True)
class Prompt:
    """What is asked: messages with tools, or the beginning of a text where there are none.

    ``ids`` are its tokens as the trained model reads them.
    """

    document: Mapping[str, Any]
    ids: Sequence[int]

    @property
    def text(self) -> str:
        """What is shown of it: the last message, or the text."""
        messages = self.document.get("messages")
        return str(messages[-1]["content"] if messages else self.document["text"])


@dataclass(frozen=True)
class Reader:
    """Makes tokens of prompts as training does.

    ``encode`` takes plain text; ``prompter`` renders conversations in a process of its own, None
    where a model has no chat template.
    """

    prompter: Prompter | None
    tokenizer: Any

    def read(self, messages: Sequence[Mapping[str, Any]],
             tools: list[dict[str, Any]] | None = None) -> Prompt | None:
        """Return a conversation as a prompt; None if it is none, or the template refuses it.

        Raises:
            DatasetError: The process that renders cannot work.
        """
        if self.prompter is None:
            return self.go_on(str(messages[-1].get("content") or ""))
        document = {"messages": [dict(message) for message in messages], "tools": tools}
        try:
            for message in messages:
                Message.of(message)
        except ValueError:
            return None
        try:
            return Prompt(document, self.prompter.encode([document])[0])
        except TemplateError:
            return None
        except DatasetError as error:
            if error.code.startswith("worker_"):
                raise
            return None

    def go_on(self, text: str) -> Prompt | None:
        """Return the beginning of a text as a prompt; None without a word."""
        cut = text[:_BEGINNING].rpartition(" ")[0] if len(text) > _BEGINNING else text
        ids = self.tokenizer.encode(cut).ids if cut.strip() else []
        return Prompt({"text": cut}, ids) if ids else None


def choose(config: RunConfig | None, reader: Reader,
           given: Sequence[list[dict[str, Any]]] | None = None, *,
           count: int = COUNT) -> tuple[list[Prompt], str]:
    """Return what is asked, and where it comes from.

    Args:
        config: Of the run; None where there is none.
        reader: Makes tokens of it.
        given: Conversations to ask in place of the run's own.
        count: How many of the run's own are asked.
    """
    if given is not None:
        found = [reader.read(messages) for messages in given]
        return [prompt for prompt in found if prompt], "the caller"
    for name, rows in _own(config, reader) if config else ():
        mixed = (prompt for some in zip_longest(*rows) for prompt in some if prompt)
        if kept := _distinct(mixed, count):
            return kept, name
    built_in = json.loads(BUILT_IN.read_text(encoding="utf-8"))
    asked = (prompt for prompt in map(reader.read, built_in) if prompt)
    return _distinct(asked, count), "the built-in ones"


def _own(config: RunConfig,
         reader: Reader) -> Iterator[tuple[str, list[Iterator[Prompt]]]]:
    """Yield the prompts of a run's datasets, of those that it is measured on first."""
    home = os.environ.get("FINESTRA_HOME")
    splits: tuple[tuple[Literal["eval", "train"], str], ...] = (
        ("eval", "held-out rows"), ("train", "training rows"))
    for split, name in splits:
        yield name, [_prompts(config, use, reader, Path(home) if home else None)
                     for use in config.data.uses(split)]


def _distinct(prompts: Iterator[Prompt], count: int) -> list[Prompt]:
    kept: dict[tuple[int, ...], Prompt] = {}
    for prompt in prompts:
        if len(prompt.ids) <= _LONGEST:
            kept.setdefault(tuple(prompt.ids), prompt)
        if len(kept) == count:
            break
    return list(kept.values())


def _prompts(config: RunConfig, use: DatasetUse, reader: Reader,
             home: Path | None) -> Iterator[Prompt]:
    """Yield the prompts of a dataset's first rows; none when it is not here any more."""
    from trainer.questions import prompt_and_answer

    for example in islice(rows_if_any(config, use, home), _LOOK_AT):
        if config.facts.rows == "text":
            prompt = reader.go_on(example.text)
        else:
            messages, _ = prompt_and_answer(example, config.facts.rows)
            prompt = reader.read([one.document() for one in messages], example.tools)
        if prompt:
            yield prompt


def rows_if_any(config: RunConfig, use: DatasetUse, home: Path | None) -> Iterator[Example]:
    """Yield the first rows of a dataset, as the run learned them; none when it is gone."""
    with suppress(DatasetError, OSError):
        yield from _examples(config, use, home)


def _examples(config: RunConfig, use: DatasetUse, home: Path | None) -> Iterator[Example]:
    from trainer.data.checking.check import convert_rows
    from trainer.data.shapes.uses import Use
    from trainer.data.tokens.request import Source

    source = Source(use.name, home, use.subset, use.split, use.revision)
    spec = source.spec()
    shape = source.shape(spec)
    for row in convert_rows(spec, shape, max_samples=2 * _LOOK_AT):
        if isinstance(row, Example):
            yield Use(shape, config.facts.rows).parts(row)[0]
