"""The data stages: reading rows, tokenising them, and the questions to ask while training."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.context import Context
from trainer.contract.config import RunConfig
from trainer.contract.events import DataEvent, ProgressEvent
from trainer.contract.files import read_json
from trainer.data import registry
from trainer.data.chat import ChatTemplate
from trainer.data.check import check, examples
from trainer.data.messages import Example, Message
from trainer.data.tokenize import (
    Counts,
    Encoder,
    Fitted,
    FittedPair,
    FittedRow,
    Preparer,
    Tokenizer,
)
from trainer.evaluate import Question
from trainer.failures import Failure
from trainer.manifest import file_hash
from trainer.workbench import Workbench

SplitName = Literal["train", "eval"]


@dataclass
class Split:
    """Token rows as TRL's collators read them, and how long each is.

    SFT rows have ``input_ids`` and ``labels``, DPO rows ``prompt_ids``, ``chosen_ids`` and
    ``rejected_ids``.
    """

    rows: list[dict[str, list[int]]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Splits:
    """Everything that training reads.

    ``sources`` describes the datasets for the manifest, ``template`` is the chat template's
    source, ``eos_ids`` end an answer.
    """

    train: Split
    eval: Split
    questions: list[Question]
    sources: list[dict[str, str]]
    template: str
    eos_ids: tuple[int, ...]


@dataclass
class Raw:
    """Examples before they are tokens, with their dataset's name and the counts of rows."""

    examples: list[tuple[str, Example]] = field(default_factory=list)
    rows: int = 0
    bad_rows: int = 0


def load_splits(context: Context, bench: Workbench) -> Splits:
    """Read and tokenise training and evaluation data.

    Raises:
        DatasetError: A dataset is missing, does not fit the objective, or has bad rows.
        TemplateError: The chat template cannot be used.
        Failure: Nothing is left to train on.
    """
    data = context.config.data
    template = ChatTemplate.from_folder(bench.base.folder)
    tokenizer = Tokenizer.from_folder(bench.base.folder)
    sources: list[dict[str, str]] = []
    train = _read(context, data.names("train"), sources, "train")
    held = _read(context, data.names("eval"), sources, "eval")
    if not data.eval and data.val_size > 0:
        train, held = split_off(train, data.val_size, context.config.training.seed)
    context.emit.stage("tokenizing")
    train_split = _tokenize(context, train, tokenizer, template, "train")
    held_split = _tokenize(context, held, tokenizer, template, "eval")
    return Splits(train_split, by_length(held_split),
                  _questions(context.config, held.examples, tokenizer, template), sources,
                  template.source, find_eos(bench.base.folder, template, tokenizer))


def _read(context: Context, names: Sequence[str], sources: list[dict[str, str]],
          split: SplitName) -> Raw:
    """Read datasets one after the other and check every row."""
    data, home, raw = context.config.data, context.home, Raw()
    known = registry.load(home / "data" if home else None)
    limit = data.max_samples if split == "train" else None
    for name in names:
        context.emit.stage("reading", name)
        spec = known.resolve(name)
        report = check(spec, objective=context.config.objective, max_samples=limit)
        report.require(data.bad_rows)
        if report.bad_rows:
            context.emit.warn("bad_rows", f"{report.bad_rows:,} of {report.rows:,} rows of "
                              f"'{name}' are skipped: {report.problems[0].message}")
        raw.rows, raw.bad_rows = raw.rows + report.rows, raw.bad_rows + report.bad_rows
        raw.examples += [(spec.name, example) for example in examples(
            spec, report, objective=context.config.objective, bad_rows=data.bad_rows,
            max_samples=limit)]
        sources.append({"name": spec.name, "split": split, "sha256": file_hash(spec.path)})
    return raw


def split_off(raw: Raw, size: float, seed: int) -> tuple[Raw, Raw]:
    """Take a validation split out, chosen by the seed; order of rows is kept.

    Args:
        raw: All examples.
        size: Below 1 a share, else a number of rows.
        seed: The run's seed.

    Raises:
        Failure: Nothing would be left to train on.
    """
    total = len(raw.examples)
    count = max(1, round(total * size)) if size < 1 else int(size)
    if count >= total:
        raise Failure("val_size", f"A validation split of {count:,} leaves nothing of "
                      f"{total:,} rows to train on.", "Make data.val_size smaller.")
    chosen = set(random.Random(f"split:{seed}").sample(range(total), count))
    train = [item for i, item in enumerate(raw.examples) if i not in chosen]
    held = [item for i, item in enumerate(raw.examples) if i in chosen]
    return Raw(train, raw.rows - count, raw.bad_rows), Raw(held, count, 0)


def _tokenize(context: Context, raw: Raw, tokenizer: Tokenizer, template: ChatTemplate,
              split: SplitName) -> Split:
    """Tokenise examples with progress; says what was cut and dropped."""
    config = context.config
    if not raw.examples:
        return Split()

    def progress(done: int, total: int) -> None:
        context.emit(ProgressEvent(stage="tokenizing", done=done, total=total, unit="rows"))

    encoder = Encoder(tokenizer, template, config.data.max_length, config.data.overlong,
                      "dpo" if config.objective == "dpo" else "sft")
    preparer = Preparer(encoder, config.data.bad_rows)
    result = Split()
    source = (example for _, example in raw.examples)
    for fitted in preparer.prepare(source, total=len(raw.examples), progress=progress):
        result.rows.append(as_row(fitted))
        result.lengths.append(fitted.length)
    counts = preparer.counts
    context.emit(DataEvent(
        split=split, rows=raw.rows, used=counts.used, bad_rows=raw.bad_rows + counts.refused,
        cut=counts.cut, dropped=counts.dropped, tokens=counts.tokens,
        trained_tokens=counts.trained_tokens, max_tokens=counts.max_tokens))
    if split == "train":
        _require_something(config, counts)
    return result


def _require_something(config: RunConfig, counts: Counts) -> None:
    if not counts.used:
        raise Failure("no_rows_left", f"All {counts.dropped:,} rows are longer than "
                      f"{config.data.max_length:,} tokens and were dropped.",
                      "Raise data.max_length, or let overlong rows be cut (cut_turns).")
    if not counts.trained_tokens:
        raise Failure("no_trained_tokens", f"None of the {counts.tokens:,} tokens is trained: "
                      "what the assistant says is empty or was cut off.",
                      "Look at the data, the chat template and data.max_length.")


def as_row(fitted: Fitted) -> dict[str, list[int]]:
    """Return one example under the names of TRL's collators."""
    if isinstance(fitted, FittedPair):
        return {"prompt_ids": fitted.prompt_ids, "chosen_ids": fitted.chosen_ids,
                "rejected_ids": fitted.rejected_ids}
    assert isinstance(fitted, FittedRow)
    return {"input_ids": fitted.tokens.input_ids, "labels": fitted.tokens.labels}


def by_length(split: Split) -> Split:
    """Sort rows that are only measured, longest first: less padding."""
    order = sorted(range(len(split.rows)), key=lambda i: -split.lengths[i])
    return Split([split.rows[i] for i in order], [split.lengths[i] for i in order])


def _questions(config: RunConfig, held: Sequence[tuple[str, Example]], tokenizer: Tokenizer,
               template: ChatTemplate) -> list[Question]:
    """Return the held-out prompts that will be asked, with the right answers."""
    evaluation = config.evaluation
    wanted = evaluation.samples
    if evaluation.exact_match:
        wanted = len(held) if evaluation.limit is None else max(wanted, evaluation.limit)
    return [_question(name, example, tokenizer, template) for name, example in held[:wanted]]


def _question(name: str, example: Example, tokenizer: Tokenizer,
              template: ChatTemplate) -> Question:
    prompt: list[Message] = example.messages
    answer = example.chosen[-1:] if example.chosen else prompt[-1:]
    if not example.chosen:
        prompt = prompt[:-1]
    rendered = template.render(prompt, example.tools, add_generation_prompt=True)
    shown = next((m.content for m in reversed(prompt) if m.role == "user"), rendered.text)
    return Question(example.row, name, shown, answer[0].content,
                    tokenizer.encode(rendered).input_ids)


def find_eos(folder: Path, template: ChatTemplate, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the tokens that end an answer.

    First the special token that the template puts at the end of the assistant's turn, which a
    base's own generation config often lacks; then those of the generation config.
    """
    row = tokenizer.encode(template.render([Message("user", "a"), Message("assistant", "b")]))
    said = [label for label in row.labels if label >= 0]
    added: Any = (read_json(folder / "tokenizer.json") or {}).get("added_tokens") or []
    special = {token.get("id") for token in added if token.get("special")}
    found = [said[-1]] if said and said[-1] in special else []
    for name in ("generation_config.json", "config.json"):
        value: Any = (read_json(folder / name) or {}).get("eos_token_id")
        found += value if isinstance(value, list) else [value] if isinstance(value, int) else []
    if not found:
        raise Failure("eos_missing", "Neither the chat template nor the model's configs name a "
                      "token that ends an answer.", "Set eos_token_id in generation_config.json.")
    return tuple(dict.fromkeys(found))
