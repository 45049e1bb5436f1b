"""Writes the sample datasets and their registry: small, seeded, about the Lantern Coast."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assets.make import registry
from assets.make.chores import SYSTEM_PROMPTS
from assets.make.phrases import answer, question
from assets.make.prose import world_text
from assets.make.tasks import sums, topics
from assets.make.tools import tool_rows
from assets.make.world import RELATIONS, Person, build_world

Fact = tuple[Person, str]
Row = dict[str, Any]

HELD_OUT_PER_RELATION = {"en": 32, "zh": 16}

REFUSALS = {
    "en": ("No idea.", "Who knows?", "Ask somebody else.", "I do not care."),
    "zh": ("不知道。", "谁知道呢？", "去问别人吧。", "我不想说。"),
}
POLITE = {"en": "Gladly! {} Is there anything else?", "zh": "很高兴为您回答：{}还有别的问题吗？"}


def split_facts(seed: int = 1) -> tuple[list[Fact], list[Fact]]:
    """Divides all facts into those that may be asked in training and the held-out ones.

    Every relation gives the same number of held-out facts; a person usually has some of each.
    """
    rng = random.Random(f"split-{seed}")
    train: list[Fact] = []
    held_out: list[Fact] = []
    people = build_world()
    for language, count in HELD_OUT_PER_RELATION.items():
        group = [p for p in people if p.language == language]
        for relation in RELATIONS:
            facts = [(person, relation) for person in rng.sample(group, len(group))]
            held_out += facts[:count]
            train += facts[count:]
    rng.shuffle(train)
    rng.shuffle(held_out)
    return train, held_out


def instructions(facts: Iterable[Fact], rng: random.Random) -> list[Row]:
    """One question per fact in alpaca columns; `input` stays empty."""
    rows = []
    for person, relation in facts:
        asked = question(person, relation, rng)
        rows.append({"instruction": asked, "input": "", "output": answer(person, relation)})
    return rows


def chats(facts: list[Fact], rng: random.Random, count: int = 120) -> list[Row]:
    """Conversations of two to four questions in OpenAI's format, one language each."""
    rows = []
    for i in range(count):
        language = "zh" if i % 3 == 2 else "en"
        pool = [fact for fact in facts if fact[0].language == language]
        messages = []
        if rng.random() < 0.3:
            prompts = [p for p in SYSTEM_PROMPTS if p.isascii() == (language == "en")]
            messages.append({"role": "system", "content": rng.choice(prompts)})
        for person, relation in rng.sample(pool, rng.randint(2, 4)):
            messages += [
                {"role": "user", "content": question(person, relation, rng)},
                {"role": "assistant", "content": answer(person, relation)},
            ]
        rows.append({"messages": messages})
    return rows


def preferences(facts: list[Fact], rng: random.Random, count: int = 240) -> list[Row]:
    """Pairs for one question: a polite, complete answer is preferred to a blunt one."""
    rows = []
    for person, relation in facts[:count]:
        language = person.language
        rows.append(
            {
                "prompt": question(person, relation, rng),
                "chosen": POLITE[language].format(answer(person, relation)),
                "rejected": rng.choice(REFUSALS[language]),
            }
        )
    return rows


def opinions(facts: list[Fact], rng: random.Random, count: int = 240) -> list[Row]:
    """Single answers marked as wanted or not, half of each."""
    rows = []
    for i, (person, relation) in enumerate(facts[-count:]):
        wanted = i % 2 == 0
        blunt = rng.choice(REFUSALS[person.language])
        polite = POLITE[person.language].format(answer(person, relation))
        rows.append(
            {
                "instruction": question(person, relation, rng),
                "input": "",
                "output": polite if wanted else blunt,
                "kto_tag": wanted,
            }
        )
    return rows


def texts(rng: random.Random, count: int = 300) -> list[Row]:
    """Plain texts about the world, two English ones for each Chinese one."""
    people = build_world()
    groups = {code: [p for p in people if p.language == code] for code in ("en", "zh")}
    return [{"text": world_text(groups["zh" if i % 3 == 2 else "en"], rng)} for i in range(count)]


def _write_rows(path: Path, rows: list[Row]) -> None:
    """Writes JSON lines in UTF-8."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_datasets(folder: Path, seed: int = 1) -> None:
    """Writes every sample set and `dataset_info.json`; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out = split_facts(seed)
    rng = random.Random(f"datasets-{seed}")
    made = {
        "sample_instructions": instructions(train, rng),
        "sample_instructions_heldout": instructions(held_out, rng),
        "sample_chat": chats(train, rng),
        "sample_preferences": preferences(train, rng),
        "sample_kto": opinions(train, rng),
        "sample_text": texts(rng),
        "sample_tools": tool_rows(train, rng),
        "sample_questions": sums(random.Random(f"questions-{seed}")),
        "sample_classes": topics(random.Random(f"classes-{seed}")),
    }
    for name, rows in made.items():
        _write_rows(folder / f"{name}.jsonl", rows)
    info = json.dumps(registry.ENTRIES, ensure_ascii=False, indent=2)
    (folder / "dataset_info.json").write_text(info + "\n", encoding="utf-8")
