"""docs/matrix.md, from the plan and what became of its cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.matrix.plan import ROOT, Plan, key_of, pairs_of

DOCUMENT = ROOT / "docs" / "matrix.md"
HEAD = """# The matrix

Every pair of choices of the Train form, on the starter and the sample data, on a CPU: each is
trained for two steps, or the form refuses it with a reason. A case counts as trained when its run
ended by itself, the loss of both steps is a number, and weights were left.

`make test-matrix` does it: `allpairs` draws configs (fields that mean something only beside others
at random), what is refused in them gets another value until the form lets the config through, and
pairs that were lost on the way get a case of their own. A pair counts as refused when the form
refuses it even beside the defaults of everything else. `make test-matrix MATRIX="--part 2/4"` does
a quarter; outcomes are kept in `build/matrix`, and a later run goes on with what is not trained
yet. `make test` tries a sample.
"""


def document(plan: Plan, known: Mapping[str, Mapping[str, Any]], seed: int) -> str:
    """Return the page."""
    return f"{HEAD}\n## The last run\n\n{summary(plan, known, seed)}\n"


def summary(plan: Plan, known: Mapping[str, Mapping[str, Any]], seed: int) -> str:
    """Return what was tried and covered, as Markdown."""
    tried = [known[key] for key in map(key_of, plan.cases) if key in known]
    kinds = Counter(one["kind"] for one in tried)
    pairs: set[Any] = set()
    for one in tried:
        if one["kind"] == "trained":
            pairs |= pairs_of(one["values"])
    refused, trained = sum(plan.refused.values()), len(pairs)
    minutes = sum(one["seconds"] for one in tried) / 60
    left = max(0, plan.asked - trained - refused)
    lines = [
        f"- {len(plan.cases):,} cases planned (seed {seed}), {len(tried):,} tried: "
        f"{kinds['trained']:,} trained two steps, {kinds['failed']:,} failed, "
        f"{kinds['rows']:,} refused when their rows had been read; "
        f"{minutes:.0f} minutes of one core",
        f"- {plan.asked:,} pairs of choices: {trained:,} trained ({share(trained, plan.asked)}), "
        f"{refused:,} refused ({share(refused, plan.asked)}), {left:,} "
        f"not tried ({share(left, plan.asked)})",
        "- choices that this machine or the starter cannot have at all: "
        + (", ".join(f"`{path}` {value} (`{code}`)" for path, value, code in plan.impossible)
           or "none"),
        "- pairs refused, by the reason's code: " + counted(plan.refused),
        "- configs changed on the way, by the reason's code: " + counted(plan.codes)]
    return "\n".join(lines)


def share(part: int, whole: int) -> str:
    """Return a percentage."""
    return f"{part / max(1, whole):.1%}"


def counted(numbers: Mapping[str, int]) -> str:
    """Return names with numbers, the largest first."""
    return ", ".join(f"`{name}` {number:,}" for name, number in
                     sorted(numbers.items(), key=lambda item: -item[1])) or "none"
