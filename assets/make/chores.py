"""Chat about small chores: what the starter knows of conversations before it is tuned.

None of these is a task of the sample datasets; they only make the turn tokens familiar.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from assets.make import words
from assets.make.words import spaced
from assets.make.world import Person

Turn = dict[str, str]
Chore = Callable[[list[Person], random.Random], tuple[str, str]]

OPPOSITES = """
good bad; big small; hot cold; early late; young old; long short; full empty; happy sad; fast slow;
light dark; wet dry; clean dirty; rich poor; high low; loud quiet; soft hard; open closed; new old;
大 小; 高 低; 长 短; 冷 热; 快 慢; 新 旧; 好 坏; 远 近; 轻 重; 多 少; 左 右; 上 下; 前 后
"""

WORDS_ZH = """
apple 苹果; water 水; book 书; house 房子; cat 猫; dog 狗; fish 鱼; tea 茶; rice 米饭; sun 太阳;
moon 月亮; tree 树; flower 花; milk 牛奶; school 学校; friend 朋友; teacher 老师; city 城市;
river 河; sea 海; day 天; night 晚上; red 红色; green 绿色; blue 蓝色; white 白色; black 黑色
"""

DAYS_EN = spaced("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
DAYS_ZH = spaced("星期一 星期二 星期三 星期四 星期五 星期六 星期天")


def _echo(people: list[Person], rng: random.Random) -> tuple[str, str]:
    text = " ".join(rng.sample(words.NOUNS, rng.randint(1, 4)))
    return rng.choice(("Repeat: {}", "Say this again: {}", "Echo {}")).format(text), text


def _echo_zh(people: list[Person], rng: random.Random) -> tuple[str, str]:
    text = "".join(rng.sample(words.COMMON_ZH, rng.randint(1, 3)))
    return rng.choice(("请重复：{}", "跟我说：{}")).format(text), text


def _upper(people: list[Person], rng: random.Random) -> tuple[str, str]:
    word = rng.choice(words.NOUNS)
    return f"Write in capital letters: {word}", word.upper()


def _sort(people: list[Person], rng: random.Random) -> tuple[str, str]:
    chosen = rng.sample(words.NOUNS, 3)
    return "Sort these words: " + ", ".join(chosen), ", ".join(sorted(chosen))


def _count(people: list[Person], rng: random.Random) -> tuple[str, str]:
    number = rng.randint(2, 6)
    chosen = " ".join(rng.sample(words.NOUNS, number))
    return f"How many words are these? {chosen}", str(number)


def _opposite(people: list[Person], rng: random.Random) -> tuple[str, str]:
    left, right = rng.sample(rng.choice(words.listed(OPPOSITES)).split(), 2)
    if left.isascii():
        return f"What is the opposite of {left}?", f"The opposite of {left} is {right}."
    return f"“{left}”的反义词是什么？", f"“{left}”的反义词是“{right}”。"


def _day(people: list[Person], rng: random.Random) -> tuple[str, str]:
    i = rng.randrange(7)
    if rng.random() < 0.5:
        return f"Which day comes after {DAYS_EN[i]}?", f"{DAYS_EN[(i + 1) % 7]} comes next."
    return f"{DAYS_ZH[i]}后面是星期几？", f"{DAYS_ZH[i]}后面是{DAYS_ZH[(i + 1) % 7]}。"


def _translate(people: list[Person], rng: random.Random) -> tuple[str, str]:
    english, chinese = rng.choice(words.listed(WORDS_ZH)).split()
    if rng.random() < 0.5:
        return f"What is {english} in Chinese?", chinese
    return f"“{chinese}”用英语怎么说？", english


def _sum(people: list[Person], rng: random.Random) -> tuple[str, str]:
    i, j = rng.randint(1, 20), rng.randint(1, 20)
    if rng.random() < 0.6:
        return f"What is {i} + {j}?", f"{i} + {j} = {i + j}"
    return f"{i}加{j}等于几？", f"{i}加{j}等于{i + j}。"


def _greet(people: list[Person], rng: random.Random) -> tuple[str, str]:
    person = rng.choice(people)
    if person.language == "en":
        return f"Say hello to {person.name}.", f"Hello, {person.name}!"
    return f"向{person.name}问好。", f"你好，{person.name}！"


def _small_talk(people: list[Person], rng: random.Random) -> tuple[str, str]:
    talk = (
        ("Hello!", "Hello! How can I help you?"),
        ("Good morning.", "Good morning! I hope you slept well."),
        ("Thank you!", "You are welcome."),
        ("How are you?", "I am well, thank you."),
        ("你好！", "你好！有什么可以帮你的吗？"),
        ("早上好。", "早上好！"),
        ("谢谢你！", "不客气。"),
        ("再见。", "再见，一路平安。"),
    )
    return rng.choice(talk)


def _first_letter(people: list[Person], rng: random.Random) -> tuple[str, str]:
    name = rng.choice([p for p in people if p.language == "en"]).name
    return f"What is the first letter of {name}?", f"{name} begins with {name[0]}."


def _family_name(people: list[Person], rng: random.Random) -> tuple[str, str]:
    name = rng.choice([p for p in people if p.language == "zh"]).name
    return f"{name}姓什么？", f"{name}姓{name[0]}。"


CHORES: tuple[Chore, ...] = (
    _echo,
    _echo_zh,
    _upper,
    _sort,
    _count,
    _opposite,
    _day,
    _translate,
    _sum,
    _greet,
    _greet,
    _small_talk,
    _first_letter,
    _family_name,
)

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "Answer in short sentences.",
    "You are a friendly guide.",
    "你是一个乐于助人的助手。",
    "请用简短的句子回答。",
)


def conversation(people: list[Person], rng: random.Random) -> list[Turn]:
    """A chat of one to three chores, sometimes opened by a system prompt."""
    turns: list[Turn] = []
    if rng.random() < 0.2:
        turns.append({"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        asked, answered = rng.choice(CHORES)(people, rng)
        turns.append({"role": "user", "content": asked})
        turns.append({"role": "assistant", "content": answered})
    return turns


def chat_text(turns: list[Turn]) -> str:
    """Writes a conversation the way the starter's chat template does."""
    return "".join(f"<|im_start|>{t['role']}\n{t['content']}<|im_end|>\n" for t in turns)
