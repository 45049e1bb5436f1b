"""The metrics of an evaluation: those that its config names, else those that its data ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.contract.consent import metric_problems
from trainer.contract.kinds.evaluate import MetricUse
from trainer.failures import Failure
from trainer.rewards.json_schema import read_schema
from trainer.scoring import make
from trainer.scoring.embedding import Embed
from trainer.scoring.numeric import right_number
from trainer.scoring.scores import Metric
from trainer.scoring.structured import is_json

if TYPE_CHECKING:
    from trainer.evaluation.seam import Ask

SHORT = 5


@dataclass(frozen=True)
class Context:
    """What metrics need from outside: what makes the vectors of a model that a use names."""

    embed: Callable[[str], Embed] | None = None


@dataclass(frozen=True)
class Chosen:
    """A metric that the data ask for, and why."""

    use: MetricUse
    reason: str


def build(uses: Sequence[MetricUse], context: Context | None = None) -> list[Metric]:
    """Make the metrics that a config names.

    Raises:
        Failure: A package is missing (it says which extra has it), nobody has consented to code,
            an option cannot be used.
    """
    for problem in metric_problems(uses):
        raise Failure(problem.code, problem.message, problem.advice)
    return [make(use.name, **_options(use, context or Context())) for use in uses]


def _options(use: MetricUse, context: Context) -> dict[str, Any]:
    """Return what a metric is made with: a schema is read, a model becomes its vectors."""
    options = use.options()
    if "json_schema" in options:
        options["schema"] = read_schema(options.pop("json_schema"))
    if use.name == "embedding" and context.embed is not None:
        options["embed"] = context.embed(options["model"])
    return options


def chosen_for(asks: Sequence[Ask]) -> list[Chosen]:
    """Return the metrics that rows of one dataset ask for; none when nothing tells what is right.

    A part of the rows may ask for one metric and a part for another: each scores its own.
    """
    found = [Chosen(MetricUse(name=name), reason) for name, reason, fits in _OF_ROWS
             if any(map(fits, asks))]
    texts = [text for ask in asks if ask.messages and _answered_by_text(ask)
             for text in ask.references if text.strip()]
    if texts:
        found += _of_texts(texts)
    return found


def _of_texts(texts: Sequence[str]) -> list[Chosen]:
    """Return the metrics for answers that are text; ``texts`` are all references."""
    for name, reason, fits in _OF_REFERENCES:
        if all(map(fits, texts)):
            return [Chosen(MetricUse(name=name), reason)]
    return [Chosen(MetricUse(name="rouge"), "the references are texts: shared words count"),
            Chosen(MetricUse(name="chrf"), "the references are texts: shared letters count, in any "
                   "language")]


def _answered_by_text(ask: Ask) -> bool:
    return not (ask.choices or ask.expected_calls or ask.label)


def _is_document(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[", "`") and is_json(text)


_OF_ROWS: tuple[tuple[Any, str, Callable[[Ask], bool]], ...] = (
    ("multiple_choice", "the rows have choices", lambda ask: bool(ask.choices)),
    ("tool_calls", "the rows say which tools are to be called",
     lambda ask: ask.expected_calls is not None),
    ("classification", "the rows have a class", lambda ask: bool(ask.label)),
    ("likelihood", "the rows are texts that answer no question", lambda ask: not ask.messages))
_OF_REFERENCES: tuple[tuple[Any, str, Callable[[str], bool]], ...] = (
    ("numeric", "every reference is a number, or ends in one after ####",
     lambda text: right_number(text) is not None),
    ("json", "every reference is JSON", _is_document),
    ("exact_match", f"every reference is short, {SHORT} words or fewer",
     lambda text: len(text.split()) <= SHORT and len(text) <= 60))
