"""Conversations as text, as rows to train on, and votes as preferences. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from app.chats.blind import Names, document
from app.recordfile import RecordError
from trainer.contract.conversation import (
    Answer,
    Chat,
    Message,
    Turn,
    assistant,
    has_pictures,
    judged,
    kept,
    messages_of,
    text_of,
)

Row = dict[str, Any]
FORMATS = {"markdown": ("text/markdown", ".md"), "json": ("application/json", ".json"),
           "jsonl": ("application/x-ndjson", ".jsonl")}


def export(chats: list[Chat], form: str) -> str:
    """Return conversations as one text.

    Args:
        chats: What is written.
        form: 'markdown' (the branch that is shown), 'json' (everything) or 'jsonl' (rows to
            train on, one for each lane).

    Raises:
        RecordError: There is no such format.
    """
    if form == "markdown":
        return "\n\n---\n\n".join(_markdown(chat) for chat in chats) + "\n"
    if form == "json":
        return json.dumps({"chats": [document(chat) for chat in chats]}, ensure_ascii=False,
                          indent=2) + "\n"
    if form == "jsonl":
        return lines(row for chat in chats for row in conversations(chat)[0])
    raise RecordError("chat_format", f"'{form[:40]}' is no format of conversations.",
                      f"Choose one of: {', '.join(FORMATS)}.")


def lines(rows: Iterator[Row]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# Rows


def conversations(chat: Chat) -> tuple[list[Row], int]:
    """Return (a row for each lane of the branch that is shown, how many lanes had to be left out).

    A row ends with the last answer that was finished. Pictures cannot be trained on here.
    """
    found, left_out = [], 0
    for lane in chat.lanes:
        messages = _finished(chat, lane)
        if not messages or any(map(has_pictures, messages)):
            left_out += bool(chat.turns)
            continue
        found.append({"messages": messages, **({"tools": chat.tools} if chat.tools else {})})
    return found, left_out


def _finished(chat: Chat, lane: str) -> list[Message]:
    for turn in reversed(chat.path(chat.leaf)):
        answer = turn.shown_answer(lane)
        if answer is not None and answer.state == "done" and answer.says:
            try:
                return [*kept(messages_of(chat, turn, lane)),
                        assistant(answer, with_thinking=True)]
            except RecordError:
                return []
    return []


def preferences(chat: Chat) -> tuple[list[Row], int]:
    """Return (a pair for each lane that lost a vote, how many had to be left out).

    A pair needs one prompt: lanes that were told different things before cannot be compared.
    """
    found, left_out = [], 0
    for turn in chat.turns.values():
        if turn.vote is None or turn.vote.winner not in turn.answers:
            continue
        better = judged(chat, turn, turn.vote.winner)
        for lane in turn.answers:
            worse = judged(chat, turn, lane) if lane != turn.vote.winner else None
            if lane == turn.vote.winner:
                continue
            if better is None or worse is None or better[0] != worse[0] \
                    or better[1] == worse[1]:
                left_out += 1
                continue
            found.append({"prompt": better[0], "chosen": [better[1]], "rejected": [worse[1]],
                          **({"tools": chat.tools} if chat.tools else {})})
    return found, left_out


# Text


def _markdown(chat: Chat) -> str:
    names = Names(chat)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(chat.created_at))
    told = ", ".join(names.shown(lane) for lane in chat.ordered())
    parts = [f"# {chat.title or 'Conversation'}", f"{when} · {told}"]
    if chat.system:
        parts.append(f"## System\n\n{chat.system}")
    for turn in chat.path(chat.leaf):
        parts += _turn_markdown(chat, names, turn)
    return "\n\n".join(parts)


def _turn_markdown(chat: Chat, names: Names, turn: Turn) -> Iterator[str]:
    for message in turn.inputs:
        pictures = "\n\n*(with a picture)*" if has_pictures(message) else ""
        who = "Tool" if message.get("role") == "tool" else "User"
        yield f"## {who}\n\n{text_of(message.get('content'))}{pictures}"
    for lane in chat.ordered():
        if answer := turn.shown_answer(lane):
            yield f"## {names.shown(lane)}\n\n{_answer_markdown(answer)}"
    if turn.vote:
        winner = turn.vote.winner
        yield f"*Vote: {names.shown(winner) if winner in turn.answers else winner}*"


def _answer_markdown(answer: Answer) -> str:
    parts = []
    if answer.thinking.strip():
        parts.append("\n".join(f"> {line}" for line in answer.thinking.strip().splitlines()))
    if answer.content:
        parts.append(answer.content)
    parts += [f"```json\n{json.dumps(call.get('function'), ensure_ascii=False)}\n```"
              for call in answer.tool_calls]
    if answer.state in ("stopped", "failed"):
        why = f": {answer.error.code}" if answer.error else ""
        parts.append(f"*({answer.state}{why})*")
    return "\n\n".join(parts)
