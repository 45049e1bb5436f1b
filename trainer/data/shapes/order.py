"""Who may speak after whom, and that whoever speaks says something."""

from __future__ import annotations

import re
from typing import Any

from trainer.data.reading.rows import RowError
from trainer.data.shapes.messages import Example, Message, Remark

_NONCHARACTER = re.compile("[\ufdd0-\ufdef]")
_WHO = {"user": "the user", "assistant": "the assistant", "tool": "a tool", "system": "the system"}


def check_conversation(messages: list[Message], column: str, *, calls_as_text: bool = False,
                       start: int = 0) -> None:
    """Check a conversation to learn from.

    The order is an optional system message, then user (or tools, after a call) and assistant in
    turn; the assistant has the last word.

    Args:
        messages: The turns.
        column: Where they are.
        calls_as_text: Tools may answer an assistant whose call is mere text, as ShareGPT's do.
        start: So many of them stand elsewhere and have been checked.

    Raises:
        RowError: ``role_order``, ``no_answer``, or ``empty_text``; the turn is named.
    """
    _check_order(messages, column, calls_as_text, start)
    if messages[-1].role != "assistant":
        raise RowError("no_answer", column, f"ends with {_WHO[messages[-1].role]} in '{column}': "
                       "the assistant never answers")


def check_prompt(messages: list[Message], column: str, answer: str = "") -> None:
    """Check a prompt: as a conversation, but the assistant speaks next.

    Args:
        messages: The turns.
        column: Where they are.
        answer: Where the answer is; by default there as well.

    Raises:
        RowError: As check_conversation.
    """
    _check_order(messages, column, calls_as_text=False)
    if messages[-1].role not in ("user", "tool"):
        raise RowError("role_order", answer or column, "has a prompt that ends with "
                       f"{_WHO[messages[-1].role]}, so that '{answer or column}' answers nothing")


def check_completion(messages: list[Message], column: str) -> None:
    """Check one answer of a pair: a single turn of the assistant, with text or a call.

    Raises:
        RowError: ``role_order`` or ``empty_text``.
    """
    if len(messages) != 1 or messages[0].role != "assistant":
        roles = ", ".join(message.role for message in messages) or "none"
        raise RowError("role_order", column, f"has the turns {roles} as answer in '{column}', "
                       "not one turn of the assistant")
    _check_text(messages[0], column)


def _check_order(messages: list[Message], column: str, calls_as_text: bool,
                 start: int = 0) -> None:
    before = messages[start - 1].role if start else ""
    for index in range(start, len(messages)):
        message, last = messages[index], messages[index - 1] if index else None
        called = last is not None and (calls_as_text or bool(last.tool_calls))
        if not _may_follow(before, message.role, called):
            after = f"after {_WHO[before]}" if before else "first"
            raise RowError("role_order", column,
                           f"has {_WHO[message.role]} speaking {after} (turn {index + 1})")
        content = message.content
        if not content or content.isspace() or not content.isascii():
            _check_text(message, f"{column}[{index - start}]"
                        if len(messages) - start > 2 else column)
        before = message.role
    if before in ("", "system"):
        raise RowError("no_answer", column, f"has no turn of a user or assistant in '{column}'")


def _may_follow(before: str, role: str, called: bool) -> bool:
    if role == "assistant":
        return before in ("user", "tool")
    if role == "user":
        return before in ("", "system", "assistant")
    if role == "tool":
        return before == "tool" or (before == "assistant" and called)
    return not before


def _check_text(message: Message, column: str) -> None:
    """Refuse blank text (a call or a tool may be silent) and halves of characters."""
    silent = message.tool_calls or message.role == "tool"
    if not message.content.strip() and not silent:
        raise RowError("empty_text", column, f"has no text in '{column}' "
                       f"({_WHO[message.role]}'s turn)")
    check_characters(message.content, column)


def check_characters(text: str, column: str) -> None:
    """Refuse halves of characters (lone surrogates), which no file can hold.

    Raises:
        RowError: ``broken_text``.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError("broken_text", column, f"has half a character (U+"
                       f"{ord(text[error.start]):04X}) in '{column}'") from None


def remarks_on(turns: Any, messages: list[Message], column: str) -> tuple[Remark, ...]:
    """Return what is odd in a conversation that can be learned from.

    Args:
        turns: The turns as the row has them.
        messages: The same in the normal form.
        column: Where they are.
    """
    found: list[Remark] = []
    if isinstance(turns, list):
        found += [Remark("weight_ignored", f"{column}[{index}]",
                         f"says in '{column}[{index}]' that the turn is not to be learned "
                         "('weight': 0), which is not heeded")
                  for index, turn in enumerate(turns)
                  if len(turn) > 2 and isinstance(turn, dict) and turn.get("weight") == 0]
    known: set[str] = set()
    for index, message in enumerate(messages):
        if message.tool_calls:
            known |= {call["id"] for call in message.tool_calls if "id" in call}
        elif message.role == "tool" and message.tool_call_id and message.tool_call_id not in known:
            found.append(Remark("unknown_call", f"{column}[{index}]",
                                f"has a tool answering a call '{message.tool_call_id}' that "
                                f"nobody made, in '{column}[{index}]'"))
    return tuple(found)


def has_noncharacters(example: Example) -> bool:
    """Tell whether a text has one of U+FDD0..U+FDEF, which is no character (Unicode 23.7)."""
    turns = [*example.messages, *example.chosen, *example.rejected]
    texts = [turn.content for turn in turns] + [example.text, example.reference]
    return any(not text.isascii() and _NONCHARACTER.search(text) for text in texts)
