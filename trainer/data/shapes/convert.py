"""From rows to the normal form, one small function for each shape."""

from __future__ import annotations

import json
from collections.abc import Callable

from trainer.data.reading.rows import DatasetError, Row, RowError, shown
from trainer.data.shapes.cells import (
    Values,
    need_text,
    optional_text,
    prompt_of,
    refuse_pictures,
    system_of,
    tools_of,
    turns_of,
)
from trainer.data.shapes.classify import class_name, instruction, verdict
from trainer.data.shapes.convert_pairs import convert_pair
from trainer.data.shapes.mapping import ColumnMap, Kind, Shape
from trainer.data.shapes.messages import Example, Message
from trainer.data.shapes.order import check_conversation, check_prompt, remarks_on
from trainer.data.shapes.paths import lift
from trainer.data.shapes.toolcalls import answer_as_calls
from trainer.data.shapes.turns import looks_like_turns, parse_turns


def convert(row: Row, shape: Shape) -> Example:
    """Convert one row; what is odd in it but usable is in the example's ``remarks``.

    Raises:
        RowError: The row lacks something, or says something that cannot be learned from.
    """
    mapping = shape.mapping
    if mapping.paths:
        row = Row(row.number, lift(row.values, mapping.paths))
    if mapping.pictures:
        refuse_pictures(row.values, mapping.pictures)
    return _CONVERTERS[shape.kind](row, mapping)


def _pair(row: Row, mapping: ColumnMap) -> Example:
    """Convert a prompt and its response; both may be lists of turns (TRL's form)."""
    values, columns = row.values, mapping.columns
    response = columns.response or ""
    messages = prompt_of(values, mapping)
    tools = tools_of(values, columns) if columns.tools else None
    answer, start = values.get(response), len(messages)
    if start != 1 or type(values.get(columns.prompt or "")) is not str:
        check_prompt(messages, columns.prompt or "", response)
    if type(answer) is not str and looks_like_turns(answer):
        messages += parse_turns(answer, response, mapping)
        check_conversation(messages, response, start=start)
    else:
        text = need_text(values, response)
        calls = answer_as_calls(text, tools, response) if tools else ()
        messages.append(Message("assistant", "" if calls else text, calls))
    return Example(row.number, messages, tools)


def _chat(row: Row, mapping: ColumnMap) -> Example:
    column = mapping.columns.messages or ""
    messages = turns_of(row.values, mapping, column)
    check_conversation(messages, column, calls_as_text=mapping.tags.role_tag == "from")
    remarks = remarks_on(row.values[column], messages, column)
    return Example(row.number, messages, tools_of(row.values, mapping.columns), remarks=remarks)


def _text(row: Row, mapping: ColumnMap) -> Example:
    column = mapping.columns.prompt or ""
    return Example(row.number, text=need_text(row.values, column))


def _prompt_only(row: Row, mapping: ColumnMap) -> Example:
    """Convert a prompt that nobody answers yet, and what would be right."""
    values, columns = row.values, mapping.columns
    messages = (turns_of(values, mapping, columns.messages) if columns.messages
                else prompt_of(values, mapping))
    check_prompt(messages, columns.messages or columns.prompt or "")
    reference = _reference(values, columns.reference) if columns.reference else ""
    return Example(row.number, messages, tools_of(values, columns), reference=reference)


def _reference(values: Values, column: str) -> str:
    """Return the right answer as text; numbers, lists and objects as JSON."""
    value = values.get(column)
    if isinstance(value, str) or value is None:
        return need_text(values, column)
    return json.dumps(value, ensure_ascii=False)


def _classification(row: Row, mapping: ColumnMap) -> Example:
    """Convert a text and its class to a question and an answer."""
    values, columns = row.values, mapping.columns
    name = class_name(values, columns.label or "", mapping.classes)
    asked = f"{instruction(mapping.classes)}\n\n{classified_text(values, mapping)}"
    messages = [*system_of(values, columns), Message("user", asked), Message("assistant", name)]
    return Example(row.number, messages)


def classified_text(values: Values, mapping: ColumnMap) -> str:
    """Return the text, or the two texts, that a class is of.

    Raises:
        RowError: There is none.
    """
    columns = mapping.columns
    texts = (need_text(values, columns.prompt or ""), optional_text(values, columns.query))
    return "\n\n".join(filter(None, texts))


def _kto(row: Row, mapping: ColumnMap) -> Example:
    column = mapping.columns.kto_tag or ""
    value = row.values.get(column)
    label = verdict(value)
    if label is None:
        raise RowError("label_not_boolean", column,
                       f"has {shown(value)} in '{column}', not true or false")
    example = (_chat if mapping.columns.messages else _pair)(row, mapping)
    return Example(row.number, example.messages, example.tools, label=label,
                   remarks=example.remarks)



def _unknown(row: Row, _: ColumnMap) -> Example:
    raise DatasetError("unknown_shape", f"Row {row.number} belongs to a dataset of unknown shape.",
                       "Recognise the dataset first.")


_CONVERTERS: dict[Kind, Callable[[Row, ColumnMap], Example]] = {
    "alpaca": _pair, "prompt_completion": _pair, "question_answer": _pair, "openai": _chat,
    "sharegpt": _chat, "text": _text, "kto": _kto, "preference": convert_pair,
    "hh_rlhf": convert_pair, "prompt_only": _prompt_only, "classification": _classification,
    "unknown": _unknown}
