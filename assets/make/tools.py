"""Sample conversations with tool calls: weather, sums and the coast's address book."""

from __future__ import annotations

import json
import random
from typing import Any

from assets.make import words
from assets.make.phrases import answer, question
from assets.make.world import Person, pool

Row = dict[str, Any]


def _tool(function: str, purpose: str, **parameters: str) -> dict[str, Any]:
    """Describes a function; `parameters` maps a name to its JSON type."""
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"name": function, "description": purpose, "parameters": schema}


WEATHER = _tool("get_weather", "The weather in a town today.", town="string")
ADD = _tool("add", "Adds two whole numbers.", a="integer", b="integer")
LOOK_UP = _tool("look_up", "Looks up what is known about a person.", name="string", about="string")

SKIES_EN = ("rain", "sunshine", "snow", "fog", "a strong wind")
SKIES_ZH = ("下雨", "晴天", "下雪", "有雾", "大风")


def _exchange(asked: str, call: dict[str, Any], result: Any, said: str) -> list[Row]:
    """One question that is answered through one call, in ShareGPT's turns."""
    return [
        {"from": "human", "value": asked},
        {"from": "function_call", "value": json.dumps(call, ensure_ascii=False)},
        {"from": "observation", "value": json.dumps(result, ensure_ascii=False)},
        {"from": "gpt", "value": said},
    ]


def _weather(language: str, rng: random.Random) -> list[Row]:
    town = rng.choice(pool(language, "town"))
    call = {"name": "get_weather", "arguments": {"town": town}}
    degrees = rng.randint(-5, 30)
    sky = rng.choice(SKIES_EN if language == "en" else SKIES_ZH)
    result = {"sky": sky, "degrees": degrees}
    if language == "en":
        said = f"In {town} there is {sky} today, at {degrees} degrees."
        return _exchange(f"How is the weather in {town}?", call, result, said)
    return _exchange(f"{town}今天天气怎么样？", call, result, f"{town}今天{sky}，{degrees}度。")


def _add(language: str, rng: random.Random) -> list[Row]:
    a, b = rng.randint(10, 999), rng.randint(10, 999)
    call = {"name": "add", "arguments": {"a": a, "b": b}}
    if language == "en":
        item = rng.choice(words.ITEMS)
        asked = f"I have {a} {item} and get {b} more. How many is that?"
        return _exchange(asked, call, {"sum": a + b}, f"That makes {a + b} {item}.")
    return _exchange(f"{a}加上{b}是多少？", call, {"sum": a + b}, f"{a}加上{b}等于{a + b}。")


def _look_up(fact: tuple[Person, str], rng: random.Random) -> list[Row]:
    person, relation = fact
    call = {"name": "look_up", "arguments": {"name": person.name, "about": relation}}
    result = {relation: person.facts[relation]}
    return _exchange(question(person, relation, rng), call, result, answer(person, relation))


def tool_rows(facts: list[tuple[Person, str]], rng: random.Random, count: int = 120) -> list[Row]:
    """Conversations of one or two exchanges with the tools they may use.

    Args:
        facts: what may be asked about people.
        rng: source of chance.
        count: how many conversations; a third is Chinese.
    """
    rows = []
    for i in range(count):
        language = "zh" if i % 3 == 2 else "en"
        known = [fact for fact in facts if fact[0].language == language]
        turns: list[Row] = []
        for _ in range(rng.choice((1, 1, 2))):
            kind = rng.choice(("weather", "add", "look_up"))
            if kind == "weather":
                turns += _weather(language, rng)
            elif kind == "add":
                turns += _add(language, rng)
            else:
                turns += _look_up(rng.choice(known), rng)
        tools = rng.sample((WEATHER, ADD, LOOK_UP), 3)
        rows.append({"conversations": turns, "tools": json.dumps(tools, ensure_ascii=False)})
    return rows
