"""Which questions the judge is asked for each row, and what its verdicts make of the row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.contract.rubrics import Rubric, rubric_of
from trainer.evaluation.judging.asking import Answered, Question
from trainer.evaluation.judging.cache import Outcome
from trainer.evaluation.judging.question import Case, comparing, scoring
from trainer.evaluation.judging.wish import VOTES, JudgeWish, Key

Line = Mapping[str, Any]
# Of a comparison: the second model won, neither did, it lost.
WON, TIED, LOST = 1.0, 0.5, 0.0


@dataclass(frozen=True)
class Row:
    """What is asked about a row: a model's answer, beside that of another one or alone.

    Attributes:
        model: Whose row it is.
        against: The model that it is compared with; '' where answers get points.
        questions: One, or two with the answers exchanged. Points of a vote: of both answers, the
            other model's first. Empty where the answers are the same text: a tie.
        person: Whom a person called better; '' where nobody has voted.
    """

    dataset: str
    row: int
    model: str
    against: str
    questions: tuple[Question, ...]
    person: str = ""

    @property
    def key(self) -> Key:
        """By which its value is found."""
        return self.dataset, self.row

    def outcomes(self, found: Mapping[str, Answered]) -> list[Outcome]:
        """Return what the judge said to each question."""
        return [found[one.text].outcome for one in self.questions]

    def value(self, found: Mapping[str, Answered]) -> float | None:
        """Return 1, 0.5 or 0, or points; None where a verdict is missing.

        A verdict that changes with the order of the answers is a tie.
        """
        said = self.outcomes(found)
        if None in said:
            return None
        if not said:
            return TIED
        if all(isinstance(one, float | int) for one in said):
            return _points([float(one or 0) for one in said])
        values = {self._of(question, str(one))
                  for question, one in zip(self.questions, said, strict=True)}
        return values.pop() if len(values) == 1 else TIED

    def _of(self, question: Question, outcome: str) -> float:
        if outcome == "tie":
            return TIED
        return WON if (outcome == "A") == (question.shown_first == self.model) else LOST


def _points(given: Sequence[float]) -> float:
    """Return one answer's points; of two answers whether the second one has more."""
    if len(given) == 1:
        return given[0]
    return TIED if given[0] == given[1] else WON if given[1] > given[0] else LOST


def rows_of(wish: JudgeWish) -> list[Row]:
    """Return all rows in the order in which they are asked: each dataset's, then the votes."""
    rubric = rubric_of(wish.config.rubric)
    make = _compared if wish.config.mode == "pairwise" else _scored
    return [*make(wish, rubric), *_voted(wish, rubric)]


def _compared(wish: JudgeWish, rubric: Rubric) -> Iterator[Row]:
    first = wish.models[0]
    known = {_key(line): line for line in wish.predictions.get(first, ())}
    for place, model in enumerate(wish.models[1:], 2):
        lines = [line for line in wish.predictions.get(model, ()) if _key(line) in known]
        for line in _limited(lines, wish.config.limit):
            answers = {first: _answer(known[_key(line)]), model: _answer(line)}
            dataset, row = _key(line)
            blank = Question("", place, dataset, row, model)
            asked = _pair(wish, rubric, _case(line), answers, blank)
            yield Row(dataset, row, model, first, asked)


def _scored(wish: JudgeWish, rubric: Rubric) -> Iterator[Row]:
    for place, model in enumerate(wish.models, 1):
        for line in _limited(wish.predictions.get(model, ()), wish.config.limit):
            dataset, row = _key(line)
            text = scoring(rubric, _case(line), _answer(line))
            yield Row(dataset, row, model, "", (Question(text, place, dataset, row, model),))


def _voted(wish: JudgeWish, rubric: Rubric) -> Iterator[Row]:
    first = wish.models[0]
    for place, model in enumerate(wish.models[1:], 2):
        votes = [one for one in wish.votes if set(one.answers) == {first, model}]
        for row, vote in enumerate(votes[:wish.config.limit], 1):
            case = Case(messages=vote.messages)
            blank = Question("", place, VOTES, row, model)
            if wish.config.mode == "pairwise":
                asked = _pair(wish, rubric, case, vote.answers, blank)
            else:
                asked = tuple(Question(scoring(rubric, case, vote.answers[one]), place, VOTES,
                                       row, one) for one in (first, model))
            yield Row(VOTES, row, model, first, asked, vote.winner)


def _pair(wish: JudgeWish, rubric: Rubric, case: Case, answers: Mapping[str, str],
          blank: Question) -> tuple[Question, ...]:
    """Return the question in both orders, or in one that is drawn for the row."""
    first, second = wish.models[0], blank.model
    if answers[first].strip() == answers[second].strip():
        return ()
    orders = [(first, second), (second, first)]
    if not wish.config.swap:
        drawn = hashlib.sha256(f"{blank.dataset}\n{blank.row}".encode()).digest()[0] % 2
        orders = [orders[drawn]]
    return tuple(Question(comparing(rubric, case, answers[one], answers[other]), blank.file,
                          blank.dataset, blank.row, second, one) for one, other in orders)


def _limited(lines: Sequence[Line], limit: int | None) -> list[Line]:
    """Return the first lines of each dataset, by row."""
    found: list[Line] = []
    count: dict[str, int] = {}
    for line in sorted(lines, key=_key):
        dataset = _key(line)[0]
        count[dataset] = count.get(dataset, 0) + 1
        if limit is None or count[dataset] <= limit:
            found.append(line)
    return found


def _key(line: Line) -> Key:
    return str(line["dataset"]), int(line["row"])


def _answer(line: Line) -> str:
    """Return what a model said, its tool calls as JSON."""
    calls = [json.dumps(call, ensure_ascii=False) for call in line.get("calls") or ()]
    return "\n".join(filter(None, [str(line.get("prediction") or ""), *calls]))


def _case(line: Line) -> Case:
    told = line.get("reference")
    several = told if isinstance(told, list | tuple) else [] if told is None else [told]
    return Case(tuple(line.get("messages") or ()), str(line.get("prompt") or ""),
                tuple(map(str, several)))
