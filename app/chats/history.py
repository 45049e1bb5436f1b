"""What a lane is asked: the messages on the way to a turn, and the question around them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson

from app.chats.conversation import Answer, Chat, Message, Turn
from app.recordfile import RecordError
from app.serving.openai_errors import ApiError
from app.serving.questions import Question, read_question

CHAT = "/chat/completions"


def messages_of(chat: Chat, turn: Turn, lane: str) -> list[Message]:
    """Return the messages that a lane answers at a turn.

    A lane that was added later takes over what the first of the others said before.

    Raises:
        RecordError: An answer that this one would go on from says nothing ('no_answer').
    """
    found: list[Message] = [{"role": "system", "content": chat.system}] if chat.system else []
    path, speaker = chat.path(turn.id), lane
    for above, below in pairwise(path):
        if above.lane is None:
            speaker = lane if lane in above.answers else _first(above, below)
        elif above.lane != speaker:
            continue
        found += above.inputs
        in_a_loop = all(one.lane is not None for one in path[path.index(below):])
        found.append(assistant(_gone_on_from(above, below, speaker), with_thinking=in_a_loop))
    return found + list(turn.inputs)


def _first(above: Turn, below: Turn) -> str:
    return next((lane for lane in below.after if lane in above.answers), "")


def _gone_on_from(above: Turn, below: Turn, lane: str) -> Answer:
    wanted = below.after.get(lane)
    found = next((one for one in above.answers.get(lane, []) if one.id == wanted), None)
    if found is None or not found.says:
        raise RecordError("no_answer", "An answer above is empty, so that there is nothing to go "
                          "on from.", "Regenerate that one, or ask again from there.")
    return found


def assistant(answer: Answer, *, with_thinking: bool = False) -> Message:
    """Return an answer as a message; while tools are called, its thinking belongs to it."""
    message: Message = {"role": "assistant", "content": answer.content}
    if answer.tool_calls:
        message["tool_calls"] = answer.tool_calls
    if with_thinking and answer.thinking:
        message["reasoning_content"] = answer.thinking
    return message


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
