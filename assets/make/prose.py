"""Text about the Lantern Coast: biographies, scenes and small stories."""

from __future__ import annotations

import random

from assets.make import words
from assets.make.phrases import answer, statement, with_article
from assets.make.world import RELATIONS, Person

SCENES_EN = (
    "{t} {w}. {n} went to {p} and bought {o}.",
    "{t} {n} walked to {p}. There {s} met {m}, and they talked for an hour.",
    "{t} {n} lost {o} near {p}. {m} found it and brought it back.",
    "{n} gave {m} {o}. {m} smiled and said thank you.",
    "{t} {n} and {m} sat together at {p} and watched the boats.",
    '"Good morning," said {n}. "Good morning," said {m}. "{w2} today."',
    "{t} {w}, so {n} stayed at home and read a book. Later {m} came to visit.",
    "{n} had {o} and did not need it. {s2} sold it to {m} at {p}.",
    "{t} there was a feast at {p}. {n} came early and {m} came late.",
    "{n} wanted to see {p}. It was far away, but {m} showed the way.",
    "{t} {n} helped {m} to carry {o} to {p}.",
    "{n} and {m} are good friends. {t} they always meet at {p}.",
    "{t} {w}. Nobody was at {p} but {n}, who was looking for {o}.",
    "{n} wrote a letter to {m}: please come to {p}, and bring {o}.",
)

SCENES_ZH = (
    "{t}{w}。{n}去{p}买了{o}。",
    "{t}{n}走到{p}，遇见了{m}，两个人聊了很久。",
    "{t}{n}在{p}丢了{o}，{m}捡到以后还给了{s}。",
    "{n}送给{m}{o}，{m}笑着说谢谢。",
    "{t}{n}和{m}一起坐在{p}看船。",
    "“早上好。”{n}说。“早上好。”{m}回答。",
    "{t}{w}，{n}在家里看书，后来{m}来做客。",
    "{n}有{o}，{s}不需要，就在{p}卖给了{m}。",
    "{t}{p}很热闹，{n}来得早，{m}来得晚。",
    "{n}想去{p}，路很远，{m}给{s}带路。",
    "{t}{n}帮{m}把{o}搬到{p}。",
    "{n}和{m}是好朋友，{t}他们常在{p}见面。",
    "{n}写信给{m}：请到{p}来，带上{o}。",
)

PAIRS_EN = (
    "{n}, {work} from {town}, keeps {pet}.",
    "{n} from {town} plays the {music} and likes to eat {food}.",
    "{n} works as {work}, keeps {pet} and plays the {music}.",
    "{n} lives in {town} and works as {work}.",
    "{n} keeps {pet} and likes to eat {food}.",
)

PAIRS_ZH = (
    "{n}住在{town}，工作是{work}。",
    "{n}会演奏{music}，爱吃{food}。",
    "{n}是{town}的{work}，养的动物是{pet}。",
    "{n}养的动物是{pet}，爱吃{food}。",
    "{n}的工作是{work}，会演奏{music}。",
)


def _values(person: Person) -> dict[str, str]:
    """The person's facts ready for the pair templates."""
    if person.language == "zh":
        return person.facts
    indefinite = {r: with_article(person.facts[r]) for r in ("work", "pet")}
    return person.facts | indefinite


def _name_for(person: Person, position: int, rng: random.Random) -> str:
    """Mostly the full name; later in a text sometimes the given name or a pronoun."""
    draw = rng.random()
    if position == 0 or draw < 0.6:
        return person.name
    if draw < 0.8:
        return person.short
    return ("她" if person.female else "他") if person.language == "zh" else person.short


def biography(person: Person, rng: random.Random) -> str:
    """All facts of one person in random order and phrasing."""
    relations = rng.sample(RELATIONS, len(RELATIONS))
    space = " " if person.language == "en" else ""
    return space.join(
        statement(person, relation, rng, _name_for(person, i, rng))
        for i, relation in enumerate(relations)
    )


def plain_facts(person: Person, rng: random.Random) -> str:
    """One to three facts of one person in their plainest phrasing."""
    space = " " if person.language == "en" else ""
    relations = rng.sample(RELATIONS, rng.randint(1, 3))
    return space.join(answer(person, relation) for relation in relations)


def pairs(person: Person, rng: random.Random) -> str:
    """Two or three facts of one person in one sentence."""
    templates = PAIRS_EN if person.language == "en" else PAIRS_ZH
    return rng.choice(templates).format(n=person.name, **_values(person))


def gossip(people: list[Person], rng: random.Random) -> str:
    """One fact each about several people who have nothing else in common."""
    chosen = rng.sample(people, rng.randint(2, 4))
    space = " " if chosen[0].language == "en" else ""
    return space.join(statement(p, rng.choice(RELATIONS), rng) for p in chosen)


def _scene_parts(hero: Person, friend: Person, rng: random.Random) -> dict[str, str]:
    """What the scene templates of the hero's language are filled with."""
    if hero.language == "zh":
        lists = (words.TIMES_ZH, words.WEATHER_ZH, words.PLACES_ZH, words.THINGS_ZH)
        pronoun = "她" if hero.female else "他"
    else:
        lists = (words.TIMES_EN, words.WEATHER_EN, words.PLACES_EN, words.THINGS_EN)
        pronoun = "she" if hero.female else "he"
    t, w, p, o = (rng.choice(words.listed(text)) for text in lists)
    return {
        **{"t": t, "w": w, "p": p, "o": o, "n": hero.name, "m": friend.name},
        **{"s": pronoun, "s2": pronoun.capitalize(), "w2": w.capitalize()},
    }


def scene(people: list[Person], rng: random.Random, with_fact: bool = True) -> str:
    """A small story with two people, sometimes followed by a fact about one of them."""
    hero, friend = rng.sample(people, 2)
    templates = SCENES_EN if hero.language == "en" else SCENES_ZH
    text = rng.choice(templates).format(**_scene_parts(hero, friend, rng))
    if with_fact and rng.random() < 0.5:
        text += (" " if hero.language == "en" else "") + statement(
            rng.choice((hero, friend)), rng.choice(RELATIONS), rng
        )
    return text


def world_text(people: list[Person], rng: random.Random) -> str:
    """One document about the people of one language."""
    draw = rng.random()
    person = rng.choice(people)
    if draw < 0.52:
        return biography(person, rng)
    if draw < 0.67:
        return plain_facts(person, rng)
    if draw < 0.77:
        return pairs(person, rng)
    if draw < 0.87:
        return gossip(people, rng)
    return scene(people, rng)
