"""What a dataset's columns mean: recognised by their names and values, or named by the registry.

The rules are in ``shapes_chat``, ``shapes_pairs``, ``shapes_preference`` and ``shapes_texts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from trainer.data.reading.entry import Columns, DatasetEntry, Tags
from trainer.data.reading.rows import Row, RowProblem, listed
from trainer.data.shapes.late import with_late
from trainer.data.shapes.mapping import KINDS, ColumnMap, Kind, Shape, shape_from_mapping
from trainer.data.shapes.paths import parse_path
from trainer.data.shapes.recognise_chat import chat, other_chat
from trainer.data.shapes.recognise_pairs import INSTRUCTIONS, PROBLEMS, QUESTIONS, kto, pair
from trainer.data.shapes.recognise_preference import preference
from trainer.data.shapes.recognise_texts import (
    classification,
    is_single_turn,
    lone_prompt,
    prompt_with_reference,
    question_with_reference,
    text,
)
from trainer.data.shapes.sample import Sample
from trainer.data.shapes.turns import looks_like_turns

__all__ = ["CLASS_ROWS", "SAMPLED_ROWS", "ColumnMap", "Kind", "Shape", "from_entry",
           "needed_names", "recognise", "shape_from_mapping"]
SAMPLED_ROWS = 200
NO_ROW = "no row could be read"
CLASS_ROWS = 50_000
_WANTED = ("Columns such as 'instruction' and 'output', 'question' and 'answer', 'prompt' and "
           "'completion', 'messages', 'conversations', 'chosen' and 'rejected', 'text' and "
           "'label', or 'text' are needed")
_NESTED, _BROKEN = 0.8, 0.3
# Of tables with very many columns fewer rows are looked at.
_WIDE, _WIDE_ROWS = 500, 20
_SURE_RULES: tuple[Callable[[Sample], Shape | None], ...] = (
    kto, preference, prompt_with_reference, chat, pair, other_chat, question_with_reference)


def recognise(rows: Iterable[Row | RowProblem]) -> Shape:
    """Recognise the shape from the first rows; kind ``unknown`` says what would be needed.

    The first SAMPLED_ROWS rows tell it; LATE_ROWS more are only asked for optional columns, and of
    a classification up to CLASS_ROWS for the names of all classes.
    """
    source = iter(rows)
    items = list(islice(source, SAMPLED_ROWS))
    known = [row.values for row in items if isinstance(row, Row)]
    sample = Sample(known[:_WIDE_ROWS] if known and len(known[0]) > _WIDE else known)
    if not sample.rows:
        broken = next((item.message for item in items if isinstance(item, RowProblem)), "")
        return Shape("unknown", ColumnMap(), f"{NO_ROW}. {broken}".rstrip(" ."), 0.0)
    found = _recognised(sample, source) or _of_broken(sample)
    if found is None:
        return Shape("unknown", ColumnMap(), _why_unknown(sample), 0.0)
    if len(sample.names) <= _WIDE:
        found = with_late(found, sample, source)
    return replace(found, confidence=round(found.confidence, 3), unused=_unused(sample, found))


def _recognised(sample: Sample, source: Iterator[Row | RowProblem]) -> Shape | None:
    """Try the rules on the columns, then on what is inside them; the sure ones first."""
    for rule in _SURE_RULES:
        if found := rule(sample):
            return found
    opened = sample.opened()
    for rule in _SURE_RULES:
        if found := rule(opened):
            return _nested(found, opened)

    def more() -> Iterator[dict[str, Any]]:
        return (row.values for row in islice(source, CLASS_ROWS) if isinstance(row, Row))

    found = classification(sample, more) or lone_prompt(sample) or text(sample)
    if found:
        return found
    found = lone_prompt(opened) or text(opened)
    return _nested(found, opened) if found else None


def _of_broken(sample: Sample) -> Shape | None:
    """Try the sure rules on rows of which most are broken: their errors say more than 'unknown'."""
    lenient = Sample(sample.rows, lenient=True)
    found = next((shape for rule in _SURE_RULES if (shape := rule(lenient))), None)
    if found is None:
        return None
    return replace(found, confidence=found.confidence * _BROKEN,
                   reason=f"{found.reason}; but most rows hold something else there")


def _nested(shape: Shape, opened: Sample) -> Shape:
    """Return a shape of nested columns, less sure; a list of several loses all but the first."""
    lists = {name.partition("[")[0] for name in shape.mapping.paths if "[0]" in name}
    several = [name for name in lists if opened.most(name, lambda v: len(v) > 1)]
    if not several:
        return replace(shape, confidence=shape.confidence * _NESTED)
    return replace(shape, confidence=shape.confidence * 0.4,
                   reason=f"{shape.reason}; of each list in {listed(several)} only the first item "
                          "is used")


def _unused(sample: Sample, shape: Shape) -> tuple[str, ...]:
    """Return the columns that nothing reads."""
    named = shape.mapping.columns.model_dump(exclude_none=True).values()
    used = {str(step) for name in named for step in parse_path(name)[:1]} | set(named)
    return tuple(name for name in sample.names if name not in used)


def from_entry(entry: DatasetEntry) -> Shape:
    """Return the shape that a registry entry names.

    With a ``_kind`` the entry is a person's mapping, written by us: the same as
    ``shape_from_mapping``. Else it is LLaMA-Factory's, and role names besides its tags are unknown.
    """
    if kind := next((kind for kind in KINDS if kind == entry.kind), None):
        named = ColumnMap(entry.columns or Columns(), entry.tags or Tags(),
                          classes=tuple(entry.classes or ()))
        return Shape(kind, named, "the registry says so", 1.0)
    kind = _kind_of_entry(entry)
    unused = (("messages",) if entry.formatting == "alpaca"
              else ("prompt", "query", "response", "history"))
    columns = entry.resolved_columns().model_copy(update=dict.fromkeys(unused))
    mapping = ColumnMap(columns, entry.resolved_tags(), aliases=False,
                        classes=tuple(entry.classes or ()))
    return Shape(kind, mapping, "the registry says so", 1.0)


def _kind_of_entry(entry: DatasetEntry) -> Kind:
    columns = entry.resolved_columns()
    if columns.kto_tag:
        return "kto"
    if entry.ranking or (columns.chosen and columns.rejected):
        return "preference"
    if columns.reference:
        return "prompt_only"
    if entry.formatting != "alpaca":
        return entry.formatting
    if columns.label:
        return "classification"
    return "alpaca" if columns.response or not columns.prompt else "text"


def needed_names(shape: Shape) -> dict[str, str | None]:
    """Return what a registry entry of this shape has to name, by its keys, as it names it."""
    columns, tags = shape.mapping.columns, shape.mapping.tags
    needed: dict[str, str | None] = {}
    if shape.kind in ("openai", "sharegpt") or columns.messages:
        needed["columns.messages"] = columns.messages
        if not (shape.mapping.aliases or (tags.user_tag and tags.assistant_tag
                                          and tags.role_tag is None)):
            needed["tags.role_tag"], needed["tags.content_tag"] = tags.role_tag, tags.content_tag
    pairs = ("alpaca", "prompt_completion", "question_answer")
    if shape.kind in (*pairs, "text", "classification") or (
            shape.kind in ("kto", "prompt_only") and not columns.messages):
        needed["columns.prompt"] = columns.prompt
    if shape.kind in pairs or (shape.kind == "kto" and not columns.messages):
        needed["columns.response"] = columns.response
    if shape.kind in ("preference", "hh_rlhf"):
        needed["columns.chosen"], needed["columns.rejected"] = columns.chosen, columns.rejected
    if shape.kind == "kto":
        needed["columns.kto_tag"] = columns.kto_tag
    if shape.kind == "prompt_only":
        needed["columns.reference"] = columns.reference
    if shape.kind == "classification":
        needed["columns.label"] = columns.label
    return needed


def _why_unknown(sample: Sample) -> str:
    nested = [name for name in sample.names[:_WIDE]
              if sample.most(name, lambda v: isinstance(v, list) and bool(v)
                             and isinstance(v[0], dict) and not looks_like_turns(v))]
    turns = [name for name in sample.names[:_WIDE] if sample.most(name, looks_like_turns)]
    bare = [name for name in sample.names[:_WIDE] if not any(True for _ in sample.values(name))]
    tree = is_single_turn(sample)
    hints = [f"; {listed(bare)} is null in every row looked at" if bare else "",
             f"; {listed(nested)} holds lists of objects: write one row for each of them"
             if nested else "",
             f"; {listed(turns)} hold turns: say which is meant, with a mapping"
             if len(turns) > 1 else "",
             "; each row seems to be one message of a conversation: write one row for each "
             "conversation, with its messages in a list" if tree else "",
             _half(sample)]
    return f"the columns are {listed(sample.names)}. {_WANTED}{''.join(hints)}"


def _half(sample: Sample) -> str:
    """Say which half of a pair is there without the other."""
    for one, other in (("chosen", "rejected"), ("rejected", "chosen")):
        if (name := sample.find((one,))) and not sample.find((other,)):
            return f"; '{name}' has no '{other}' beside it"
    prompts = (*INSTRUCTIONS, *QUESTIONS, *PROBLEMS, "prompt", "input")
    if name := sample.find(prompts, lambda value: isinstance(value, str)):
        answers = ("answer", "response", "output", "completion", "label", "answerkey")
        if found := sample.find(answers, lambda value: isinstance(value, int | float)):
            return (f"; '{found}' would answer '{name}', but holds no text: write the answers as "
                    "text")
        return (f"; '{name}' seems to hold prompts, but no column is known to answer them: name "
                "it with a mapping")
    return ""
