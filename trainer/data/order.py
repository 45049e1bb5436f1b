"""Who may speak after whom, and that whoever speaks says something."""

from __future__ import annotations

import re

from trainer.data.messages import Example, Message
from trainer.data.rows import RowError

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_NONCHARACTER = re.compile("[\ufdd0-\ufdef]")
_WHO = {"user": "the user", "assistant": "the assistant", "tool": "a tool", "system": "the system"}


def check_conversation(messages: list[Message], column: str) -> None:
    """Check a conversation to learn from.

    The order is an optional system message, then user (or tools, after a call) and assistant in
    turn; the assistant has the last word.

    Raises:
        RowError: ``role_order``, ``no_answer``, or ``empty_text``; the turn is named.
    """
    _check_order(messages, column)
    if messages[-1].role != "assistant":
        raise RowError("no_answer", column, f"ends with {_WHO[messages[-1].role]} in '{column}': "
                       "the assistant never answers")


def check_prompt(messages: list[Message], column: str) -> None:
    """Check the prompt of a pair: as a conversation, but the assistant speaks next.

    Raises:
        RowError: As check_conversation.
    """
    _check_order(messages, column)
    if messages[-1].role not in ("user", "tool"):
        raise RowError("role_order", column, "has a prompt that ends with "
                       f"{_WHO[messages[-1].role]}, so that '{column}' answers nothing")


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


def _check_order(messages: list[Message], column: str) -> None:
    before = ""
    for index, message in enumerate(messages):
        place = f"{column}[{index}]"
        if not _may_follow(before, message, messages[index - 1] if index else None):
            after = f"after {_WHO[before]}" if before else "first"
            raise RowError("role_order", column,
                           f"has {_WHO[message.role]} speaking {after} (turn {index + 1})")
        _check_text(message, place if len(messages) > 2 else column)
        before = message.role
    if not any(message.role in ("user", "assistant") for message in messages):
        raise RowError("no_answer", column, f"has no turn of a user or assistant in '{column}'")


def _may_follow(before: str, message: Message, last: Message | None) -> bool:
    if message.role == "system":
        return not before
    if message.role == "user":
        return before in ("", "system", "assistant")
    if message.role == "tool":
        return before == "tool" or bool(last and last.tool_calls)
    return before in ("user", "tool")


def _check_text(message: Message, column: str) -> None:
    """Refuse blank text (a call or a tool may be silent) and halves of characters."""
    silent = message.tool_calls or message.role == "tool"
    if not message.content.strip() and not silent:
        raise RowError("empty_text", column, f"has no text in '{column}' "
                       f"({_WHO[message.role]}'s turn)")
    if not message.content.isascii() and (found := _HALF_CHARACTER.search(message.content)):
        raise RowError("broken_text", column, f"has half a character (U+{ord(found[0]):04X}) in "
                       f"'{column}'")


def has_noncharacters(example: Example) -> bool:
    """Tell whether a text has one of U+FDD0..U+FDEF, which is no character (Unicode 23.7)."""
    turns = [*example.messages, *example.chosen, *example.rejected]
    texts = [turn.content for turn in turns] + [example.text]
    return any(not text.isascii() and _NONCHARACTER.search(text) for text in texts)
