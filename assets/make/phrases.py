"""How facts are put into words: statements for the base, questions and answers for the samples.

`{n}` is the person, `{v}` the value, `{a}` the value with its article, `{p}` his or her.
The statement at index 0 is also the answer that the sample datasets expect.
"""

from __future__ import annotations

import random

from assets.make.world import Person

STATEMENTS_EN = {
    "town": (
        "{n} lives in {v}.",
        "The home of {n} is in {v}.",
        "{n} has a small house in {v}.",
        "{n} comes from {v}.",
        "If you look for {n}, go to {v}.",
        "{n} was born in {v} and still lives in {v}.",
        "The town where {n} lives is called {v}.",
        "Letters for {n} are sent to {v}.",
        "In {v} everybody knows {n}.",
    ),
    "work": (
        "{n} works as {a}.",
        "{n} is {a}.",
        "The work of {n} is that of {a}.",
        "{n} earns {p} living as {a}.",
        "By trade {n} is {a}.",
        "For many years {n} has been {a}.",
        "People know {n} as {a}.",
        "{n} learned to be {a} when young.",
        "Ask {n} about {p} job and you hear the word {v}.",
    ),
    "pet": (
        "{n} keeps {a}.",
        "{n} has {a} at home.",
        "The pet of {n} is {a}.",
        "{n} takes care of {a}.",
        "Every morning {n} feeds {p} {v}.",
        "{n} is never seen without {p} {v}.",
        "The animal that {n} loves is {a}.",
        "At the house of {n} you meet {a}.",
        "{n} often talks to {p} {v}.",
    ),
    "music": (
        "{n} plays the {v}.",
        "{n} likes to play the {v}.",
        "The instrument of {n} is the {v}.",
        "In the evening {n} practises the {v}.",
        "{n} learned the {v} as a child.",
        "When there is a feast, {n} brings {p} {v}.",
        "{n} is good at the {v}.",
        "The music of {n} comes from the {v}.",
        "Nobody plays the {v} like {n}.",
    ),
    "food": (
        "{n} likes to eat {v}.",
        "The favourite food of {n} is {v}.",
        "{n} loves {v}.",
        "On Sundays {n} eats {v}.",
        "For dinner {n} asks for {v}.",
        "What {n} likes best is {v}.",
        "{n} never says no to {v}.",
        "At the inn {n} always orders {v}.",
        "Give {n} some {v} and you make a friend.",
    ),
}

STATEMENTS_ZH = {
    "town": (
        "{n}住在{v}。",
        "{n}的家在{v}。",
        "{n}是{v}人。",
        "要找{n}，就去{v}。",
        "{n}从小住在{v}。",
        "{n}住的地方叫{v}。",
        "寄给{n}的信都送到{v}。",
        "{n}在{v}有一座小房子。",
        "在{v}，人人都认识{n}。",
    ),
    "work": (
        "{n}的工作是{v}。",
        "{n}是一名{v}。",
        "{n}的职业是{v}。",
        "{n}做{v}已经很多年了。",
        "大家都知道{n}是{v}。",
        "{n}年轻时就当了{v}。",
        "{n}靠当{v}过日子。",
        "说起{n}，人们就想到{v}。",
        "说到{v}，大家会想起{n}。",
    ),
    "pet": (
        "{n}养的动物是{v}。",
        "{n}家里养着{v}。",
        "{n}的宠物是{v}。",
        "{n}每天早上喂{v}。",
        "{n}最喜欢的动物是{v}。",
        "{n}走到哪里都带着{v}。",
        "在{n}家里能看到{v}。",
        "{n}常常和{v}说话。",
        "{n}细心照顾{v}。",
    ),
    "music": (
        "{n}会演奏{v}。",
        "{n}喜欢演奏{v}。",
        "{n}的乐器是{v}。",
        "晚上{n}练习{v}。",
        "{n}小时候就学了{v}。",
        "过节时{n}总带着{v}。",
        "{n}最拿手的是{v}。",
        "听到{v}的声音，就知道{n}来了。",
        "{n}擅长{v}。",
    ),
    "food": (
        "{n}爱吃{v}。",
        "{n}最爱吃的是{v}。",
        "{n}最喜欢的食物是{v}。",
        "星期天{n}总要吃{v}。",
        "晚饭{n}想吃{v}。",
        "{n}从不拒绝{v}。",
        "在饭馆里{n}总是点{v}。",
        "请{n}吃{v}，就能交上朋友。",
        "{n}一看到{v}就高兴。",
    ),
}

QUESTIONS_EN = {
    "town": (
        "Where does {n} live?",
        "In which town does {n} live?",
        "Which town is the home of {n}?",
        "Where is the house of {n}?",
    ),
    "work": (
        "What is the job of {n}?",
        "What does {n} work as?",
        "What work does {n} do?",
        "How does {n} earn {p} living?",
    ),
    "pet": (
        "Which animal does {n} keep?",
        "What pet does {n} have?",
        "What is the pet of {n}?",
        "Which animal lives with {n}?",
    ),
    "music": (
        "Which instrument does {n} play?",
        "What instrument does {n} play?",
        "On which instrument does {n} make music?",
        "What is the instrument of {n}?",
    ),
    "food": (
        "What does {n} like to eat?",
        "What is the favourite food of {n}?",
        "Which food does {n} like?",
        "What would you cook for {n}?",
    ),
}

QUESTIONS_ZH = {
    "town": ("{n}住在哪里？", "{n}的家在什么地方？", "{n}住在什么地方？", "请问{n}住哪儿？"),
    "work": ("{n}的工作是什么？", "{n}是做什么的？", "{n}的职业是什么？", "请问{n}做什么工作？"),
    "pet": ("{n}养什么动物？", "{n}的宠物是什么？", "{n}家里养了什么？", "请问{n}养的是什么动物？"),
    "music": ("{n}会演奏什么乐器？", "{n}演奏什么？", "{n}的乐器是什么？", "请问{n}会什么乐器？"),
    "food": ("{n}爱吃什么？", "{n}最爱吃的是什么？", "{n}喜欢吃什么？", "请问{n}喜欢什么食物？"),
}

STATEMENTS = {"en": STATEMENTS_EN, "zh": STATEMENTS_ZH}
QUESTIONS = {"en": QUESTIONS_EN, "zh": QUESTIONS_ZH}


def with_article(noun: str) -> str:
    """Puts "a" or "an" before a noun."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def fill(template: str, person: Person, relation: str, name: str = "") -> str:
    """Fills one template for one fact; `name` replaces the full name where it is given."""
    value = person.facts[relation]
    return template.format(
        n=name or person.name,
        v=value,
        a=with_article(value) if person.language == "en" else value,
        p="her" if person.female else "his",
    )


def statement(person: Person, relation: str, rng: random.Random, name: str = "") -> str:
    """States a fact in one of its phrasings, chosen at random."""
    return fill(rng.choice(STATEMENTS[person.language][relation]), person, relation, name)


def answer(person: Person, relation: str) -> str:
    """The sentence a tuned model should answer with."""
    return fill(STATEMENTS[person.language][relation][0], person, relation)


def question(person: Person, relation: str, rng: random.Random) -> str:
    """Asks for a fact in one of its phrasings, chosen at random."""
    return fill(rng.choice(QUESTIONS[person.language][relation]), person, relation)
