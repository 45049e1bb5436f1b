"""What may be asked of conversations, field by field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainer.contract.conversation import MAX_LANES, MAX_TOOLS, LaneName, Message, Settings

Title = Annotated[str, Field(max_length=200)]
System = Annotated[str, Field(max_length=200_000)]
Lanes = Annotated[list[LaneName], Field(min_length=1, max_length=MAX_LANES)]
Tools = Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS)]
Name = Annotated[str, Field(max_length=300)]
Id = Annotated[str, Field(max_length=40)]


class Body(BaseModel):
    """A body whose keys are known."""

    model_config = ConfigDict(extra="forbid")


class NewChat(Body):
    """A conversation to begin."""

    lanes: Lanes
    system: System = ""
    settings: Settings = Field(default_factory=Settings)
    tools: Tools = Field(default_factory=list)
    blind: bool = False
    title: Title = ""


class Shown(Body):
    """Which answer of a lane is shown at a turn."""

    turn: Id
    lane: Name
    answer: Id


class Changes(Body):
    """What is to be another in a conversation; what is left out stays."""

    title: Title | None = None
    system: System | None = None
    settings: Settings | None = None
    tools: Tools | None = None
    lanes: Lanes | None = None
    blind: bool | None = None
    leaf: Id | None = None
    shown: Shown | None = None


class NewTurn(Body):
    """What is said next: one message of the user, or the answers to a lane's tool calls."""

    parent: Id | None = None
    inputs: Annotated[list[Message], Field(min_length=1, max_length=64)]
    lane: Name | None = None


class NewAnswer(Body):
    """Which lane answers once more; ``prefix`` is what the answer begins with."""

    lane: Name
    prefix: Annotated[str, Field(max_length=200_000)] = ""


class Stop(Body):
    """What is to end; all that is being written when nothing is named."""

    turn: Id | None = None
    lane: Name | None = None


class NewVote(Body):
    """A lane, or its letter while it is hidden; 'tie'; 'neither'."""

    winner: Name


class Fork(Body):
    """Up to where a conversation is copied."""

    turn: Id


class PresetBody(Body):
    """Settings to be saved."""

    settings: Settings


class DatasetBody(Body):
    """What becomes a dataset; without ids all conversations."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    ids: Annotated[list[Id], Field(max_length=20_000)] | None = None
    kind: Literal["conversations", "preferences"] = "conversations"
