"""What a lane is asked: the question around its messages, and what may be said at a turn."""

from __future__ import annotations

from typing import Any

import orjson

from app.recordfile import RecordError
from app.serving.openai_errors import ApiError
from app.serving.questions import Question, read_question
from trainer.contract.conversation import Chat, Message

CHAT = "/chat/completions"


def body_of(chat: Chat, messages: list[Message], model: str) -> dict[str, Any]:
    """Return a question with a conversation's settings and tools."""
    settings = chat.settings.given()
    thinking = settings.pop("enable_thinking", None)
    body: dict[str, Any] = {"model": model, "messages": messages, **settings}
    if thinking is not None:
        body["chat_template_kwargs"] = {"enable_thinking": thinking}
    if chat.tools:
        body["tools"] = chat.tools
    return body


def checked(body: dict[str, Any], path: str = CHAT) -> Question:
    """Check a question as /v1 does.

    Raises:
        RecordError: It would not be passed on there either, with the same code.
    """
    try:
        return read_question(path, orjson.dumps(body))
    except ApiError as error:
        raise RecordError(error.code, str(error)) from None


def require_inputs(chat: Chat, parent: str | None, lane: str | None, inputs: list[Message]
                   ) -> None:
    """Refuse what cannot be said at this place.

    Raises:
        RecordError: A turn is one message of the user, or the answers to all tool calls of a lane;
            pictures must be sent themselves.
    """
    roles = {message.get("role") for message in inputs}
    if lane is None and (len(inputs) != 1 or roles != {"user"}):
        raise RecordError("invalid_turn", "A turn has one message of the role 'user'.",
                          "Answers of tools are sent with the lane that called them.")
    if lane is not None:
        _require_tools(chat, parent, lane, inputs)
    if not all(_is_said(message) for message in inputs):
        raise RecordError("empty_message", "There is nothing in the message.", "Write something.")
    checked({"model": "any", "messages": inputs})


def _is_said(message: Message) -> bool:
    content = message.get("content")
    if message.get("role") == "tool":
        return isinstance(content, str)
    return bool(content.strip()) if isinstance(content, str) else (
        isinstance(content, list) and bool(content) and all(isinstance(one, dict)
                                                            for one in content))


def _require_tools(chat: Chat, parent: str | None, lane: str, inputs: list[Message]) -> None:
    answer = chat.standing(parent, lane)
    wanted = [call.get("id") for call in answer.tool_calls] if answer else []
    given = [message.get("tool_call_id") for message in inputs]
    if not wanted or sorted(map(str, given)) != sorted(map(str, wanted)) or any(
            message.get("role") != "tool" for message in inputs):
        raise RecordError("tool_answers", "Every tool call of the answer gets one message of the "
                          "role 'tool' with its 'tool_call_id'.",
                          f"The answer made {len(wanted)} calls.")
