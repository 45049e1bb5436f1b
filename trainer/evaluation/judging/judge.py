"""The judging of an evaluation: what the core calls, see the package's first page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trainer.evaluation.judging.agreement import agreement_note, steadiness_note
from trainer.evaluation.judging.asking import Answered, Bench, ask_all
from trainer.evaluation.judging.cache import Cache
from trainer.evaluation.judging.plan import Row, rows_of
from trainer.evaluation.judging.summary import Group, compared, judged
from trainer.evaluation.judging.wish import VOTES, JudgeResult, JudgeWish, Key
from trainer.evaluation.seam import Asker
from trainer.failures import Failure


async def judge(wish: JudgeWish, asker: Asker, say: Callable[[int, int], None],
                stopped: Callable[[], bool]) -> JudgeResult:
    """Ask the judge about every row, and return what it comes to.

    Args:
        wish: What is to be judged.
        asker: The judge.
        say: Told (questions answered, of how many), those that were known already too.
        stopped: Whether to stop; looked at several times a second.

    Raises:
        Failure: 'judge_cannot' (it takes no conversations), or what the asker raises.
        Stopped: It was asked to stop. What was answered until then is kept in ``wish.folder``.
        OSError: The replies cannot be kept.
    """
    if reason := asker.can("chat"):
        raise Failure("judge_cannot", f"'{wish.config.model}' cannot judge: {reason}",
                      "Choose another judge.")
    wish.folder.mkdir(parents=True, exist_ok=True)
    rows = rows_of(wish)
    questions = [question for row in rows for question in row.questions]
    caches = {number: Cache(wish.folder / f"judge-{number:02d}.jsonl")
              for number in sorted({one.file for one in questions})}
    bench = Bench(wish.config, asker, caches)
    found = await ask_all(bench, questions, wish.at_once, say, stopped)
    groups = _groups(rows, found)
    results = [judged(group, wish.config, wish.seed) for group in groups]
    return JudgeResult(results, _values(groups),
                       compared(groups, results, wish.models[0], wish.seed), _notes(groups))


def _groups(rows: Sequence[Row], found: dict[str, Answered]) -> list[Group]:
    made: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        made.setdefault((row.model, row.dataset), []).append(row)
    groups: list[Group] = []
    seen: set[str] = set()
    for (model, dataset), several in made.items():
        groups.append(Group(model, dataset, several, found, frozenset(seen)))
        seen.update(groups[-1].texts())
    return groups


def _values(groups: Sequence[Group]) -> dict[str, dict[Key, float | None]]:
    values: dict[str, dict[Key, float | None]] = {}
    for group in groups:
        if group.dataset != VOTES:
            told = zip((row.key for row in group.rows), group.values(), strict=True)
            values.setdefault(group.model, {}).update(told)
    return values


def _notes(groups: Sequence[Group]) -> list[str]:
    return [note for group in groups for note in (
        steadiness_note(group.rows, group.found), agreement_note(group.rows, group.found),
        _same_note(group), _left_out_note(group), _uncounted_note(group)) if note]


def _same_note(group: Group) -> str:
    same = sum(not row.questions for row in group.rows)
    return f"{_name(group)}: {same} of {len(group.rows)} rows have the same answer twice; they " \
           "are ties, and the judge was not asked." if same else ""


def _left_out_note(group: Group) -> str:
    left_out = sum(value is None for value in group.values())
    if not left_out:
        return ""
    reason = next((one.refused for one in group.answered() if one.refused), "")
    refused = f"the judge's server refused the question ({reason[:300]}), or " if reason else ""
    return (f"{_name(group)}: {left_out} of {len(group.rows)} rows are left out, because {refused}"
            "no verdict could be read, not the second time either.")


def _uncounted_note(group: Group) -> str:
    count = sum(not call.counted for call in group.calls())
    return f"{_name(group)}: the judge's server counted no tokens in {count} of " \
           f"{len(group.calls())} replies, so that more was used than is shown." if count else ""


def _name(group: Group) -> str:
    return f"{group.model}, {group.dataset}"
