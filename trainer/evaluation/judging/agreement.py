"""How often the judge says the same as people, and the same as itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trainer.evaluation.judging.asking import Answered
from trainer.evaluation.judging.plan import LOST, TIED, WON, Row
from trainer.evaluation.judging.stats import kappa

Found = Mapping[str, Answered]


def pairs_of(rows: Sequence[Row], found: Found) -> list[tuple[float, float]]:
    """Return (what a person said, what the judge said) of each vote whose verdict was read."""
    both = [(row.value(found), row) for row in rows if row.person]
    return [(_person(row), value) for value, row in both if value is not None]


def _person(row: Row) -> float:
    return WON if row.person == row.model else LOST if row.person == row.against else TIED


def agreement_of(rows: Sequence[Row], found: Found) -> tuple[float | None, int]:
    """Return (share of votes that the judge shares, how many votes); a tie is shared by a tie."""
    pairs = pairs_of(rows, found)
    same = sum(person == judge for person, judge in pairs)
    return (same / len(pairs) if pairs else None), len(pairs)


def agreement_note(rows: Sequence[Row], found: Found) -> str:
    """Return kappa and the agreement without ties, in words; '' without votes."""
    pairs = pairs_of(rows, found)
    if not pairs:
        return ""
    shared, votes = agreement_of(rows, found)
    decided = [pair for pair in pairs if TIED not in pair]
    same = sum(person == judge for person, judge in decided)
    chance = kappa(pairs)
    told = "cannot be told, because both always say the same" if chance is None else \
        f"is {chance:.2f}"
    return (f"People's votes on {rows[0].model} beside {rows[0].against}: the judge says the same "
            f"in {shared:.0%} of {votes} (a tie counts as shared only where both call it one). "
            f"Cohen's kappa, which takes chance out, {told}. Where neither called it a tie, they "
            f"say the same in {same} of {len(decided)}.")


def steadiness_note(rows: Sequence[Row], found: Found) -> str:
    """Return how often a verdict stayed the same when the answers were exchanged; '' if unasked."""
    twice = [row for row in rows if row.against and len(row.questions) == 2
             and all(one.shown_first for one in row.questions)]
    read = [row for row in twice if row.value(found) is not None]
    if not read:
        return ""
    steady = sum(_is_steady(row, found) for row in read)
    said = [one for row in read for one in row.outcomes(found) if one != "tie"]
    first = f" Of {len(said)} verdicts for one of them, {said.count('A') / len(said):.0%} were " \
            "for the answer that was shown first." if said else ""
    return (f"{rows[0].model} beside {rows[0].against}, {rows[0].dataset}: the judge said the same "
            f"in both orders in {steady} of {len(read)} rows ({steady / len(read):.0%}); the "
            f"others are ties.{first}")


def _is_steady(row: Row, found: Found) -> bool:
    return {"A": "B", "B": "A", "tie": "tie"}[str(row.outcomes(found)[0])] \
        == row.outcomes(found)[1]
