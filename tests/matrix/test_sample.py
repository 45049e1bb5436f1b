"""A sample of the matrix: each case trains two steps or is refused with a reason."""

from pathlib import Path

import pytest

from tests.matrix.__main__ import summary
from tests.matrix.space import rows

pytestmark = pytest.mark.training
EVERY, FIRST = 31, 7


def test_a_sample_of_the_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    from tests.matrix.cases import Bench

    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path))
    monkeypatch.setenv("FINESTRA_RUNS", str(tmp_path / "runs"))
    bench = Bench(tmp_path)
    cases = list(rows())[FIRST::EVERY]
    found = [bench.try_out(values) for values in cases]
    with capsys.disabled():
        print("\n" + summary(cases, [one.document() for one in found]))
    failed = [(one.values, one.message) for one in found if one.kind == "failed"]
    assert not failed, failed[0]
    assert sum(one.kind == "trained" for one in found) > len(cases) // 2
