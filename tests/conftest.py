"""What every test may use."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.data.children.workers import DataWorker, Limits

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and references beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("there is no ../shared beside the checkout (real data and references)")
    return SHARED


class Lent(DataWorker):
    """A data worker whose child outlives the run that borrows it."""

    def close(self) -> None:
        """Leave the child to the next run."""

    def end(self) -> None:
        """End the child."""
        super().close()


@pytest.fixture(scope="session")
def lent() -> Iterator[Lent]:
    """One data worker for all runs that are trained in this process."""
    worker = Lent(Limits(memory_mib=8192))
    yield worker
    worker.end()


@pytest.fixture
def warm(lent: Lent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs in this process start quickly; what they compute stays the same.

    They share the data's child, whose start takes half a second, and what is imported by now is
    left out of the garbage collection that every training begins with.
    """
    monkeypatch.setattr("trainer.splits.DataWorker", lambda limits: lent)
    gc.collect()
    gc.freeze()
