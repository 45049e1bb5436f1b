"""Rows that nothing can be learned from as they are, but that evaluations know.

Questions with choices as MMLU, ARC, C-Eval and HellaSwag write them, and programs with tests as
HumanEval and MBPP do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from trainer.data.reading.readers import read
from trainer.data.reading.rows import Row, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.evaluation.seam import Ask
from trainer.scoring.words import has_han

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SAMPLED = 100
DIGITS = 9
_QUESTIONS = ("question", "query", "problem", "prompt", "stem", "ctx", "goal", "input", "问题")
_CHOICES = ("choices", "options", "endings", "candidates", "选项")
_ANSWERS = ("answer", "answerKey", "answer_key", "label", "correct", "correct_answer", "answer_idx",
            "answer_index", "target", "gold", "答案")
_ABOVE = ("passage", "context", "article")
_TESTS = ("test", "tests", "test_list", "test_code")
_PROGRAMS = ("prompt", "text", "question", "instruction", "task")
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Choices:
    """How the choices of a dataset are put.

    Attributes:
        listed: They stand in the question, and a letter is asked for; else the question stands
            alone, and each choice is looked at as its answer.
        letters: Whether the likelihood of each letter is wanted.
        base: What the first choice is counted as, where answers are numbers.
    """

    listed: bool
    letters: bool = False
    base: int = 0


@dataclass(frozen=True)
class _Choice:
    """A question, what can be chosen and which of it is right, from 0."""

    question: str
    texts: tuple[str, ...]
    right: int


def has_choices(spec: DatasetSpec) -> int | None:
    """Tell whether most rows are questions with choices; returns what the first is counted as.

    None when they are not.
    """
    rows = _sample(spec)
    for base in (0, 1):
        if rows and sum(_choice(row, base) is not None for row in rows) * 10 >= len(rows) * 9:
            return base
    return None


def has_tests(spec: DatasetSpec) -> bool:
    """Tell whether most rows are programs to be written, with tests."""
    rows = _sample(spec)
    return bool(rows) and sum(_program(row) is not None for row in rows) * 10 >= len(rows) * 9


def _sample(spec: DatasetSpec) -> list[Values]:
    return [row.values for row in islice(read(spec), SAMPLED) if isinstance(row, Row)]


def choice_rows(name: str, spec: DatasetSpec, choices: Choices, limit: int | None
                ) -> Iterator[Ask | str]:
    """Yield each row as a question, or what is wrong with it."""
    for row in read(spec, max_samples=limit):
        if isinstance(row, RowProblem):
            yield row.message
            continue
        found = _choice(row.values, choices.base)
        yield _listed(name, row.number, found, choices) if found and choices.listed \
            else _alone(name, row.number, found) if found \
            else f"Row {row.number} has no question with choices of which one is right."


def program_rows(name: str, spec: DatasetSpec, limit: int | None) -> Iterator[Ask | str]:
    """Yield each row as a program to be written, whose tests are the reference."""
    for row in read(spec, max_samples=limit):
        if isinstance(row, RowProblem):
            yield row.message
        elif found := _program(row.values):
            yield Ask(name, row.number, messages=({"role": "user", "content": found[0]},),
                      references=(found[1],))
        else:
            yield f"Row {row.number} has no task with tests."


def _alone(name: str, row: int, found: _Choice) -> Ask:
    return Ask(name, row, messages=({"role": "user", "content": found.question},),
               references=(found.texts[found.right],), choices=found.texts,
               right_choice=found.right)


def _listed(name: str, row: int, found: _Choice, choices: Choices) -> Ask:
    lines = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, found.texts,
                                                                  strict=False))
    wish = "请只回答正确选项的字母。" if has_han(found.question) else \
        "Answer with the letter of the right choice only."
    letter, letters = LETTERS[found.right], tuple(LETTERS[:len(found.texts)])
    return Ask(name, row, messages=({"role": "user", "content":
                                     f"{found.question}\n\n{lines}\n\n{wish}"},),
               references=(letter, f"{letter}. {found.texts[found.right]}"),
               choices=letters if choices.letters else (), label=letter,
               right_choice=found.right if choices.letters else None)


def _choice(values: Values, base: int) -> _Choice | None:
    question = _text(values, _QUESTIONS)
    texts, labels = _choices(values)
    if not question or not 2 <= len(texts) <= len(LETTERS):
        return None
    right = next((found for name in _ANSWERS if name in values
                  if (found := _right(values[name], texts, labels, base)) is not None), None)
    if right is None:
        return None
    above = _text(values, _ABOVE)
    return _Choice(f"{above}\n\n{question}" if above else question, tuple(texts), right)


def _choices(values: Values) -> tuple[list[str], list[str]]:
    """Return (the choices, what they are called)."""
    found = next((values[name] for name in _CHOICES if values.get(name)), None)
    if isinstance(found, dict) and {"text", "label"} <= found.keys():
        labels = found["label"] if isinstance(found["label"], list) else []
        return _texts(found["text"]), [str(one) for one in labels]
    if isinstance(found, dict):
        return _texts(list(found.values())), [str(name) for name in found]
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return (_texts([one.get("text") for one in found]),
                [str(one.get("label") or one.get("key") or "") for one in found])
    if found is None:
        letters = [letter for letter in LETTERS[:8] if isinstance(values.get(letter), str)]
        return _texts([values[letter] for letter in letters]), letters
    return _texts(found), list(LETTERS)


def _texts(value: Any) -> list[str]:
    """Return choices as texts; none when one of them is none."""
    if not isinstance(value, list):
        return []
    found = [str(one).strip() if isinstance(one, str | int | float) else "" for one in value]
    return found if all(found) else []


def _right(value: Any, texts: Sequence[str], labels: Sequence[str], base: int) -> int | None:
    """Return which choice an answer names: by its label, its number, or its text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        if value in labels[:len(texts)]:
            return list(labels).index(value)
        if value in texts:
            return list(texts).index(value)
        # So many digits name no choice, and Python reads no more than some thousand.
        if not value.isdecimal() or len(value) > DIGITS:
            return None
        value = int(value)
    place = value - base if isinstance(value, int) else -1
    return place if 0 <= place < len(texts) else None


def _program(values: Values) -> tuple[str, str] | None:
    """Return (task, tests); HumanEval's tests are a function that wants to be called."""
    task = _text(values, _PROGRAMS)
    tests = next((values[name] for name in _TESTS if values.get(name)), None)
    text = "\n".join(map(str, tests)) if isinstance(tests, list) else str(tests or "")
    if not task or not text.strip():
        return None
    entry = values.get("entry_point")
    if isinstance(entry, str) and entry.isidentifier() and "def check(" in text:
        text += f"\n\ncheck({entry})\n"
    return task, text


def _text(values: Values, names: Sequence[str]) -> str:
    return next((str(values[name]).strip() for name in names
                 if isinstance(values.get(name), str) and values[name].strip()), "")
