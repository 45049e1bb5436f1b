"""What may be seen of a conversation: lanes have letters for names until a vote."""

from __future__ import annotations

import random
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any, TypeVar

from app.recordfile import RecordError
from trainer.contract.conversation import Chat, Turn

_T = TypeVar("_T")
Document = dict[str, Any]


class Names:
    """The names under which a conversation's lanes are seen now."""

    def __init__(self, chat: Chat) -> None:
        """Look at who is hidden."""
        self._chat = chat
        seen = list(zip(ascii_uppercase, chat.ordered(), strict=False)) if chat.hidden else [
            (lane, lane) for lane in chat.lanes]
        self._shown = {lane: letter for letter, lane in seen}
        self._real = dict(seen)

    def shown(self, lane: str) -> str:
        """Return what a lane is called; one that is hidden and has left has no name at all."""
        return self._shown.get(lane, "?" if self._chat.hidden else lane)

    def real(self, name: str) -> str:
        """Return the lane that is meant; RecordError('unknown_lane')."""
        found = self._real.get(name)
        if found is None and not self._chat.hidden and any(
                name in turn.answers for turn in self._chat.turns.values()):
            return name  # a lane that has left still has its answers
        if found is None:
            raise RecordError("unknown_lane", f"This conversation has no lane '{name[:100]}'.",
                              f"It has {', '.join(self._real)}.")
        return found

    def text(self, text: str) -> str:
        """Return a text without the names that are hidden."""
        if self._chat.hidden:
            for lane in sorted(self._shown, key=len, reverse=True):
                text = text.replace(lane, self._shown[lane])
        return text

    def keys(self, values: Mapping[str, _T]) -> dict[str, _T]:
        """Return values by lane under the names that are seen, in the order that is seen."""
        named = {self.shown(lane): value for lane, value in values.items()}
        return {name: named[name] for name in sorted(named)} if self._chat.hidden else named


def shuffled(count: int) -> list[int]:
    """Return an order that nobody can foresee."""
    order = list(range(count))
    random.SystemRandom().shuffle(order)
    return order


def answer_document(chat: Chat, names: Names, answer: Document) -> Document:
    """Return an answer as it may be seen: engines name models, and their logs do so often."""
    if chat.hidden and (error := answer.get("error")):
        answer["error"] = {**error, "message": names.text(error["message"]),
                           "advice": names.text(error["advice"]), "log": ""}
    return answer


def _turn_document(chat: Chat, names: Names, turn: Turn) -> Document:
    found = turn.model_dump()
    found["lane"] = None if turn.lane is None else names.shown(turn.lane)
    for key in ("after", "answers", "shown"):
        found[key] = names.keys(found[key])
    for answers in found["answers"].values():
        for answer in answers:
            answer_document(chat, names, answer)
    return found


def document(chat: Chat) -> Document:
    """Return a conversation as it may be seen."""
    names = Names(chat)
    found = chat.model_dump(exclude={"turns", "writer", "revealed", "format"})
    found["lanes"] = [names.shown(lane) for lane in chat.ordered()]
    found["order"] = list(range(len(chat.lanes))) if chat.hidden else list(chat.order)
    found["hidden"] = chat.hidden
    found["turns"] = {key: _turn_document(chat, names, turn) for key, turn in chat.turns.items()}
    return found
