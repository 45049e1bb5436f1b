"""A home in which files are prepared, by a worker that all tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.trainer.data.conftest import Make
from trainer.data.children import prepare as preparing
from trainer.data.children.prepare import Prepared, prepare
from trainer.data.children.workers import DataWorker, Limits
from trainer.data.tokens.request import PrepareRequest, Source


@pytest.fixture(scope="module")
def worker() -> Iterator[DataWorker]:
    with DataWorker(Limits(render_s=2)) as found:
        yield found


class Lab:
    """Prepares files in a home of its own."""

    def __init__(self, home: Path, model: Path, make: Make, worker: DataWorker) -> None:
        self.home, self.model, self.make, self.worker = home, model, make, worker

    def request(self, rows: Any, name: str = "data.jsonl", **settings: Any) -> PrepareRequest:
        path = rows if isinstance(rows, str) else str(self.make(rows, name).path)
        return PrepareRequest(Source(path, self.home), self.model, **settings)

    def prepare(self, rows: Any, **settings: Any) -> Prepared:
        return prepare(self.request(rows, **settings), worker=self.worker)


@pytest.fixture
def lab(tmp_path: Path, model_folder: Path, make: Make, worker: DataWorker) -> Lab:
    return Lab(tmp_path / "home", model_folder, make, worker)


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows be worth three processes."""
    monkeypatch.setattr(preparing, "LEAST_BYTES", 1)
    monkeypatch.setattr(preparing, "cores", lambda: 3)


def table(prepared: Prepared) -> list[dict[str, Any]]:
    with pa.memory_map(str(prepared.file)) as file:
        return list(pa.ipc.open_stream(file).read_all().to_pylist())


def asked(count: int, answer: str = "yes") -> list[dict[str, str]]:
    return [{"question": f"Is it {n}?", "answer": f"{answer} {n}"} for n in range(1, count + 1)]
