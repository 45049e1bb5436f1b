"""The normal form of an example: messages with roles, tools, and for pairs two answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(slots=True)
class Message:
    """One turn; never changed once made (not ``frozen``: that makes making them slow).

    ``tool_calls`` have OpenAI's form, ``{"type": "function", "function": {"name", "arguments"}}``
    with ``arguments`` as an object. ``name`` and ``tool_call_id`` belong to a tool's answer.
    """

    role: Role
    content: str
    tool_calls: tuple[dict[str, Any], ...] = ()
    name: str = ""
    tool_call_id: str = ""

    def document(self) -> dict[str, Any]:
        """Return the message as chat templates read it; empty extras are left out."""
        values: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            values["tool_calls"] = list(self.tool_calls)
        if self.name:
            values["name"] = self.name
        if self.tool_call_id:
            values["tool_call_id"] = self.tool_call_id
        return values

    @classmethod
    def of(cls, value: Message | Mapping[str, Any]) -> Message:
        """Take a message, or an object with role and content; ValueError for another role."""
        if isinstance(value, Message):
            return value
        role = value["role"]
        if role not in ROLES:
            raise ValueError(f"'{role}' is no role; roles are {', '.join(ROLES)}")
        return cls(role=role, content=str(value.get("content") or ""),
                   tool_calls=tuple(value.get("tool_calls") or ()),
                   name=str(value.get("name") or ""),
                   tool_call_id=str(value.get("tool_call_id") or ""))


def question_of(messages: Sequence[Message], text: str) -> str:
    """Return what is shown to people as asked: what the user said last; ``text`` if nothing."""
    return next((m.content for m in reversed(messages) if m.role == "user"), text)


class Remark(NamedTuple):
    """What is odd in a row that can be used; becomes a RowProblem of severity ``warning``."""

    code: str
    column: str
    message: str


@dataclass(slots=True)
class Example:
    """One row in the normal form; never changed once made.

    ``messages`` is the conversation; of a preference pair the prompt, which ``chosen`` and
    ``rejected`` answer, and of a prompt-only row what ``reference`` is the right answer to.
    ``label`` says whether the last answer is desired (KTO); ``text`` is plain text without
    turns. ``remarks`` say what is odd but usable, without the row's number as RowError does.
    """

    row: int
    messages: list[Message] = field(default_factory=list)
    tools: list[dict[str, Any]] | None = None
    chosen: list[Message] = field(default_factory=list)
    rejected: list[Message] = field(default_factory=list)
    label: bool | None = None
    text: str = ""
    reference: str = ""
    remarks: tuple[Remark, ...] = ()
