"""Events: one line each, numbered, and never in the way of training."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.contract.events import MetricsEvent, StageEvent, from_line
from trainer.emit import EventWriter


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_lines_are_numbered_and_whole(tmp_path: Path) -> None:
    emit = EventWriter(tmp_path / "a" / "events.jsonl", 3)
    emit.stage("loading", "now")
    emit.choose("model.dtype", "float32", "a reason")
    emit.warn("code", "careful", step=4)
    emit(MetricsEvent(step=1, values={"loss": None}))
    emit.close()
    events = [from_line(line) for line in lines(tmp_path / "a" / "events.jsonl")]
    assert [e.seq for e in events] == [1, 2, 3, 4] and {e.attempt for e in events} == {3}
    assert [e.type for e in events] == ["stage", "choice", "warning", "metrics"]


def test_a_torn_last_line_of_an_earlier_writer_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = EventWriter(path, 1)
    first.stage("loading")
    first.close()
    with path.open("ab") as file:
        file.write(b'{"type":"stage","sta')
    second = EventWriter(path, 1)
    second.stage("training")
    second.close()
    good = [from_line(line) for line in lines(path) if line.endswith(b"}\n")]
    assert [(e.seq, e.stage) for e in good if isinstance(e, StageEvent)] == [
        (1, "loading"), (2, "training")]


def test_a_full_disk_does_not_stop_training(tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.jsonl"
    emit = EventWriter(path, 1)
    kept, emit._file = emit._file, os.open("/dev/full", os.O_WRONLY)
    emit.stage("loading")
    emit.stage("training")
    os.close(emit._file)
    emit._file = kept
    emit.stage("saving")
    emit.close()
    assert [from_line(line).seq for line in lines(path)] == [3]
    assert capsys.readouterr().err.count("training goes on") == 1


def test_a_half_written_line_is_closed_before_the_next(tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    emit = EventWriter(path, 1)
    real, calls = os.write, []

    def short(handle: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 1:
            return real(handle, data[:10])
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(os, "write", short)
    emit.stage("loading")
    emit.stage("training")
    emit.close()
    torn, whole = lines(path)
    assert len(torn) == 11 and from_line(whole).seq == 2
