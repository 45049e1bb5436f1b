"""Sample rows that can be checked: sums with their results, and sentences with their topic."""

from __future__ import annotations

import random
from typing import Any

from assets.make.phrases import statement
from assets.make.prose import scene
from assets.make.world import RELATIONS, build_world

Row = dict[str, Any]

SUMS = {"en": ("What is {i} + {j}?", 265), "zh": ("{i}加{j}等于几？", 135)}
LARGEST = 20
TOPICS = {"town": "home", "work": "work", "pet": "animal", "music": "music", "food": "food"}
CLASSES = sorted(TOPICS.values())


def sums(rng: random.Random) -> list[Row]:
    """Sums of two numbers, each asked once in a language; the starter gets some of them wrong."""
    both = [(i, j) for i in range(1, LARGEST + 1) for j in range(1, LARGEST + 1)]
    rows = [
        {"prompt": text.format(i=i, j=j), "reference": str(i + j)}
        for text, count in SUMS.values()
        for i, j in rng.sample(both, count)
    ]
    rng.shuffle(rows)
    return rows


def topics(rng: random.Random, count: int = 600) -> list[Row]:
    """Sentences about people with the topic that they speak of, as often each.

    Half of them stand in a little story that has nothing to do with it.
    """
    people = build_world()
    groups = {code: [p for p in people if p.language == code] for code in ("en", "zh")}
    made: dict[str, Row] = {}
    while len(made) < count:
        turn = len(made)
        language = "zh" if turn // len(RELATIONS) % 3 == 2 else "en"
        relation = RELATIONS[turn % len(RELATIONS)]
        said = statement(rng.choice(groups[language]), relation, rng)
        if rng.random() < 0.5:
            parts = [said, scene(groups[language], rng, with_fact=False)]
            rng.shuffle(parts)
            said = (" " if language == "en" else "").join(parts)
        made[said] = {"text": said, "label": TOPICS[relation]}
    rows = list(made.values())
    rng.shuffle(rows)
    return rows
