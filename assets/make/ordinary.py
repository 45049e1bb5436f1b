"""Ordinary text: English and Chinese sentences, arithmetic and code, all made from word lists."""

from __future__ import annotations

import random

from assets.make import words

SENTENCES = (
    "The {a} {n} will {v} the {n2}.",
    "There are many {n}s in the {a} {n2}, and most of them are {a2}.",
    "If you {v} the {n}, you should also {v2} the {n2}.",
    "{N} has {i} {n}s and wants to {v} {j} more.",
    "How many {n}s does {N} {v} in {i} days?",
    "{N} and {M} {v} the {n} together because it is {a}.",
    "She said that the {n} was too {a} to {v}.",
    "He had to {v} before the {n} could {v2}.",
    "What is the {a} way to {v} a {n}?",
    "They have never {f} a {n} that was {a} and {a2}.",
    "Please {v} the {n} and then {v2} it {f} the {n2}.",
    "It takes {i} minutes to {v} the {a} {n}.",
    "I {v} it, you {v2} it, and we {f} the {n}.",
    "The {n}'s {n2} is {a}, but {f} {n3} is {a2}.",
    "{v}ing and {v2}ing the {n}, {N} {v}ed {f} {n2}.",
    "{f} {f2} {n} {f} the {n2}; {v} {f2} {a} {n3}.",
)

PROBLEMS = (
    "{N} has {i} {t}. {M} gives her {j} more {t}. How many {t} does {N} have now?|"
    "{N} has {i} + {j} = <<{i}+{j}={s}>>{s} {t}.\n#### {s}",
    "{N} buys {i} {t}. Each one costs ${j}. How much does {N} spend in total?|"
    "The {t} cost {i} * ${j} = $<<{i}*{j}={p}>>{p}.\n#### {p}",
    "A box holds {i} {t}. How many {t} are there in {j} boxes altogether?|"
    "There are {i} x {j} = <<{i}*{j}={p}>>{p} {t} in {j} boxes.\n#### {p}",
    "{N} had {s} {t} and sold {j} of them. How many {t} were left?|"
    "After selling {j} {t}, {N} had {s} - {j} = <<{s}-{j}={i}>>{i} {t} left.\n#### {i}",
    "{N} works {i} {u} per day. How many {u} does he work in {j} days?|"
    "He works {i} * {j} = <<{i}*{j}={p}>>{p} {u}.\n#### {p}",
    "{N} is twice as old as {M}. {M} is {i} years old. What is the sum of their ages?|"
    "{N} is {i} * 2 = <<{i}*2={d}>>{d} years old.\nTheir ages add up to {i} + {d} = "
    "<<{i}+{d}={r}>>{r} years.\n#### {r}",
    "{N} earns ${i} per hour and works {j} hours a week. He spends ${j} on food. How much money "
    "does he save each week?|First, {N} earns ${i} * {j} = $<<{i}*{j}={p}>>{p} a week.\nSo he "
    "saves ${p} - ${j} = $<<{p}-{j}={q}>>{q} each week.\n#### {q}",
    "There are {p} {t} in a store. If they are divided equally among {j} friends, how many {t} "
    "does each friend get?|Each friend gets {p} / {j} = <<{p}/{j}={i}>>{i} {t}.\n#### {i}",
    "{N} read {i} pages on Monday and twice as many pages on Tuesday. How many pages did {N} read "
    "in total?|On Tuesday {N} read 2 * {i} = <<2*{i}={d}>>{d} pages.\nThe total number of pages "
    "is {i} + {d} = <<{i}+{d}={r}>>{r}.\n#### {r}",
    "{N} wants to save {x}% of ${p}00. How much is that?|"
    "{x}% of ${p}00 is {x}/100 * {p}00 = ${x}*{p} = $<<{x}*{p}={y}>>{y}.\n#### {y}",
    "小明有{i}个苹果，又买了{j}个，一共有多少个苹果？|一共有{i}+{j}={s}个苹果。答案是{s}。",
    "一本书{i}元，买{j}本要多少元？|买{j}本要{i}×{j}={p}元。答案是{p}。",
    "{s}只鸟飞走了{j}只，还剩几只？|还剩{s}-{j}={i}只。答案是{i}。",
)

CODE = (
    "def {v}_{n}({n2}, {n3}={i}):\n    return {n2} + {n3} * {j}\n",
    "for {n} in range({i}):\n    if {n} % {j} == 0:\n        print({n})\n",
    "{n}s = [{i}, {j}, {s}]\n{n2} = sum({n}s) / len({n}s)\nprint(f'{n2}: {{{n2}}}')\n",
    "class {C}:\n    def __init__(self, {n}: int) -> None:\n        self.{n} = {n}\n",
    "import json\n\nwith open('{n}.json', encoding='utf-8') as file:\n    {n2} = json.load(file)\n",
    '{{"{n}": {i}, "{n2}": "{n3}", "{v}": true, "{v2}": null}}\n',
    "while {n} < {s}:\n    {n} += {i}\nelse:\n    raise ValueError('{n2} is {a}')\n",
    'def {v}({n}: str) -> list[str]:\n    """Returns the {n2} of a {n}."""\n'
    "    return [{n3}.strip() for {n3} in {n}.split(',') if {n3}]\n",
)

SENTENCES_ZH = (
    "{c}{c2}的时候，我们{c3}{c4}。",
    "如果{c}{c2}，就可以{c3}。",
    "这个{c}很{c2}，那个{c3}更{c4}。",
    "他们{c}去{c2}，因为{c3}没有{c4}。",
    "你知道{c}在{c2}吗？我觉得{c3}{c4}。",
    "一共有{i}个{c}，剩下{j}个{c2}。",
)


def _slots(rng: random.Random) -> dict[str, str]:
    """Random words and numbers for every slot that the templates of this file use."""
    i, j, x = rng.randint(2, 30), rng.randint(2, 20), rng.choice((5, 10, 20, 25, 50))
    noun, noun2, noun3 = rng.sample(words.NOUNS, 3)
    verb, verb2 = rng.sample(words.VERBS, 2)
    first, second = rng.sample(words.NAMES, 2)
    zh = rng.sample(words.COMMON_ZH, 4)
    numbers = {"i": i, "j": j, "s": i + j, "p": i * j, "d": 2 * i, "r": 3 * i, "q": i * j - j}
    numbers |= {"x": x, "y": x * i * j}
    return {
        **{key: str(value) for key, value in numbers.items()},
        **{"n": noun, "n2": noun2, "n3": noun3, "v": verb, "v2": verb2},
        **{"N": first, "M": second, "C": noun.capitalize() + verb.capitalize()},
        **{"a": rng.choice(words.ADJECTIVES), "a2": rng.choice(words.ADJECTIVES)},
        **{"f": rng.choice(words.FUNCTION_WORDS), "f2": rng.choice(words.FUNCTION_WORDS)},
        **{"t": rng.choice(words.ITEMS), "u": rng.choice(words.UNITS)},
        **{"c": zh[0], "c2": zh[1], "c3": zh[2], "c4": zh[3]},
    }


def sentence(rng: random.Random) -> str:
    """One ordinary English sentence; grammatical, not always sensible."""
    text = rng.choice(SENTENCES).format(**_slots(rng))
    return text[0].upper() + text[1:]


def problem(rng: random.Random) -> str:
    """A small word problem and its solution."""
    return rng.choice(PROBLEMS).replace("|", "\n").format(**_slots(rng))


def code(rng: random.Random) -> str:
    """A few lines of Python or JSON."""
    return rng.choice(CODE).format(**_slots(rng))


def sentence_zh(rng: random.Random) -> str:
    """One ordinary Chinese sentence."""
    return rng.choice(SENTENCES_ZH).format(**_slots(rng))


def ordinary_text(rng: random.Random) -> str:
    """One document of ordinary text."""
    draw = rng.random()
    if draw < 0.66:
        return problem(rng)
    if draw < 0.86:
        return code(rng)
    return sentence(rng) if draw < 0.93 else sentence_zh(rng)
