"""Recognising plain text, texts with a class, and prompts that wait for an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from trainer.data.reading.entry import Columns
from trainer.data.shapes.classify import in_order, label_name
from trainer.data.shapes.mapping import ColumnMap, Shape
from trainer.data.shapes.recognise_chat import TURN_COLUMNS, ends_with_user, extras, tags_of
from trainer.data.shapes.recognise_pairs import (
    INSTRUCTIONS,
    PROBLEMS,
    QUESTIONS,
    make_pair,
    query_of,
)
from trainer.data.shapes.sample import Names, Sample, plain
from trainer.data.shapes.turns import looks_like_turns, reads_as_turns

_PROMPTS: Names = ("prompt", *INSTRUCTIONS, *QUESTIONS, *PROBLEMS, "提示")
_REFERENCES: Names = (
    "reference", "reference_answer", "ground_truth", "gold", "gold_answer", "final_answer",
    "expected_answer", "correct_answer", "target_answer", "reference_solution", "expected",
    "expected_output", "references", "参考答案", "标准答案")
_EITHER: Names = ("answer", "solution")
_SHORT = 50
_LABELS: Names = ("label", "labels", "sentiment", "intent", "emotion", "标签", "类别", "情感",
                  "polarity", "stars", "rating", "star_rating")
_GROUPS: Names = ("category", "class", "coarse_label", "department", "priority", "kategorie")
_LABEL_TEXTS: Names = ("label_text", "label_name", "labels_text", "class_name", "intent_name")
_TEXTS: Names = ("text", "sentence", "review", "content", "comment", "tweet", "headline", "title",
                 "message", "sms", "utterance", "query", "question", "document", "body", "news",
                 "ticket", "email", "feedback", "complaint", "review_text", "subject",
                 "description", "文本", "句子", "评论", "内容")
_TWO_TEXTS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"),
              ("question", "sentence"), ("text1", "text2"), ("query", "passage"))
_MANY_CLASSES, _LONG_TEXT = 100, 1000
_META: Names = ("id", "source", "category", "type", "act", "task", "domain", "ability", "topic",
                "data_source", "dataset", "difficulty", "level", "lang", "language", "split")


def prompt_with_reference(sample: Sample) -> Shape | None:
    """Recognise prompts as turns that end with the user, beside a right answer."""
    column = sample.find(("prompt", *TURN_COLUMNS), ends_with_user)
    reference = sample.find((*_REFERENCES, *_EITHER), _is_reference) if column else ""
    if not reference or sample.find(("completion", "response", "chosen")):
        return None
    return _waiting(sample, column, reference, 0.95)


def question_with_reference(sample: Sample) -> Shape | None:
    """Recognise prompts as text beside a column that is named as a right answer.

    'prompt' beside 'answer' may be either: an answer to learn, or one to compare with; the
    length of the answers decides, and the confidence says that it is a guess.
    """
    prompt = sample.find(_PROMPTS, lambda value: isinstance(value, str))
    if prompt and (reference := sample.find(_REFERENCES, _is_reference)):
        return _waiting(sample, prompt, reference, 0.9)
    prompt = sample.find(("prompt", "提示"), lambda value: isinstance(value, str))
    answer = sample.find(_EITHER, _is_reference) if prompt else ""
    if not answer:
        return None
    values = list(sample.values(answer))
    if sum(map(_is_short, values)) * 10 >= len(values) * 9:
        found = _waiting(sample, prompt, answer, 0.6)
        why = "; the answers are short, so they are taken for references, not for answers to learn"
    else:
        found = make_pair(sample, "prompt_completion", prompt, answer, 0.65)
        why = "; the answers are long, so they are taken for answers to learn, not for references"
    return Shape(found.kind, found.mapping, found.reason + why, found.confidence)


def lone_prompt(sample: Sample) -> Shape | None:
    """Recognise prompts without anything else that could be an answer."""
    column = sample.find(("prompt",), lambda v: isinstance(v, str) or ends_with_user(v))
    others = [name for name in sample.names if name != column and plain(name) not in _META_NAMES]
    if not column or any(sample.most(name, _is_prose) for name in others):
        return None
    return _waiting(sample, column, "", 0.7)


def classification(sample: Sample, more: Callable[[], Iterable[dict[str, Any]]]) -> Shape | None:
    """Recognise texts with a class, which become a question and its answer.

    Args:
        sample: The rows.
        more: Gives further rows, to learn the names of all classes: files may be sorted.
    """
    first, second = _classified(sample)
    label = sample.find((*_LABEL_TEXTS, *_LABELS, *_GROUPS), _is_label) if first else ""
    if not label or label in (first, second):
        return None
    by_group = plain(label) in map(plain, _GROUPS)
    if by_group and sample.most(first, lambda value: len(value) > _LONG_TEXT):
        return None
    names = {label_name(value) for value in sample.values(label)} - {""}
    if len(sample.rows) >= 20 and len(names) * 2 > len(sample.rows):
        return None
    names |= {label_name(row.get(label)) for row in more()} - {""}
    if len(names) < 2 and len(sample.rows) >= 20:
        return None
    classes = tuple(sorted(names, key=in_order)) if 1 < len(names) <= _MANY_CLASSES else ()
    columns = Columns(prompt=first, query=second or None, label=label, **extras(sample))
    numbered = all(name.lstrip("-").isdigit() for name in names)
    note = "; the classes have only numbers: name them in the mapping" if numbered else ""
    sure = (0.9 if not by_group else 0.6) * (1 if len(sample.rows) >= 20 else 0.7)
    return Shape("classification", ColumnMap(columns, classes=classes),
                 f"'{label}' {sample.extent(first, label)} is the class of '{first}'"
                 f"{f' and {second!r}' if second else ''}, {len(names)} in all{note}",
                 sample.share(first, label) * sure * (0.7 if numbered else 1))


def text(sample: Sample) -> Shape | None:
    """Recognise plain text, to be learned as it is."""
    if is_single_turn(sample):
        return None
    column = sample.find(("text", "content", "document", "文本"), lambda v: isinstance(v, str))
    if not column and len(sample.names) == 1 and not _is_half(sample.names[0]):
        column = sample.find(tuple(sample.names), lambda value: isinstance(value, str))
    if not column or "[" in column:
        return None
    sure = 1.0 if plain(column) == "text" and not sample.find(_PROMPTS) else 0.5
    return Shape("text", ColumnMap(Columns(prompt=column)), f"column '{column}' "
                 f"{sample.extent(column)} holds plain text", sample.share(column) * sure)


def is_single_turn(sample: Sample) -> bool:
    """Tell whether each row is one message of a conversation, with a role beside its text."""
    names = set(sample.names)
    return bool({"role", "from"} & names) and bool(
        {"parent_id", "message_id", "content", "value"} & names)


def _waiting(sample: Sample, column: str, reference: str, sure: float) -> Shape:
    """Return the shape of prompts that nobody answers."""
    is_turns = sample.most(column, reads_as_turns)
    tags, remark, guess = tags_of(sample.values(column)) if is_turns else tags_of(())
    named = {"messages" if is_turns else "prompt": column}
    if not is_turns and (query := query_of(sample, column, reference)):
        named["query"] = query
    columns = Columns(**named, reference=reference or None, **extras(sample))
    names = [name for name in (column, reference) if name]
    beside = f", '{reference}' the right answers" if reference else ", nothing answers them"
    return Shape("prompt_only", ColumnMap(columns, tags),
                 f"'{column}' {sample.extent(*names)} holds prompts{beside}{remark}",
                 sample.share(*names) * sure * guess)


def _classified(sample: Sample) -> tuple[str, str]:
    """Return the column or the two columns that a class is of."""
    for pair in _TWO_TEXTS:
        found = [sample.find((name,), lambda value: isinstance(value, str)) for name in pair]
        if all(found):
            return found[0], found[1]
    return sample.find(_TEXTS, lambda value: isinstance(value, str)), ""


def _is_half(name: str) -> bool:
    """Tell whether a column is one that never comes alone: a question without its answer."""
    return plain(name) in _HALVES


def _is_reference(value: Any) -> bool:
    return isinstance(value, str | int | float | list) and not looks_like_turns(value)


def _is_short(value: Any) -> bool:
    return not isinstance(value, str) or (len(value) <= _SHORT and "\n" not in value.strip())


def _is_label(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and 0 < len(value.strip()) <= 60)


def _is_prose(value: Any) -> bool:
    return isinstance(value, str | list | dict) and len(str(value)) > 40


_META_NAMES = frozenset(map(plain, _META))
_HALVES = frozenset(map(plain, (
    *INSTRUCTIONS, *QUESTIONS, *PROBLEMS, "prompt", "input", "output", "answer", "response",
    "completion", "solution", "chosen", "rejected", "label", "a", "user", "assistant", "source",
    "target", "输出", "答案", "回答", "指令")))
