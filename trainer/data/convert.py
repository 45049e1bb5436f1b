"""From rows to the normal form, one small function for each shape."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from trainer.data.classify import class_name, instruction
from trainer.data.entry import Columns
from trainer.data.mapping import ColumnMap, Kind, Shape
from trainer.data.messages import Example, Message
from trainer.data.order import check_completion, check_conversation, check_prompt
from trainer.data.paths import lift
from trainer.data.rows import DatasetError, Row, RowError, shown
from trainer.data.toolcalls import parse_tools
from trainer.data.turns import as_list, looks_like_turns, parse_text, parse_turns

_HH_TURN = re.compile(r"\n\n(Human|Assistant):")
_Values = dict[str, Any]


def convert(row: Row, shape: Shape) -> Example:
    """Convert one row.

    Raises:
        RowError: The row lacks something, or says something that cannot be learned from.
    """
    mapping = shape.mapping
    if mapping.paths:
        row = Row(row.number, lift(row.values, mapping.paths))
    return _CONVERTERS[shape.kind](row, mapping)


def _pair(row: Row, mapping: ColumnMap) -> Example:
    """Convert a prompt and its response; both may be lists of turns (TRL's form)."""
    values, columns = row.values, mapping.columns
    response = columns.response or ""
    prompt = _prompt(values, mapping)
    if looks_like_turns(values.get(response)):
        answer = parse_turns(values[response], response, mapping)
    else:
        answer = [Message("assistant", need_text(values, response))]
    messages = prompt + answer
    check_conversation(messages, response)
    return Example(row.number, messages, _tools(values, columns))


def _prompt(values: _Values, mapping: ColumnMap) -> list[Message]:
    """Return system, history and the user's turn, or the turns that the prompt column holds."""
    columns = mapping.columns
    prompt = columns.prompt or ""
    head = _system(values, columns)
    if looks_like_turns(values.get(prompt)):
        return head + parse_turns(values[prompt], prompt, mapping)
    query = _optional_text(values, columns.query)
    parts = [_optional_text(values, prompt), query] if query else [need_text(values, prompt)]
    text = "\n".join(part for part in parts if part)
    return [*head, *_history(values, columns), Message("user", text)]


def _system(values: _Values, columns: Columns) -> list[Message]:
    text = _optional_text(values, columns.system)
    return [Message("system", text)] if text else []


def _optional_text(values: _Values, column: str | None) -> str:
    """Return a cell's text, '' when it is missing, null or blank."""
    value = values.get(column) if column else None
    text = "" if value is None else parse_text(value, column or "")
    return text if text.strip() else ""


def need_text(values: _Values, column: str) -> str:
    """Return a cell's text; RowError when it is missing or blank."""
    if column not in values:
        raise RowError("missing_column", column, f"has no '{column}'")
    value = values[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        what = "null" if value is None else "no text"
        raise RowError("empty_text", column, f"has {what} in '{column}'")
    return parse_text(value, column)


def _history(values: _Values, columns: Columns) -> list[Message]:
    """Return earlier turns from a list of [user, assistant] pairs."""
    column = columns.history
    pairs = as_list(values.get(column)) if column else None
    if not pairs:
        return []
    messages: list[Message] = []
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        if not (isinstance(pair, list) and len(pair) == 2
                and all(isinstance(text, str) for text in pair)):
            raise RowError("wrong_type", column or "", f"has {shown(pair)} in '{column}', not a "
                           "pair of texts [user, assistant]")
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages


def _tools(values: _Values, columns: Columns) -> list[dict[str, Any]] | None:
    return parse_tools(values.get(columns.tools), columns.tools) if columns.tools else None


def _turns(values: _Values, mapping: ColumnMap, column: str) -> list[Message]:
    """Return the turns of a column, the system column's text before them."""
    if values.get(column) is None:
        what = "has null in" if column in values else "has no"
        raise RowError("missing_column", column, f"{what} '{column}'")
    messages = parse_turns(values[column], column, mapping)
    if messages[0].role == "system":
        return messages
    return _system(values, mapping.columns) + messages


def _chat(row: Row, mapping: ColumnMap) -> Example:
    column = mapping.columns.messages or ""
    messages = _turns(row.values, mapping, column)
    check_conversation(messages, column)
    return Example(row.number, messages, _tools(row.values, mapping.columns))


def _text(row: Row, mapping: ColumnMap) -> Example:
    return Example(row.number, text=need_text(row.values, mapping.columns.prompt or ""))


def _prompt_only(row: Row, mapping: ColumnMap) -> Example:
    """Convert a prompt that nobody answers yet, and what would be right."""
    values, columns = row.values, mapping.columns
    messages = (_turns(values, mapping, columns.messages) if columns.messages
                else _prompt(values, mapping))
    check_prompt(messages, columns.messages or columns.prompt or "")
    reference = reference_text(values, columns.reference) if columns.reference else ""
    return Example(row.number, messages, _tools(values, columns), reference=reference)


def reference_text(values: _Values, column: str) -> str:
    """Return the right answer as text; numbers, lists and objects as JSON.

    Raises:
        RowError: It is missing or blank.
    """
    value = values.get(column)
    if isinstance(value, str) or value is None:
        return need_text(values, column)
    return json.dumps(value, ensure_ascii=False)


def _classification(row: Row, mapping: ColumnMap) -> Example:
    """Convert a text and its class to a question and an answer."""
    values, columns = row.values, mapping.columns
    name = class_name(values, columns.label or "", mapping.classes)
    text = need_text(values, columns.prompt or "")
    query = _optional_text(values, columns.query)
    asked = f"{instruction(mapping.classes)}\n\n{text}" + (f"\n\n{query}" if query else "")
    messages = [*_system(values, columns), Message("user", asked), Message("assistant", name)]
    check_conversation(messages, columns.prompt or "")
    return Example(row.number, messages)


def _kto(row: Row, mapping: ColumnMap) -> Example:
    column = mapping.columns.kto_tag or ""
    label = row.values.get(column)
    if not isinstance(label, bool):
        raise RowError("label_not_boolean", column,
                       f"has {shown(label)} in '{column}', not true or false")
    rest = (_chat if mapping.columns.messages else _pair)(row, mapping)
    return Example(row.number, rest.messages, rest.tools, label=label)


def _preference(row: Row, mapping: ColumnMap) -> Example:
    values, columns = row.values, mapping.columns
    names = columns.chosen or "", columns.rejected or ""
    if columns.messages:
        prompt = _turns(values, mapping, columns.messages)
        answers = [_answer(values, name, mapping) for name in names]
    elif columns.prompt:
        prompt = _prompt(values, mapping)
        answers = [_answer(values, name, mapping) for name in names]
    else:
        whole = [_whole(values, name, mapping) for name in names]
        shared = _shared(*whole)
        prompt = _system(values, columns) + whole[0][:shared]
        answers = [turns[shared:] for turns in whole]
    return _checked_pair(Example(row.number, prompt, _tools(values, columns),
                                 answers[0], answers[1]), names)


def _answer(values: _Values, column: str, mapping: ColumnMap) -> list[Message]:
    """Return a chosen or rejected answer: a text, a turn, or a list with one turn."""
    value = values.get(column)
    if isinstance(value, dict) or looks_like_turns(value):
        return parse_turns(value, column, mapping)
    return [Message("assistant", need_text(values, column))]


def _whole(values: _Values, column: str, mapping: ColumnMap) -> list[Message]:
    """Return a whole conversation: turns, or hh-rlhf's string of them."""
    value = values.get(column)
    if isinstance(value, str):
        return split_human_assistant(value, column)
    return _turns(values, mapping, column)


def split_human_assistant(text: str, column: str) -> list[Message]:
    r"""Split ``\n\nHuman: ... \n\nAssistant: ...`` (the form of hh-rlhf) into turns.

    Raises:
        RowError: The text does not begin with a turn.
    """
    head, *parts = _HH_TURN.split("\n\n" + text.lstrip())
    if head.strip() or not parts:
        raise RowError("wrong_type", column, f"has {shown(text)} in '{column}', not turns that "
                       "begin with 'Human:' and 'Assistant:'")
    return [Message("user" if name == "Human" else "assistant", content.strip())
            for name, content in zip(parts[::2], parts[1::2], strict=True)]


def _shared(chosen: list[Message], rejected: list[Message]) -> int:
    """Return how many turns both conversations begin with, the last one never counted."""
    count = 0
    for a, b in zip(chosen[:-1], rejected[:-1], strict=False):
        if a != b:
            break
        count += 1
    return count


def _checked_pair(example: Example, names: tuple[str, str]) -> Example:
    prompt, (chosen, rejected) = example.messages, names
    if not prompt:
        raise RowError("no_shared_prompt", chosen,
                       f"has no prompt: '{chosen}' and '{rejected}' begin differently")
    check_prompt(prompt, chosen)
    check_completion(example.chosen, chosen)
    check_completion(example.rejected, rejected)
    if example.chosen == example.rejected:
        raise RowError("identical_pair", rejected, f"has the same answer in '{chosen}' and "
                       f"'{rejected}': there is nothing to learn")
    return example


def _unknown(row: Row, _: ColumnMap) -> Example:
    raise DatasetError("unknown_shape", f"Row {row.number} belongs to a dataset of unknown shape.",
                       "Recognise the dataset first.")


_CONVERTERS: dict[Kind, Callable[[Row, ColumnMap], Example]] = {
    "alpaca": _pair, "prompt_completion": _pair, "question_answer": _pair, "openai": _chat,
    "sharegpt": _chat, "text": _text, "kto": _kto, "preference": _preference,
    "prompt_only": _prompt_only, "classification": _classification,
    "hh_rlhf": _preference, "unknown": _unknown}
