"""What a dataset's columns mean: recognised by their names and values, or named by the registry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from trainer.data.entry import OPENAI_TAGS, SHAREGPT_TAGS, Columns, DatasetEntry, Tags
from trainer.data.mapping import CLASSES, ColumnMap, Kind, Shape, shape_from_mapping
from trainer.data.rows import Row, RowProblem, listed
from trainer.data.sample import Sample, plain
from trainer.data.turns import looks_like_turns, reads_as_turns, role_names, turn_keys

__all__ = ["SAMPLED_ROWS", "ColumnMap", "Kind", "Shape", "from_entry", "needed_names",
           "recognise", "shape_from_mapping"]
SAMPLED_ROWS = 200
_TURN_COLUMNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat",
                 "turns")
_LABELS = ("label", "kto_tag", "desirable", "is_desired")
# (kind, prompt, response), the first pair that fits wins.
_PAIRS: tuple[tuple[Kind, str, str], ...] = (
    ("alpaca", "instruction", "output"), ("alpaca", "instruction", "response"),
    ("alpaca", "instruction", "answer"), ("alpaca", "instruction", "completion"),
    ("question_answer", "question", "answer"), ("question_answer", "question", "response"),
    ("question_answer", "query", "answer"), ("question_answer", "query", "response"),
    ("question_answer", "problem", "solution"), ("question_answer", "q", "a"),
    ("prompt_completion", "prompt", "completion"), ("prompt_completion", "prompt", "response"),
    ("prompt_completion", "prompt", "output"), ("prompt_completion", "prompt", "answer"),
    ("prompt_completion", "input", "output"), ("prompt_completion", "user", "assistant"),
    ("prompt_completion", "source", "target"), ("alpaca", "指令", "输出"),
    ("question_answer", "问题", "答案"), ("question_answer", "问题", "回答"),
)
_WANTED = ("Columns such as 'instruction' and 'output', 'question' and 'answer', 'prompt' and "
           "'completion', 'messages', 'conversations', 'chosen' and 'rejected', or 'text' are "
           "needed")


def recognise(rows: Iterable[Row | RowProblem]) -> Shape:
    """Recognise the shape from the first rows; kind ``unknown`` says what would be needed.

    Reads at most SAMPLED_ROWS rows from the iterator.
    """
    items = list(islice(rows, SAMPLED_ROWS))
    sample = Sample([row.values for row in items if isinstance(row, Row)])
    if not sample.rows:
        broken = next((item.message for item in items if isinstance(item, RowProblem)), "")
        return Shape("unknown", ColumnMap(), f"no row could be read. {broken}".rstrip(" ."), 0.0)
    for rule in (_kto, _preference, _chat, _pair, _text):
        if (shape := rule(sample)) is not None:
            return shape
    return Shape("unknown", ColumnMap(), _why_unknown(sample), 0.0)


def from_entry(entry: DatasetEntry) -> Shape:
    """Return the shape that a registry entry names.

    An entry with a ``_kind`` was written from a mapping that a person chose.

    Raises:
        DatasetError: ``mapping``: such an entry does not name what its kind needs.
    """
    if entry.kind:
        values = {**entry.resolved_columns().model_dump(exclude_none=True),
                  **(entry.tags or Tags()).model_dump(exclude_none=True),
                  CLASSES: json.dumps(entry.classes or ())}
        return replace(shape_from_mapping(values, entry.kind), reason="the registry says so")
    kind = _kind_of_entry(entry)
    unused = (("messages",) if entry.formatting == "alpaca"
              else ("prompt", "query", "response", "history"))
    columns = entry.resolved_columns().model_copy(update=dict.fromkeys(unused))
    mapping = ColumnMap(columns, entry.resolved_tags(), aliases=False)
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
        needed["tags.role_tag"], needed["tags.content_tag"] = tags.role_tag, tags.content_tag
    if shape.kind in ("alpaca", "text") or (shape.kind == "kto" and not columns.messages):
        needed["columns.prompt"] = columns.prompt
    if shape.kind == "alpaca" or (shape.kind == "kto" and not columns.messages):
        needed["columns.response"] = columns.response
    if shape.kind == "preference":
        needed["columns.chosen"], needed["columns.rejected"] = columns.chosen, columns.rejected
    if shape.kind == "kto":
        needed["columns.kto_tag"] = columns.kto_tag
    if shape.kind == "prompt_only":
        needed["columns.reference"] = columns.reference
    if shape.kind == "classification":
        needed["columns.label"] = columns.label
    return needed


def _kto(sample: Sample) -> Shape | None:
    label = sample.find(_LABELS, lambda value: isinstance(value, bool))
    if not label:
        return None
    rest = _chat(sample) or _pair(sample)
    if rest is None:
        return None
    mapping = ColumnMap(rest.mapping.columns.model_copy(update={"kto_tag": label}),
                        rest.mapping.tags)
    return Shape("kto", mapping, f"'{label}' says of each answer whether it is desired, beside "
                 f"{rest.reason}", rest.confidence)


def _preference(sample: Sample) -> Shape | None:
    chosen, rejected = sample.find(("chosen",)), sample.find(("rejected",))
    if not chosen or not rejected:
        return None
    found = f"columns '{chosen}' and '{rejected}' {sample.extent(chosen, rejected)}"
    share = sample.share(chosen, rejected)
    pair = {"chosen": chosen, "rejected": rejected}
    if sample.find((chosen,), _is_human_string):
        return Shape("hh_rlhf", ColumnMap(Columns(**pair)),
                     f"{found}, written as '\\n\\nHuman: ... \\n\\nAssistant: ...'", share)
    turns = sample.find(_TURN_COLUMNS, reads_as_turns)
    if turns:
        mapping = ColumnMap(Columns(messages=turns, **pair, **_extras(sample)),
                            _tags(sample, turns))
        return Shape("preference", mapping, f"{found} answer '{turns}'", share)
    if sample.find((chosen,), _is_whole_conversation):
        return Shape("preference", ColumnMap(Columns(**pair, **_extras(sample)),
                                             _tags(sample, chosen)),
                     f"{found} are whole conversations with one beginning", share)
    prompt = sample.find(("prompt", "instruction", "question", "query", "input"))
    if not prompt:
        return None
    columns = Columns(prompt=prompt, query=_query(sample, prompt), **pair, **_extras(sample))
    source = prompt if sample.find((prompt,), looks_like_turns) else chosen
    return Shape("preference", ColumnMap(columns, _tags(sample, source)),
                 f"{found} answer '{prompt}'", share)


def _chat(sample: Sample) -> Shape | None:
    column = (sample.find(_TURN_COLUMNS, reads_as_turns)
              or sample.find(tuple(sample.names), looks_like_turns))
    if not column or sample.find(("completion",), looks_like_turns):
        return None
    tags = _tags(sample, column)
    human = any({"human", "gpt"} & set(role_names(value, tags.role_tag or ""))
                for value in sample.values(column))
    kind: Kind = "sharegpt" if tags.role_tag == "from" or human else "openai"
    return Shape(kind, ColumnMap(Columns(messages=column, **_extras(sample)), tags),
                 f"column '{column}' {sample.extent(column)} holds turns with '{tags.role_tag}' "
                 f"and '{tags.content_tag}'", sample.share(column))


def _pair(sample: Sample) -> Shape | None:
    for kind, prompt_name, response_name in _PAIRS:
        prompt = sample.find((prompt_name,), _is_text_or_turns)
        response = sample.find((response_name,), _is_text_or_turns)
        if not prompt or not response:
            continue
        query = _query(sample, prompt)
        history = sample.find(("history",), lambda value: isinstance(value, list))
        columns = Columns(prompt=prompt, response=response, query=query,
                          history=history or None, **_extras(sample))
        also = f" (with '{query}' below the former)" if query else ""
        return Shape(kind, ColumnMap(columns, _tags(sample, prompt)),
                     f"columns '{prompt}' and '{response}'{also} "
                     f"{sample.extent(prompt, response)}", sample.share(prompt, response))
    return None


def _text(sample: Sample) -> Shape | None:
    column = sample.find(("text", "content", "document"), lambda value: isinstance(value, str))
    if not column and len(sample.names) == 1 and not _is_half_of_a_pair(sample.names[0]):
        column = sample.find(tuple(sample.names), lambda value: isinstance(value, str))
    if not column:
        return None
    known = column.lower() == "text"
    return Shape("text", ColumnMap(Columns(prompt=column)), f"column '{column}' "
                 f"{sample.extent(column)} holds plain text", sample.share(column)
                 * (1.0 if known else 0.5))


def _is_half_of_a_pair(name: str) -> bool:
    """Tell whether a column is one that never comes alone: a question without its answer."""
    return any(plain(name) in pair[1:] for pair in _PAIRS) or plain(name) in ("chosen", "rejected")


def _query(sample: Sample, prompt: str) -> str | None:
    """Return the column whose text goes below the prompt, as Alpaca's 'input' does."""
    found = sample.find(("input", "context", "输入"), lambda value: isinstance(value, str))
    return found if found and found != prompt else None


def _extras(sample: Sample) -> dict[str, str]:
    found = {"system": sample.find(("system", "system_prompt"), lambda v: isinstance(v, str)),
             "tools": sample.find(("tools", "functions"), lambda v: isinstance(v, str | list))}
    return {name: column for name, column in found.items() if column}


def _tags(sample: Sample, column: str) -> Tags:
    """Return the tags that the turns in a column use; none when there are no turns."""
    keys = next((keys for value in sample.values(column) if (keys := turn_keys(value))), None)
    if keys is None:
        return Tags()
    base = SHAREGPT_TAGS if keys[0] == "from" else OPENAI_TAGS
    return base.model_copy(update={"role_tag": keys[0], "content_tag": keys[1]})


def _is_text_or_turns(value: object) -> bool:
    return isinstance(value, str) or looks_like_turns(value)


def _is_human_string(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("Human:")


def _is_whole_conversation(value: Any) -> bool:
    """Tell whether turns begin with the prompt rather than with the answer."""
    return looks_like_turns(value) and len(value) > 1


def _why_unknown(sample: Sample) -> str:
    nested = [name for name in sample.names
              if sample.find((name,), lambda v: isinstance(v, list) and bool(v)
                             and isinstance(v[0], dict))]
    bare = [name for name in sample.names if not any(True for _ in sample.values(name))]
    hints = [f"; {listed(bare)} is null in every row looked at" if bare else "",
             f"; {listed(nested)} holds lists of objects: write one row for each of them"
             if nested else ""]
    return f"the columns are {listed(sample.names)}. {_WANTED}{''.join(hints)}"
