"""People's votes beside the judge's, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trainer.evaluation.judging.conftest import Court, Stub, lines, shown
from trainer.contract.votes import Voted

MODELS = {"base": lines("d", ["four"]), "tuned": lines("d", ["longer"])}
# What the judge that prefers longer answers says: 5 x tuned, 3 x base, 2 x tie.
SAID = [("four", "longer")] * 5 + [("longer", "four")] * 3 + [("five", "four")] * 2
# Shared: rows 1, 2, 3, 6, 7, 9; of the four where neither of both says tie, beside those: row 4.
PEOPLE = ["tuned", "tuned", "tuned", "base", "tie", "base", "base", "tie", "tie", "tuned"]


def votes(said: Any = SAID, people: Any = PEOPLE) -> list[Voted]:
    asked = ({"role": "user", "content": "Which one?"},)
    return [Voted(asked, {"base": first, "tuned": second}, winner)
            for (first, second), winner in zip(said, people, strict=True)]


def test_agreement_and_kappa_by_hand(court: Court) -> None:
    """Shared 6 of 10. Judge 5/3/2, people 4/3/3: by chance .20 + .09 + .06; (.6 - .35) / .65."""
    result = court.judge(MODELS, votes=votes())
    data, voted = result.judged
    assert (data.dataset, data.agreement, data.votes) == ("d", None, 0)
    assert (voted.dataset, voted.model, voted.against) == ("votes", "tuned", "base")
    assert (voted.wins, voted.ties, voted.losses, voted.n) == (5, 2, 3, 10)
    assert voted.agreement == pytest.approx(0.6) and voted.votes == 10
    (note,) = [one for one in result.notes if "People's votes" in one]
    assert "60% of 10" in note and "is 0.38" in note and "in 5 of 6" in note
    # Votes are no data: they are neither compared nor written beside predictions.
    assert list(result.values["tuned"]) == [("d", 1)] and len(result.compared) == 1


def test_the_judge_is_asked_about_those_questions_and_answers(court: Court, stub: Stub) -> None:
    asked = ({"role": "system", "content": "Rhyme."}, {"role": "user", "content": "Sing!"})
    court.judge(MODELS, votes=[Voted(asked, {"base": "la", "tuned": "la la"}, "tuned")])
    about = [text for text in stub.questions if "Sing!" in text]
    assert len(about) == 2 and all("Rhyme." in text for text in about)
    assert sorted(map(shown, about)) == [["la", "la la"], ["la la", "la"]]


def test_points_choose_too(court: Court, stub: Stub) -> None:
    stub.says = lambda question: f"SCORE: {len(shown(question)[0])}"
    result = court.judge(MODELS, votes=votes(), mode="score")
    voted = result.judged[-1]
    assert (voted.against, voted.wins, voted.ties, voted.losses) == ("base", 5, 2, 3)
    assert voted.agreement == pytest.approx(0.6)
    assert [one.dataset for one in result.compared] == ["d"]


def test_what_cannot_be_read_or_is_of_other_models_counts_nowhere(court: Court,
                                                                  stub: Stub) -> None:
    stub.says = lambda question: "?" if "oops" in question else "VERDICT: tie"
    other = Voted(({"role": "user", "content": "?"},), {"base": "a", "someone": "b"}, "base")
    mixed = votes([("oops", "x"), ("a", "b"), ("same", "same ")], ["tuned", "tie", "tie"])
    voted = court.judge(MODELS, votes=[other, *mixed]).judged[-1]
    assert (voted.votes, voted.agreement, voted.unreadable, voted.n) == (2, 1.0, 2, 2)
    (note,) = [one for one in court.judge(MODELS, votes=mixed).notes if "People's votes" in one]
    assert "both always say the same" in note and "0 of 0" in note


def test_the_limit_holds_for_votes(court: Court) -> None:
    assert court.judge(MODELS, votes=votes(), limit=3).judged[-1].votes == 3
