"""Texts that name a place (a folder, a file, a hub id, a run's id); expressions and schemas."""

from __future__ import annotations

import json
import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

LONGEST = 4096
LONGEST_PART = 255


def printable(value: str) -> str:
    """Refuse line breaks and control characters.

    Raises:
        PydanticCustomError: The text has some.
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise PydanticCustomError(
            "control_characters", "Line breaks and control characters are not allowed here.")
    return value


def name_of_run(value: str) -> str:
    """Refuse a name that could be taken for a path.

    Raises:
        PydanticCustomError: It has a slash or control characters, or is '.' or '..'.
    """
    printable(value)
    if "/" in value or "\\" in value or value in {".", ".."}:
        raise PydanticCustomError(
            "name_is_path", "A name is not a path: it has no '/' and no '\\'.")
    return value


def a_place(value: str) -> str:
    """Refuse what no file system can have as a name; where it leads is looked up later.

    Raises:
        PydanticCustomError: It has control characters, or is longer than a path can be.
    """
    printable(value)
    longest = max(len(part.encode()) for part in value.split("/"))
    if longest > LONGEST_PART or len(value.encode()) > LONGEST:
        raise PydanticCustomError("name_too_long", "This name is longer than a path can be.")
    return value


def a_schema(value: str) -> str:
    """Refuse what is neither JSON nor what a file could be called.

    Raises:
        PydanticCustomError: It begins as JSON and is none; ``why`` is Python's own word. Else as
            ``a_place``.
    """
    if value and not value.lstrip().startswith("{"):
        return a_place(value)
    try:
        if value:
            json.loads(value)
    except (ValueError, RecursionError) as error:
        raise PydanticCustomError("json_text", "This is not JSON: {why}.",
                                  {"why": str(error)}) from None
    return value


def an_expression(value: str) -> str:
    """Refuse what is no regular expression.

    Raises:
        PydanticCustomError: It does not compile; ``why`` is Python's own word.
    """
    try:
        re.compile(value)
    except re.error as error:
        raise PydanticCustomError("regular_expression", "This is not a regular expression: {why}.",
                                  {"why": str(error)}) from None
    return value


Place = Annotated[str, AfterValidator(a_place)]
SchemaText = Annotated[str, AfterValidator(a_schema)]
Expression = Annotated[str, AfterValidator(an_expression)]
