"""What people have voted in conversations with hidden names, to hold a judge against."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.contract.conversation import Chat, Message, Turn, judged

TIE = "tie"
MAX_BYTES = 64 << 20
_FILE = re.compile(r"chat-[0-9a-f]{12}\.json")
_VOTE = re.compile(rb'"vote"\s*:\s*\{')


@dataclass(frozen=True)
class Voted:
    """Two answers to one question, and which of them a person called better.

    Attributes:
        messages: What was asked, OpenAI's form.
        answers: Model to what it said; two of them.
        winner: One of the two models, or 'tie' (people's 'neither' is one too).
    """

    messages: tuple[dict[str, Any], ...]
    answers: Mapping[str, str]
    winner: str


@dataclass(frozen=True)
class Votes:
    """The votes on pairs of models, newest first, and what could not be used.

    Attributes:
        pairs: What a judge can be asked about.
        open: Votes on such pairs whose names were seen: they may be about the names.
        apart: The two were asked different things, one has not answered, or there are pictures.
        damaged: Conversations that cannot be read.
    """

    pairs: tuple[Voted, ...] = ()
    open: int = 0
    apart: int = 0
    damaged: int = 0


def read_votes(folder: Path, models: Sequence[str]) -> Votes:
    """Return the votes between the first model and each of the others. Reads every conversation.

    Args:
        folder: ``chats`` of the home; it need not exist.
        models: As conversations and evaluations name them.
    """
    found: list[tuple[float, Voted]] = []
    count = {"open": 0, "apart": 0, "damaged": 0}
    for path in sorted(folder.glob("chat-*.json")):
        try:
            chat = _read(path)
        except (OSError, ValidationError):
            count["damaged"] += 1
            continue
        for turn, other in _voted(chat, models):
            assert chat is not None and turn.vote is not None
            if not turn.vote.blind:
                count["open"] += 1
            elif one := _pair(chat, turn, models[0], other):
                found.append((turn.vote.at, one))
            else:
                count["apart"] += 1
    found.sort(key=lambda one: one[0], reverse=True)
    return Votes(tuple(one for _, one in found), **count)


def _read(path: Path) -> Chat | None:
    """Return a conversation that has votes; None for one that has none."""
    if not _FILE.fullmatch(path.name) or path.stat().st_size > MAX_BYTES:
        return None
    raw = path.read_bytes()
    return Chat.model_validate_json(raw) if _VOTE.search(raw) else None


def _voted(chat: Chat | None, models: Sequence[str]) -> Iterator[tuple[Turn, str]]:
    """Yield each turn whose vote says something of the first model and another, with the other."""
    for turn in chat.turns.values() if chat and models else ():
        if turn.vote is None or models[0] not in turn.answers:
            continue
        for other in models[1:]:
            if other in turn.answers and turn.vote.winner in (models[0], other, "tie", "neither"):
                yield turn, other


def _pair(chat: Chat, turn: Turn, first: str, other: str) -> Voted | None:
    sides = [judged(chat, turn, lane) for lane in (first, other)]
    if sides[0] is None or sides[1] is None or sides[0][0] != sides[1][0] or turn.vote is None:
        return None
    winner = turn.vote.winner if turn.vote.winner in (first, other) else TIE
    return Voted(tuple(sides[0][0]), {first: _text(sides[0][1]), other: _text(sides[1][1])},
                 winner)


def _text(said: Message) -> str:
    """Return an answer as text, its tool calls as JSON."""
    calls = [json.dumps(call.get("function"), ensure_ascii=False)
             for call in said.get("tool_calls", ())]
    return "\n".join(filter(None, [str(said.get("content") or ""), *calls]))
