"""A sample of the matrix: what is refused says why, what is let through trains two steps."""

import random
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from tests.matrix.plan import pairs_of
from tests.matrix.repair import settle
from tests.matrix.space import rows

# What libraries warn of in rare combinations is no failure, as in ``make test-matrix``.
pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("default")]
# The first rows of all hold the most pairs.
CASES = 10


def test_a_sample_of_the_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    from tests.matrix.cases import Bench

    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path))
    monkeypatch.setenv("FINESTRA_RUNS", str(tmp_path / "runs"))
    with closing(Bench(tmp_path)) as bench:
        chance = random.Random(0)
        settled = [settle(values, bench.check, chance) for values in islice(rows(), CASES)]
        assert not [found.problems for found in settled if found.problems]
        assert all(code for found in settled for _, _, code, _ in found.refusals)
        found = [bench.try_out(one.values) for one in settled]
    pairs = set().union(*(pairs_of(one.values) for one in found))
    refused = sum(len(one.refusals) for one in settled)
    with capsys.disabled():
        print(f"\nmatrix: {len(found)} cases, {len(pairs):,} pairs of choices trained, "
              f"{refused} refused on the way, {sum(one.seconds for one in found):.0f} s")
    failed = [(one.values, one.message) for one in found if one.kind == "failed"]
    assert not failed, failed[0]
