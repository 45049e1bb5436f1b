"""From preference pairs to a prompt and two answers."""

from __future__ import annotations

from typing import Any

from trainer.data.reading.rows import Row, RowError
from trainer.data.shapes.cells import Values, need_text, prompt_of, system_of, tools_of, turns_of
from trainer.data.shapes.mapping import ColumnMap
from trainer.data.shapes.messages import Example, Message
from trainer.data.shapes.order import check_completion, check_prompt
from trainer.data.shapes.turns import as_list, looks_like_turns, parse_turns, split_hh


def convert_pair(row: Row, mapping: ColumnMap) -> Example:
    """Convert a pair whose prompt has a column, or is what both conversations begin with.

    Raises:
        RowError: A side is missing or blank, both are the same, or nothing asks for them.
    """
    values, columns = row.values, mapping.columns
    chosen, rejected = columns.chosen or "", columns.rejected or ""
    if columns.messages:
        prompt = turns_of(values, mapping, columns.messages)
        sides = [_answer(values, name, mapping) for name in (chosen, rejected)]
    elif columns.prompt:
        prompt = prompt_of(values, mapping)
        sides = [_answer(values, name, mapping) for name in (chosen, rejected)]
    else:
        whole = [_whole(values, name, mapping) for name in (chosen, rejected)]
        shared = _shared(*whole)
        prompt = whole[0][:shared]
        if not prompt or prompt[0].role != "system":
            prompt = system_of(values, columns) + prompt
        sides = [turns[shared:] for turns in whole]
    example = Example(row.number, prompt, tools_of(values, columns), sides[0], sides[1])
    if not prompt:
        raise RowError("no_shared_prompt", chosen,
                       f"has no prompt: '{chosen}' and '{rejected}' begin differently")
    check_prompt(prompt, columns.messages or columns.prompt or chosen, chosen)
    _check(example, chosen, rejected)
    return example


def _answer(values: Values, column: str, mapping: ColumnMap) -> list[Message]:
    """Return an answer: a text, a turn, or a list with one of either."""
    value = values.get(column)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
        values = {column: value}
    if isinstance(value, dict) or looks_like_turns(value):
        return parse_turns(value, column, mapping)
    return [Message("assistant", need_text(values, column))]


def _whole(values: Values, column: str, mapping: ColumnMap) -> list[Message]:
    """Return a whole conversation: turns, or hh-rlhf's string of them."""
    value: Any = values.get(column)
    if isinstance(value, str) and not isinstance(as_list(value), list):
        return split_hh(value, column)
    if value is None:
        raise RowError("missing_column" if column not in values else "empty_text", column,
                       f"has {'no' if column not in values else 'null in'} '{column}'")
    return parse_turns(value, column, mapping)


def _shared(chosen: list[Message], rejected: list[Message]) -> int:
    """Return how many turns both conversations begin with, the last one never counted."""
    count = 0
    for a, b in zip(chosen[:-1], rejected[:-1], strict=False):
        if a != b:
            break
        count += 1
    return count


def _check(example: Example, chosen: str, rejected: str) -> None:
    check_completion(example.chosen, chosen)
    check_completion(example.rejected, rejected)
    if example.chosen == example.rejected:
        raise RowError("identical_pair", rejected, f"has the same answer in '{chosen}' and "
                       f"'{rejected}': there is nothing to learn")
