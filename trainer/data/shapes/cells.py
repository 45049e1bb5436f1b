"""What the cells of a row say: texts, prompts, history, system, tools."""

from __future__ import annotations

from typing import Any

from trainer.data.reading.entry import Columns
from trainer.data.reading.rows import RowError, shown
from trainer.data.shapes.mapping import ColumnMap
from trainer.data.shapes.messages import Message
from trainer.data.shapes.order import check_characters, check_conversation
from trainer.data.shapes.toolcalls import parse_tools
from trainer.data.shapes.turns import as_list, looks_like_turns, parse_text, parse_turns, split_hh

Values = dict[str, Any]
HH_STARTS = ("\n\nHuman:", "Human:")


def need_text(values: Values, column: str) -> str:
    """Return a cell's text.

    Raises:
        RowError: It is missing, blank, not text, or has half a character.
    """
    value = values.get(column)
    if type(value) is not str:
        if value is None:
            if column not in values:
                raise RowError("missing_column", column, f"has no '{column}'")
            raise RowError("empty_text", column, f"has null in '{column}'")
        value = parse_text(value, column)
    if not value or value.isspace():
        raise RowError("empty_text", column, f"has no text in '{column}'")
    if not value.isascii():
        check_characters(value, column)
    return value


def optional_text(values: Values, column: str | None) -> str:
    """Return a cell's text, '' when it is missing, null or blank.

    Raises:
        RowError: It is not text, or has half a character.
    """
    value = values.get(column) if column else None
    if value is None:
        return ""
    text = value if type(value) is str else parse_text(value, column or "")
    if not text.isascii():
        check_characters(text, column or "")
    return "" if text.isspace() else text


def system_of(values: Values, columns: Columns) -> list[Message]:
    """Return the system's turn, if the row has one."""
    text = optional_text(values, columns.system) if columns.system else ""
    return [Message("system", text)] if text else []


def tools_of(values: Values, columns: Columns) -> list[dict[str, Any]] | None:
    """Return the row's tools in OpenAI's form, None when it has none."""
    return parse_tools(values.get(columns.tools), columns.tools) if columns.tools else None


def prompt_of(values: Values, mapping: ColumnMap) -> list[Message]:
    """Return system, history and the user's turn, or the turns that the prompt column holds."""
    columns = mapping.columns
    prompt = columns.prompt or ""
    head = system_of(values, columns)
    value = values.get(prompt)
    if type(value) is not str and looks_like_turns(value):
        turns = parse_turns(value, prompt, mapping)
        return turns if turns and turns[0].role == "system" else head + turns
    query = optional_text(values, columns.query) if columns.query else ""
    if query:
        asked = optional_text(values, prompt)
        asked = f"{asked}\n{query}" if asked else query
    else:
        asked = need_text(values, prompt)
        if asked.startswith(HH_STARTS) and (turns := _waiting(asked, prompt)):
            return head + turns
    earlier = _history(values, columns.history, mapping) if columns.history else []
    return [*head, *earlier, Message("user", asked)]


def _waiting(text: str, column: str) -> list[Message]:
    """Return the turns of hh-rlhf's string when it ends with the assistant's mark, else none."""
    if not text.rstrip().endswith("\n\nAssistant:"):
        return []
    return split_hh(text, column)[:-1]


def _history(values: Values, column: str, mapping: ColumnMap) -> list[Message]:
    """Return earlier turns from a list of [user, assistant] pairs, or of turns."""
    pairs = as_list(values.get(column))
    if not pairs:
        return []
    if looks_like_turns(pairs):
        turns = parse_turns(pairs, column, mapping)
        check_conversation(turns, column)
        return turns
    messages: list[Message] = []
    for index, pair in enumerate(pairs if isinstance(pairs, list) else [pairs]):
        if not (isinstance(pair, list) and len(pair) == 2
                and all(isinstance(text, str) for text in pair)):
            raise RowError("wrong_type", column, f"has {shown(pair)} in '{column}', not a "
                           "pair of texts [user, assistant]")
        asked, answer = (need_text({place: text}, place) for place, text in (
            (f"{column}[{index}][{side}]", pair[side]) for side in (0, 1)))
        messages += [Message("user", asked), Message("assistant", answer)]
    return messages


def turns_of(values: Values, mapping: ColumnMap, column: str) -> list[Message]:
    """Return the turns of a column, the system column's text before them.

    Raises:
        RowError: There are none, or they are not turns.
    """
    value = values.get(column)
    if value is None:
        what = "has null in" if column in values else "has no"
        raise RowError("missing_column", column, f"{what} '{column}'")
    messages = parse_turns(value, column, mapping)
    if mapping.columns.system and (not messages or messages[0].role != "system"):
        return system_of(values, mapping.columns) + messages
    return messages


def refuse_pictures(values: Values, columns: tuple[str, ...]) -> None:
    """Refuse a row with pictures, films or sound.

    Raises:
        RowError: ``not_text``.
    """
    for column in columns:
        if values.get(column):
            raise RowError("not_text", column, f"has pictures or sound in '{column}'; only text "
                           "can be trained on")
