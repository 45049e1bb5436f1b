"""Rules of a conversation: what may be changed, and what a copy of one is called. Pure."""

from __future__ import annotations

from typing import Any

from app.chats.blind import Names, shuffled
from app.chats.history import body_of, checked
from app.chats.requests import Changes, Shown
from app.recordfile import RecordError
from trainer.contract.conversation import Answer, Chat, Message, Settings, Turn, text_of

TITLE_CHARS = 80
Document = dict[str, Any]


def require_lanes(lanes: list[str], blind: bool) -> None:
    """Refuse a lane that is named twice, and hiding the name of one alone; RecordError."""
    if len(set(lanes)) != len(lanes):
        raise RecordError("same_lane", "A model can be asked once only.", "Name each lane once.")
    if blind and len(lanes) < 2:
        raise RecordError("blind_alone", "Names can be hidden where two or more models answer.",
                          "Add a model.")


def require_question(settings: Settings, tools: list[Document]) -> None:
    """Refuse settings and tools that /v1 would refuse."""
    asked = Chat(id="", settings=settings, tools=tools)
    checked(body_of(asked, [{"role": "user", "content": "?"}], "any"))


def shown_at(chat: Chat, names: Names, shown: Shown | None) -> tuple[Turn, str, Answer] | None:
    """Return the (turn, lane, answer) that is to be shown; RecordError when there is none."""
    if shown is None:
        return None
    lane, answer = chat.answer(shown.turn, shown.answer)
    if lane != names.real(shown.lane):
        raise RecordError("unknown_answer", f"The lane has no answer '{shown.answer}' here.")
    return chat.turn(shown.turn), lane, answer


def change_lanes(chat: Chat, changes: Changes) -> None:
    """Change who answers and whether names are hidden; RecordError when it is too late."""
    lanes = chat.lanes if changes.lanes is None else changes.lanes
    blind = chat.blind if changes.blind is None else changes.blind
    if chat.turns and ((blind and not chat.blind) or (chat.hidden and changes.lanes is not None)):
        raise RecordError("not_blind", "Names are hidden from the first question on, or not at "
                          "all.", "Begin a new conversation.")
    require_lanes(lanes, blind)
    if lanes != chat.lanes:
        chat.lanes, chat.order = list(lanes), shuffled(len(lanes))
    chat.blind = blind


def still_writing() -> RecordError:
    """Return why something has to wait."""
    return RecordError("still_writing", "An answer is still being written.",
                       "Wait for its end, or stop it.")


def title_of(inputs: list[Message]) -> str:
    """Return a title made of the first question."""
    text = " ".join(text_of(inputs[0].get("content")).split())
    return text if len(text) <= TITLE_CHARS else f"{text[:TITLE_CHARS - 1]}…"


def renumber(chat: Chat) -> None:
    """Give the turns and answers of a copy the ids that they would have had."""
    turns = {old: f"t{at}" for at, old in enumerate(chat.turns, 1)}
    answers = {answer.id: f"a{at}" for at, answer in enumerate(
        (answer for turn in chat.turns.values() for _, answer in turn.all_answers()), 1)}
    for turn in chat.turns.values():
        turn.id, turn.parent = turns[turn.id], turns.get(turn.parent or "")
        turn.after = {lane: answers[one] for lane, one in turn.after.items() if one in answers}
        turn.shown = {lane: answers[one] for lane, one in turn.shown.items()}
        for _, answer in turn.all_answers():
            answer.id = answers[answer.id]
    chat.turns = {turn.id: turn for turn in chat.turns.values()}
    chat.leaf = turns.get(chat.leaf or "")
