"""Recognising preference pairs: one prompt, a better and a worse answer."""

from __future__ import annotations

from typing import Any

from trainer.data.reading.entry import Columns
from trainer.data.shapes.mapping import ColumnMap, Shape
from trainer.data.shapes.recognise_chat import TURN_COLUMNS, extras, tags_of
from trainer.data.shapes.recognise_pairs import (
    INSTRUCTIONS,
    PROBLEMS,
    PROMPTS,
    QUESTIONS,
    history_of,
    query_of,
)
from trainer.data.shapes.roles import role_of
from trainer.data.shapes.sample import Names, Sample
from trainer.data.shapes.turns import (
    as_list,
    looks_like_turns,
    reads_as_turns,
    role_names,
    turn_keys,
)

# (better, worse, how sure).
_SIDES: tuple[tuple[str, str, float], ...] = (
    ("chosen", "rejected", 1.0), ("chosen_response", "rejected_response", 1.0),
    ("response_chosen", "response_rejected", 1.0), ("chosen_answer", "rejected_answer", 1.0),
    ("answer_chosen", "answer_rejected", 1.0), ("chosen_output", "rejected_output", 1.0),
    ("output_chosen", "output_rejected", 1.0), ("chosen_text", "rejected_text", 1.0),
    ("chosen_messages", "rejected_messages", 1.0),
    ("chosen_completion", "rejected_completion", 1.0),
    ("completion_chosen", "completion_rejected", 1.0), ("choose", "reject", 1.0),
    ("chosen_conversation", "rejected_conversation", 1.0), ("accepted", "rejected", 1.0),
    ("accept", "reject", 1.0), ("preferred", "rejected", 1.0),
    ("preferred", "dispreferred", 1.0), ("preferred_response", "dispreferred_response", 1.0),
    ("preferred", "non_preferred", 1.0), ("preferred_output", "non_preferred_output", 1.0),
    ("winner", "loser", 0.9), ("win", "lose", 0.9), ("winning", "losing", 0.9),
    ("winning_response", "losing_response", 1.0), ("better", "worse", 0.9),
    ("better_response", "worse_response", 1.0), ("y_w", "y_l", 1.0), ("yw", "yl", 1.0),
    ("response_w", "response_l", 1.0), ("response_j", "response_k", 0.9),
    ("good", "bad", 0.7), ("good_response", "bad_response", 0.9), ("优选", "劣选", 1.0),
    ("选择", "拒绝", 1.0), ("好", "坏", 0.7), ("接受", "拒绝", 1.0))
_PROMPTS: Names = ("prompt", *INSTRUCTIONS, *QUESTIONS, *PROBLEMS, *PROMPTS, "post", "x")


def preference(sample: Sample) -> Shape | None:
    """Recognise pairs of answers, with a prompt of their own or one that both begin with."""
    for better, worse, sure in _SIDES:
        chosen, rejected = sample.find((better,), _says), sample.find((worse,), _says)
        if chosen and rejected and (found := _of(sample, chosen, rejected, sure)):
            return found
    return None


def _of(sample: Sample, chosen: str, rejected: str, sure: float) -> Shape | None:
    found = f"columns '{chosen}' and '{rejected}' {sample.extent(chosen, rejected)}"
    share = sample.share(chosen, rejected) * sure
    sides = {"chosen": chosen, "rejected": rejected}
    prompt = sample.find(_PROMPTS, lambda value: isinstance(value, str) or reads_as_turns(value))
    if sample.most(chosen, _is_human_string):
        return Shape("hh_rlhf", ColumnMap(Columns(**sides)),
                     f"{found}, written as '\\n\\nHuman: ... \\n\\nAssistant: ...'", share)
    if sample.most(chosen, _is_whole_conversation):
        tags, remark, guess = tags_of(sample.values(chosen))
        return Shape("preference", ColumnMap(Columns(**sides, **extras(sample)), tags),
                     f"{found} are whole conversations with one beginning{remark}", share * guess)
    turns = sample.find((*TURN_COLUMNS, "history", "context"), reads_as_turns)
    if turns:
        tags, remark, guess = tags_of(sample.values(turns))
        columns = Columns(messages=turns, **sides, **extras(sample))
        return Shape("preference", ColumnMap(columns, tags),
                     f"{found} answer '{turns}'{remark}", share * guess)
    if not prompt:
        return None
    source = prompt if sample.most(prompt, looks_like_turns) else chosen
    tags, remark, guess = tags_of(sample.values(source))
    columns = Columns(prompt=prompt, query=query_of(sample, prompt, chosen, rejected),
                      history=history_of(sample), **sides, **extras(sample))
    return Shape("preference", ColumnMap(columns, tags),
                 f"{found} answer '{prompt}'{remark}", share * guess)


def _says(value: Any) -> bool:
    """Tell whether a value can be an answer: text, a turn, or a list of one of them."""
    return isinstance(value, str | list | dict)


def _is_human_string(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("Human:")


def _is_whole_conversation(value: Any) -> bool:
    """Tell whether turns begin with the prompt rather than with the answer."""
    turns = as_list(value)
    keys = turn_keys(turns) if isinstance(turns, list) and len(turns) > 1 else None
    names = role_names(turns, keys[0]) if keys else []
    return len(names) > 1 and role_of(names[0]) != "assistant"
