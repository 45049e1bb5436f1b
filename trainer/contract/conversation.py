"""A conversation: a tree of turns, each with the answers of every lane. Pure data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainer.contract.problems import RecordError

State = Literal["waiting", "loading", "writing", "done", "stopped", "failed"]
ACTIVE: frozenset[State] = frozenset({"waiting", "loading", "writing"})
MAX_LANES, MAX_TURNS, MAX_ANSWERS, MAX_TOOLS = 4, 2000, 100, 64
Number = Annotated[float, Field(allow_inf_nan=False)]
LaneName = Annotated[str, Field(min_length=1, max_length=300)]
Message = dict[str, Any]


class Part(BaseModel):
    """A piece of a conversation; an unknown key is an error, so that nothing is lost by saving."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Settings(Part):
    """How answers are drawn; null is the model's default."""

    temperature: Number | None = Field(None, ge=0, le=10)
    top_p: Number | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=10_000_000)
    min_p: Number | None = Field(None, ge=0, le=1)
    repetition_penalty: Number | None = Field(None, gt=0, le=10)
    presence_penalty: Number | None = Field(None, ge=-2, le=2)
    frequency_penalty: Number | None = Field(None, ge=-2, le=2)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    stop: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]],
                    Field(max_length=16)] | None = None
    seed: int | None = Field(None, ge=-2**63, lt=2**63)
    enable_thinking: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return what is not left to the model."""
        return {name: value for name, value in self if value is not None and value != []}


class Stats(Part):
    """What an answer took; seconds count from when the engine was asked, loading left out."""

    first_token_s: float | None = None
    tokens_per_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_s: float | None = None


class Fault(Part):
    """Why an answer failed; ``log`` has the engine's last lines, where there is one."""

    code: str
    message: str
    advice: str = ""
    log: str = ""


class Answer(Part):
    """One answer of one lane; ``settings`` are those that it was asked with."""

    id: str
    state: State = "waiting"
    content: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    finish_reason: str = ""
    stats: Stats = Field(default_factory=Stats)
    error: Fault | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    created_at: float = Field(default_factory=time.time)

    @property
    def active(self) -> bool:
        """Whether it is still being written."""
        return self.state in ACTIVE

    @property
    def says(self) -> bool:
        """Whether there is something to go on from."""
        return bool(self.content.strip() or self.tool_calls)


class Vote(Part):
    """Which lane answered better; ``blind`` when their names were hidden."""

    winner: str
    blind: bool
    at: float = Field(default_factory=time.time)


class Turn(Part):
    """What was said to the models, and what each answered.

    ``lane`` is set for a tool's answer, which concerns one lane only. ``after`` names, per lane,
    the answer that this turn goes on from.
    """

    id: str
    parent: str | None = None
    lane: str | None = None
    after: dict[str, str] = Field(default_factory=dict)
    inputs: list[Message] = Field(default_factory=list)
    answers: dict[str, list[Answer]] = Field(default_factory=dict)
    shown: dict[str, str] = Field(default_factory=dict)
    vote: Vote | None = None
    created_at: float = Field(default_factory=time.time)

    def all_answers(self) -> Iterator[tuple[str, Answer]]:
        """Yield every answer with its lane."""
        for lane, answers in self.answers.items():
            for answer in answers:
                yield lane, answer

    def shown_answer(self, lane: str) -> Answer | None:
        """Return the answer of a lane that is shown."""
        found = self.answers.get(lane, [])
        return next((one for one in found if one.id == self.shown.get(lane)), None)


class Chat(Part):
    """A conversation as its file has it.

    ``order`` says in which order lanes are shown as A, B, ... while they are hidden; ``revealed``
    that a vote has shown their names. ``writer`` is the process that writes answers now.
    """

    format: Literal[1] = 1
    id: str
    title: str = ""
    created_at: float = Field(default_factory=time.time)
    updated_at: float = Field(default_factory=time.time)
    owner: str = "local"
    system: str = ""
    lanes: list[str] = Field(default_factory=list)
    blind: bool = False
    revealed: bool = False
    order: list[int] = Field(default_factory=list)
    settings: Settings = Field(default_factory=Settings)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    leaf: str | None = None
    turns: dict[str, Turn] = Field(default_factory=dict)
    writer: dict[str, Any] | None = None

    @property
    def hidden(self) -> bool:
        """Whether the names of the lanes are hidden now."""
        return self.blind and not self.revealed

    @property
    def active(self) -> bool:
        """Whether an answer is being written."""
        return any(answer.active for turn in self.turns.values()
                   for _, answer in turn.all_answers())

    def turn(self, turn_id: str) -> Turn:
        """Return a turn; RecordError('unknown_turn')."""
        if turn_id not in self.turns:
            raise RecordError("unknown_turn", f"This conversation has no turn '{turn_id[:40]}'.",
                              "Load it anew.")
        return self.turns[turn_id]

    def answer(self, turn_id: str, answer_id: str) -> tuple[str, Answer]:
        """Return an answer with its lane; RecordError('unknown_answer')."""
        for lane, answer in self.turn(turn_id).all_answers():
            if answer.id == answer_id:
                return lane, answer
        raise RecordError("unknown_answer", f"The turn has no answer '{answer_id[:40]}'.",
                          "Load the conversation anew.")

    def path(self, turn_id: str | None) -> list[Turn]:
        """Return the turns from the first one to this one; [] for None."""
        found: list[Turn] = []
        while turn_id is not None:
            found.append(self.turn(turn_id))
            turn_id = found[-1].parent
        return found[::-1]

    def standing(self, turn_id: str | None, lane: str) -> Answer | None:
        """Return the answer that a lane would go on from after a turn, None for none."""
        path = self.path(turn_id)
        wanted = {**path[-1].after, **path[-1].shown}.get(lane) if path else None
        return next((one for turn in path for one in turn.answers.get(lane, [])
                     if one.id == wanted), None)

    def ordered(self) -> list[str]:
        """Return the lanes as they are shown: by letter while they are hidden."""
        if self.hidden and sorted(self.order) == list(range(len(self.lanes))):
            return [self.lanes[at] for at in self.order]
        return list(self.lanes)

    def add_turn(self, parent: str | None, inputs: list[Message], lane: str | None = None) -> Turn:
        """Add a turn whose lanes wait for an answer, and show it."""
        above = None if parent is None else self.turn(parent)
        after = {**above.after, **above.shown} if above else {}
        turn = Turn(id=f"t{len(self.turns) + 1}", parent=parent, lane=lane, after=after,
                    inputs=inputs)
        self.turns[turn.id] = turn
        self.leaf = turn.id
        for one in self.ordered() if lane is None else [lane]:
            self.add_answer(turn, one)
        return turn

    def add_answer(self, turn: Turn, lane: str, prefix: str = "") -> Answer:
        """Add an answer of a lane, which waits to be written, and show it."""
        count = sum(1 for one in self.turns.values() for _ in one.all_answers())
        answer = Answer(id=f"a{count + 1}", content=prefix, settings=self.settings.given())
        turn.answers.setdefault(lane, []).append(answer)
        turn.shown[lane] = answer.id
        return answer


def text_of(content: Any) -> str:
    """Return the text of a message's content; pictures are left out."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts
                     if isinstance(part, dict) and isinstance(part.get("text"), str))


def has_pictures(message: Message) -> bool:
    """Tell whether a message has more than text."""
    content = message.get("content")
    return isinstance(content, list) and any(
        not isinstance(part, dict) or part.get("type") != "text" for part in content)


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


def judged(chat: Chat, turn: Turn, lane: str) -> tuple[list[Message], Message] | None:
    """Return (what a lane was asked, what it answered) where a vote could be about it.

    None where it has not answered, or where the question has pictures.
    """
    answer = turn.shown_answer(lane)
    if answer is None or not answer.says or answer.active:
        return None
    try:
        prompt = kept(messages_of(chat, turn, lane))
    except RecordError:
        return None
    return None if any(map(has_pictures, prompt)) else (prompt,
                                                        assistant(answer, with_thinking=True))


def kept(messages: list[Message]) -> list[Message]:
    """Return messages with the text of their parts where all of them are text."""
    return [message if has_pictures(message) else {
        **message, "content": text_of(message.get("content"))} for message in messages]
