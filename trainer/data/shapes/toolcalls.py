"""Tools and tool calls, bare or in OpenAI's form, as objects or as JSON text."""

from __future__ import annotations

from typing import Any

from trainer.data.reading.jsonstream import decode_json
from trainer.data.reading.rows import RowError, shown


def parse_tools(value: Any, column: str) -> list[dict[str, Any]] | None:
    """Return the tools in OpenAI's form, or None when there are none.

    Args:
        value: JSON text or a list; of ``{name, description, parameters}`` or of
            ``{"type": "function", "function": {...}}``.
        column: For messages.

    Raises:
        RowError: It is neither (code ``bad_tools``).
    """
    if isinstance(value, str):
        value = _decoded(value, column, "bad_tools") if value.strip() else None
    if isinstance(value, dict):
        value = [value]
    if not value:
        return None
    if not isinstance(value, list):
        raise RowError("bad_tools", column, f"has {shown(value)} in '{column}', not a list of "
                       "tools")
    return [_tool(tool, column) for tool in value]


def _tool(tool: Any, column: str) -> dict[str, Any]:
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RowError("bad_tools", column, f"has a tool without a name in '{column}': "
                       f"{shown(tool)}")
    if function is tool:
        function = {"parameters" if key == "input_schema" else key: value
                    for key, value in tool.items() if key != "type"}
    return {"type": "function", "function": function}


def parse_calls(value: Any, column: str) -> tuple[dict[str, Any], ...]:
    """Return an assistant turn's tool calls in OpenAI's form, arguments as objects.

    Raises:
        RowError: One has no name, or its arguments are not an object (code ``bad_tool_call``).
    """
    if value is None:
        return ()
    if isinstance(value, str):
        value = _decoded(value, column, "bad_tool_call") if value.strip() else []
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise RowError("bad_tool_call", column, f"has {shown(value)} in '{column}', not a list "
                       "of calls")
    return tuple(_call(call, column) for call in value)


def parse_call_text(value: Any, column: str) -> tuple[dict[str, Any], ...]:
    """Return the calls of a ``function_call`` turn: JSON text with one call or a list of them.

    Raises:
        RowError: It is not JSON, or not a call.
    """
    if isinstance(value, str):
        value = _decoded(value, column, "bad_tool_call")
    calls = parse_calls([value] if isinstance(value, dict) else value, column)
    if not calls:
        raise RowError("bad_tool_call", column, f"has no call in '{column}'")
    return calls


def answer_as_calls(text: str, tools: list[dict[str, Any]],
                    column: str) -> tuple[dict[str, Any], ...]:
    """Return the calls that an answer surely is: JSON that names tools of its row, else ()."""
    if text.lstrip()[:1] not in ("[", "{"):
        return ()
    try:
        calls = parse_call_text(text, column)
    except RowError:
        return ()
    known = {tool["function"]["name"] for tool in tools}
    return calls if all(call["function"]["name"] in known for call in calls) else ()


def _call(call: Any, column: str) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name:
        raise RowError("bad_tool_call", column, f"has a call without a name in '{column}': "
                       f"{shown(call)}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _decoded(arguments, column, "bad_tool_call") if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise RowError("bad_tool_call", column, f"has the arguments {shown(arguments)} in "
                       f"'{column}', not an object")
    normal: dict[str, Any] = {"type": "function",
                              "function": {"name": name, "arguments": arguments}}
    if isinstance(call.get("id"), str):
        normal["id"] = call["id"]
    return normal


def _decoded(text: str, column: str, code: str) -> Any:
    try:
        return decode_json(text)
    except (ValueError, RecursionError):
        raise RowError(code, column, f"has text in '{column}' that is not JSON: "
                       f"{shown(text)}") from None
