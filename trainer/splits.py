"""The data stages: every dataset as tokens, held-out rows, the mixture, the questions to ask."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainer import leaks
from trainer.classes import check_classes, find_classes
from trainer.context import Context
from trainer.contract.config import OBJECTIVES, RunConfig
from trainer.contract.events import DataEvent
from trainer.data.children.workers import DataWorker, Limits
from trainer.evaluate import Question
from trainer.failures import Failure
from trainer.prompts import Prompter, Template
from trainer.questions import make_fixed, make_questions
from trainer.tokens import Rows, SplitName, TokenSet, prepare_all, total
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from trainer.data.tokens.tokenize import Counts

WORKER_MIB = 8192


@dataclass(frozen=True)
class Split:
    """Token rows as TRL's collators read them (a datasets.Dataset), and how long each is.

    ``tokens.COLUMNS`` says which columns rows of each kind have. They lie in files that are
    mapped into memory.
    """

    dataset: Any = None
    lengths: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)


@dataclass(frozen=True)
class Splits:
    """Everything that training reads.

    ``sources`` describes the datasets for the manifest; ``sets`` keeps their files from being
    removed. ``classes`` are the names of what texts are told apart by, in the order of ``label``.
    ``fixed`` are the user's own prompts.
    """

    train: Split
    eval: Split
    questions: list[Question]
    sources: list[dict[str, Any]]
    template: Template
    sets: tuple[TokenSet, ...] = ()
    classes: list[str] = field(default_factory=list)
    fixed: list[Question] = field(default_factory=list)


def load_splits(context: Context, bench: Workbench) -> Splits:
    """Read and tokenise training and evaluation data.

    Raises:
        DatasetError: A dataset is missing, does not fit the objective, or has bad rows.
        TemplateError: The chat template cannot be used.
        Failure: Nothing is left to train on.
    """
    config, folder = context.config, bench.base.folder
    with DataWorker(Limits(memory_mib=WORKER_MIB)) as worker:
        prompter = Prompter(folder, config.data.template, worker)
        template = _describe(context, prompter)
        train = prepare_all(context, folder, worker, "train")
        held = prepare_all(context, folder, worker, "eval")
        _require_rows(config, train)
        train_rows, held_rows = _divided(context, train, held)
        leaks.warn(context, train_rows, held_rows)
        train_rows = mix(context, train_rows)
        _say(context, train_rows, "train", less=0 if held else len(held_rows))
        if len(held_rows):
            _say(context, held_rows, "eval")
        questions = make_questions(config, held_rows, prompter, bench.tokenizer)
        fixed = make_fixed(config, prompter, bench.tokenizer)
    return Splits(_split(train_rows), _split(_to_measure(config, held_rows)), questions,
                  [one.source for one in (*train, *held)], template, (*train, *held),
                  list(train_rows.classes), fixed)


def _divided(context: Context, train: Sequence[TokenSet],
             held: Sequence[TokenSet]) -> tuple[Rows, Rows]:
    """Return the rows to learn from and those to measure, which may be some of the first."""
    config = context.config
    rows = Rows.of(train, config.objective)
    _require_trained(rows)
    if config.facts.rows == "labelled":
        rows = replace(rows, classes=find_classes(context, rows))
    held_rows = replace(Rows.of(held, config.objective), classes=rows.classes) if held \
        else rows.pick([])
    if not held and config.data.val_size > 0:
        rows, held_rows = split_off(rows, config.data.val_size, config.training.seed)
    if config.facts.rows == "labelled":
        check_classes(context, rows, held_rows)
    return rows, held_rows


def _describe(context: Context, prompter: Prompter) -> Template:
    """Say which chat template is used, and how it is known what is learned of it."""
    context.emit.stage("reading", "Looking at the chat template")
    if not context.config.facts.templated:
        return prompter.describe_if_any()
    template = prompter.describe()
    own = "the tokenizer's own" if template.is_own else f"{template.name}, as asked"
    context.emit.choose("data.template", template.name, f"{own}. {template.reason}")
    return template


def split_off(rows: Rows, size: float, seed: int) -> tuple[Rows, Rows]:
    """Take a validation split out, chosen by the seed; order of rows is kept.

    Both answers of a pair that is judged stay together: they count as one row.

    Args:
        rows: All rows.
        size: Below 1 a share, else a number of rows.
        seed: The run's seed.

    Raises:
        Failure: Nothing would be left to train on.
    """
    groups = rows.groups()
    whole = len(groups)
    count = max(1, round(whole * size)) if size < 1 else int(size)
    if count >= whole:
        raise Failure("val_size", f"A validation split of {count:,} leaves nothing of "
                      f"{whole:,} rows to train on.", "Make data.val_size smaller.")
    chosen = set(random.Random(f"split:{seed}").sample(range(whole), count))
    return (rows.pick([i for n, group in enumerate(groups) if n not in chosen for i in group]),
            rows.pick([i for n in sorted(chosen) for i in groups[n]]))


def mix(context: Context, rows: Rows) -> Rows:
    """Put several training sets together as the config says; one set stays as it is."""
    if len(rows.sets) < 2:
        return rows
    from trainer.data.tokens.mix import mixed_order

    data, counts = context.config.data, rows.counts()
    weights = [one.use.weight for one in rows.sets]
    order = list(mixed_order(counts, weights, data.mix_strategy, context.config.training.seed))
    mixed = rows.pick(order)
    shares = ", ".join(f"{one.name}: {count:,} / {len(mixed):,} ({count / len(mixed):.0%})"
                       for one, count in zip(rows.sets, mixed.counts(), strict=True))
    context.emit.choose("data.mix_strategy", data.mix_strategy, shares)
    return mixed


def _split(rows: Rows) -> Split:
    return Split(rows.dataset(), rows.lengths()) if len(rows) else Split()


def _to_measure(config: RunConfig, rows: Rows) -> Rows:
    """Order rows that are only measured: longest first, for less padding.

    KTO compares the rows of a batch, so there desired and undesired answers stay mixed.
    """
    order = list(range(len(rows)))
    if config.facts.rows == "judged":
        random.Random(f"measure:{config.training.seed}").shuffle(order)
    else:
        lengths = rows.lengths()
        order.sort(key=lambda i: -lengths[i])
    return rows.pick(order)


def _say(context: Context, rows: Rows, split: SplitName, *, less: int = 0) -> None:
    """Emit what became of the rows; ``less`` of them were taken for the other split."""
    counts = total(rows.sets) if split == "train" or rows.sets[0].split == "eval" else None
    read = {"rows": len(rows)} if counts is None else {
        "rows": counts.rows - less, "bad_rows": counts.bad_rows + counts.refused,
        "dropped": counts.dropped, "filtered": counts.filtered, "duplicates": counts.duplicates}
    context.emit(DataEvent(split=split, used=len(rows), cut=rows.sum("cut"),
                           tokens=rows.sum("length"), trained_tokens=rows.sum("trained"),
                           max_tokens=max(rows.lengths()), **read))


def _require_rows(config: RunConfig, sets: Sequence[TokenSet]) -> None:
    counts: Counts = total(sets)
    if counts.blocks:
        return
    left_out = {"longer than data.max_length": counts.dropped, "filtered out": counts.filtered,
                "duplicates": counts.duplicates, "bad": counts.bad_rows + counts.refused}
    said = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
    raise Failure("no_rows_left", f"None of the {counts.rows:,} rows is left: {said}. Overlong "
                  f"means more than {config.data.max_length:,} tokens.",
                  "Raise data.max_length, let overlong rows be cut (cut_turns), or loosen the "
                  "filters.")


def _require_trained(rows: Rows) -> None:
    """Refuse rows of which nothing is learned; of prompts and texts with a class no token is."""
    if OBJECTIVES[rows.objective].rows in ("prompts", "labelled"):
        return
    if not rows.sum("trained"):
        raise Failure("no_trained_tokens", f"None of the {rows.sum('length'):,} tokens is "
                      "trained: what the assistant says is empty or was cut off.",
                      "Look at the data, the chat template and data.max_length.")
