"""Small conversations of every kind, on which a way of reading a template is tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from trainer.data.shapes.messages import Message
from trainer.data.templates.marks import parse
from trainer.data.templates.sandbox import CompiledTemplate, TemplateError

Kind = Literal["plain", "system", "tools", "thinking"]
Tools = Sequence[Mapping[str, Any]]
_BEFORE: dict[str, tuple[str, ...]] = {"system": ("",), "user": ("", "system", "assistant"),
                                       "assistant": ("user", "tool"), "tool": ("assistant", "tool")}
_THOUGHT = "<think>\nx\n</think>\n\n"
_TOOLS: Tools = ({"type": "function", "function": {
    "name": "add", "description": "Add.", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer", "description": "x"}},
        "required": ["a"]}}},)


def kinds_of(turns: Sequence[Message], tools: Tools | None) -> frozenset[Kind] | None:
    """Return what occurs in a conversation; None when its turns come in an unusual order."""
    kinds: set[Kind] = {"plain"}
    before = ""
    for turn in turns:
        role = turn.role
        if before not in _BEFORE[role]:
            return None
        if role == "system":
            kinds.add("system")
        elif role == "tool" or turn.tool_calls:
            kinds.add("tools")
        if role == "assistant" and ("<think" in turn.content or "</think" in turn.content):
            kinds.add("thinking")
        before = role
    if tools:
        kinds.add("tools")
    return frozenset(kinds)


def probes() -> Iterator[tuple[list[Message], Tools | None]]:
    """Yield conversations with their tools, plain ones first."""
    for talk in _talks("", _THOUGHT):
        yield talk, None
        yield [_system(), *talk], None
    yield [_user("A?"), _said("B.")], _TOOLS
    for thought in ("", _THOUGHT):
        for calls in (_calling(talk) for talk in list(_talks(thought))[:2]):
            yield calls, _TOOLS
            yield [_system(), *calls], _TOOLS
            yield calls, None


def shows_tools(render: Callable[[list[Message], Tools], str]) -> bool:
    """Tell whether a template shows tools, calls and their results."""
    tools = ({"type": "function", "function": {
        "name": "look_up_7", "description": "Looks it up.", "parameters": {}}},)
    call = {"type": "function", "function": {"name": "find_8", "arguments": {"key": "value-9"}}}
    try:
        text = render([_user("A?"), Message("assistant", "", (call,)),
                       Message("tool", "result-6", name="find_8"), _said("B.")], tools)
    except TemplateError:
        return False
    return all(word in text for word in ("look_up_7", "find_8", "value-9", "result-6"))


def wants_text_arguments(template: CompiledTemplate, variables: Mapping[str, str]) -> bool:
    """Tell whether a template refuses calls with arguments as objects, and takes them as text."""
    talk = [_user("A?").document(), _call("", 1).document()]
    if wants_parts(template, variables):
        talk = [with_parts(message) for message in talk]
    for messages, wants in ((talk, False), ([with_text_arguments(m) for m in talk], True)):
        try:
            template.render({**variables, "messages": messages, "tools": None,
                             "add_generation_prompt": False})
        except TemplateError:
            continue
        return wants
    return False


def wants_parts(template: CompiledTemplate, variables: Mapping[str, str]) -> bool:
    """Tell whether a template shows contents as lists of parts only, as made for pictures."""
    talk = [_user("look-1").document(), _said("say-2").document()]
    for messages, wants in ((talk, False), ([with_parts(m) for m in talk], True)):
        try:
            text = parse(template.render({**variables, "messages": messages, "tools": None,
                                          "add_generation_prompt": False})).text
        except TemplateError:
            continue
        if "look-1" in text and "say-2" in text and "'text'" not in text:
            return wants
    return False


def with_parts(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as templates read it with its content as a list of one part."""
    content = [{"type": "text", "text": message["content"]}] if message["content"] else []
    return {**message, "content": content}


def with_text_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as templates read it with the arguments of its calls as JSON text."""
    if "tool_calls" not in message:
        return message
    calls = [{**call, "function": {**call["function"], "arguments": _text(
        call["function"].get("arguments"))}} for call in message["tool_calls"]]
    return {**message, "tool_calls": calls}


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _talks(*thoughts: str) -> Iterator[list[Message]]:
    for thought in thoughts:
        yield [_user("A?"), _said(thought + "B.")]
        yield [_user("A?"), _said(thought + "B."), _user("C?")]
        yield [_user(" A?\n"), _said(thought + "\n B\n\n C. \n"), _user("D"),
               _said(thought + "E"), _user("F?"), _said(thought + "G.")]
    if len(thoughts) > 1:
        yield [_user("A?"), _said(_THOUGHT + "B."), _user("C?"), _said("D.")]
        yield [_user("A?"), _said("B."), _user("C?"), _said(_THOUGHT + "D.")]


def _calling(talk: list[Message]) -> list[Message]:
    """Let the last answer of a talk call a tool first, and then another one while it speaks."""
    *before, last = talk
    if last.role != "assistant":
        return [*before, last, _call("", 1), _answer("2")]
    return [*before, _call("", 1), _answer("2"), last, _user("And?"),
            _call("Well.", 2), _answer("3"), _said("Three.")]


def _system() -> Message:
    return Message("system", "Be kind.")


def _user(text: str) -> Message:
    return Message("user", text)


def _said(text: str) -> Message:
    return Message("assistant", text)


def _answer(text: str) -> Message:
    return Message("tool", text, name="add")


def _call(text: str, number: int) -> Message:
    return Message("assistant", text, (
        {"type": "function", "function": {"name": "add", "arguments": {"a": number}}},))
