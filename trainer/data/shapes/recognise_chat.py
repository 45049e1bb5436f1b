"""Recognising conversations: lists of turns, with any names for roles, and the other ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from trainer.data.reading.entry import OPENAI_TAGS, SHAREGPT_TAGS, Columns, Tags
from trainer.data.shapes.mapping import ColumnMap, Kind, Shape
from trainer.data.shapes.roles import TurnRole, role_of
from trainer.data.shapes.sample import Names, Sample, plain
from trainer.data.shapes.turns import (
    as_list,
    looks_like_turns,
    reads_as_turns,
    role_names,
    split_marked,
    turn_keys,
    turn_sides,
)

TURN_COLUMNS: Names = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat",
                       "turns", "contents", "chats", "dialogs", "trajectory", "对话", "消息")
SYSTEM: Names = ("system", "system_prompt", "system_message", "system_instruction", "sys",
                  "meta_instruction", "系统", "系统提示", "系统提示词")
TOOLS: Names = ("tools", "functions", "available_tools", "工具")
_NOT_ALL = ("history", "context")
_PICTURES = ("images", "videos", "audios")
_TAG_OF: dict[TurnRole, str] = {"user": "user_tag", "assistant": "assistant_tag",
                                "tool": "observation_tag", "call": "function_tag",
                                "system": "system_tag"}


def chat(sample: Sample) -> Shape | None:
    """Recognise a column of turns with roles."""
    column = sample.find(TURN_COLUMNS, reads_as_turns) or _only_turns(sample)
    if not column or sample.find(("completion",), looks_like_turns):
        return None
    tags, remark, sure = tags_of(sample.values(column))
    kind: Kind = "sharegpt" if tags.role_tag == "from" or _says_human(tags) else "openai"
    return Shape(kind, ColumnMap(Columns(messages=column, **extras(sample)), tags),
                 f"column '{column}' {sample.extent(column)} holds turns with '{tags.role_tag}' "
                 f"and '{tags.content_tag}'{remark}", sample.share(column) * sure)


def other_chat(sample: Sample) -> Shape | None:
    """Recognise conversations whose turns have no roles.

    They are objects with both sides, texts that take turns, or one text with marks such as
    ``### Human:``.
    """
    column = sample.find(TURN_COLUMNS, lambda value: turn_sides(value) is not None)
    if column:
        sides = next(keys for v in sample.values(column) if (keys := turn_sides(v)))
        tags = Tags(user_tag=sides[0], assistant_tag=sides[1])
        return Shape("sharegpt", ColumnMap(Columns(messages=column, **extras(sample)), tags),
                     f"column '{column}' {sample.extent(column)} holds exchanges of "
                     f"'{sides[0]}' and '{sides[1]}'", sample.share(column) * 0.9)
    columns = (*TURN_COLUMNS, "data", "utterances")
    if column := sample.find(columns, _texts_in_turn):
        how, sure = "lists of texts: user and assistant in turn, the user first", 0.5
    elif column := sample.find((*columns, "text"), _is_marked):
        how, sure = "conversations as one text, with marks such as 'Human:' and 'Assistant:'", 0.7
    else:
        return None
    return Shape("sharegpt", ColumnMap(Columns(messages=column, **extras(sample))),
                 f"column '{column}' {sample.extent(column)} holds {how}",
                 sample.share(column) * sure)


def extras(sample: Sample) -> dict[str, str]:
    """Return the columns that go with any shape: system, tools, and what is not text."""
    found = {"system": sample.find(SYSTEM, lambda v: isinstance(v, str | dict), rare=True),
             "tools": sample.find(TOOLS, lambda v: isinstance(v, str | list | dict), rare=True)}
    found |= {name: sample.find((name,), bool, rare=True) for name in _PICTURES}
    return {name: column for name, column in found.items() if column}


def tags_of(values: Iterable[Any]) -> tuple[Tags, str, float]:
    """Return the tags that turns use, what was guessed about them, and how surely (0 to 1).

    No tags when the values hold no turns.
    """
    found = [(value, keys) for value in values if (keys := turn_keys(value))]
    if not found:
        return Tags(), "", 1.0
    role_key, content_key = Counter(keys for _, keys in found).most_common(1)[0][0]
    base = SHAREGPT_TAGS if role_key == "from" else OPENAI_TAGS
    speakers = [names for value, _ in found
                if (names := role_names(value, role_key))]
    update = {"role_tag": role_key, "content_tag": content_key, **_seen(speakers, base)}
    guessed = _guessed(speakers)
    tags = base.model_copy(update=update | guessed)
    if not guessed:
        return tags, "", 1.0
    return tags, (f"; '{tags.user_tag}' is taken for the user and '{tags.assistant_tag}' for the "
                  "assistant"), 0.6


def _seen(speakers: list[list[str]], base: Tags) -> dict[str, str]:
    """Return the well-known role names that the turns use instead of the base's."""
    seen = Counter(name for names in speakers for name in names)
    update: dict[str, str] = {}
    for name, _ in seen.most_common():
        role = role_of(name)
        tag = _TAG_OF[role] if role else ""
        if tag and tag not in update and getattr(base, tag) not in seen:
            update[tag] = name
    return update


def _guessed(speakers: list[list[str]]) -> dict[str, str]:
    """Return user and assistant when their names are unknown but their places tell.

    One speaks first and the other last, nearly always; nobody else is unknown.
    """
    seen = {name for names in speakers for name in names}
    unknown = {name for name in seen if role_of(name) is None}
    if not unknown or len(unknown) > 2:
        return {}
    spoken = [[name for name in names if role_of(name) != "system"] for names in speakers]
    spoken = [names for names in spoken if len(names) > 1]
    if len(spoken) + len(unknown) < 3:
        return {}
    first, count = Counter(names[0] for names in spoken).most_common(1)[0]
    last, ends = Counter(names[-1] for names in spoken).most_common(1)[0]
    known = {role_of(first), role_of(last)} - {None}
    if first == last or min(count, ends) * 10 < len(spoken) * 9 or not unknown <= {first, last} \
            or (role_of(first) or "user") != "user" or (role_of(last) or "assistant") != \
            "assistant" or len(known) == 2:
        return {}
    return {"user_tag": first, "assistant_tag": last}


def _says_human(tags: Tags) -> bool:
    return tags.user_tag == "human" or tags.assistant_tag == "gpt"


def _only_turns(sample: Sample) -> str:
    """Return the one column that holds turns which the assistant ends, whatever its name."""
    found = [name for name in sample.names
             if plain(name) not in _NOT_ALL and sample.most(name, looks_like_turns)]
    if len(found) != 1 or sample.most(found[0], ends_with_user):
        return ""
    return found[0]


def ends_with_user(value: Any) -> bool:
    """Tell whether turns end with the user, so that nobody answers yet."""
    keys = turn_keys(value)
    names = role_names(value, keys[0]) if keys else []
    return bool(names) and role_of(names[-1]) == "user"


def _texts_in_turn(value: Any) -> bool:
    turns = as_list(value)
    return (isinstance(turns, list) and len(turns) > 1 and len(turns) % 2 == 0
            and all(isinstance(turn, str) for turn in turns))


def _is_marked(value: Any) -> bool:
    return isinstance(value, str) and bool(split_marked(value))
