"""The data stages in a real run: cache, cancel, mixture, held-out rows, templates."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent, DataEvent, ProgressEvent, WarningEvent
from trainer.contract.files import read_json
from trainer.data.children.workers import DataWorker

pytestmark = pytest.mark.training
SHORT: dict[str, Any] = {"training": {"max_steps": 3}}


@pytest.fixture(autouse=True)
def own_child(warm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the data's child for each run, as a trainer does: it is what is tested here."""
    monkeypatch.setattr("trainer.splits.DataWorker", DataWorker)


@pytest.fixture
def home(runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose cache several runs share."""
    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def load(runs: Any, cf: Any, name: str, **over: Any) -> tuple[Any, list[Any]]:
    """Do the data stages of a run and nothing else; returns the splits and the events."""
    from trainer import work
    from trainer.context import Context
    from trainer.emit import EventWriter
    from trainer.splits import load_splits
    from trainer.stop import Stop

    run = runs.make(name, **over)
    attempt = runs.attempt(run)
    emit = EventWriter(attempt.events, attempt.number)
    context = Context(run, attempt, run.read_config(), emit, Stop())
    try:
        return load_splits(context, work.set_up(context)), cf.events_of(attempt)
    finally:
        emit.close()


def data_of(events: list[Any]) -> dict[str, DataEvent]:
    return {e.split: e for e in events if isinstance(e, DataEvent)}


def choices(events: list[Any], field: str) -> list[str]:
    return [e.reason for e in events if isinstance(e, ChoiceEvent) and e.field == field]


def test_the_second_run_takes_the_tokens_of_the_first(runs: Any, cf: Any, home: Path,
                                                      colours: Path) -> None:
    first = runs.train(runs.make("first", **SHORT))
    second = runs.train(runs.make("second", **SHORT))
    assert cf.end_of(second).outcome == "completed", cf.end_of(second)
    assert choices(first, "tokens") == [] and len(choices(second, "tokens")) == 1
    assert colours.name in choices(second, "tokens")[0]
    assert cf.series(first, "loss") == cf.series(second, "loss")
    assert len(list((home / "cache" / "tokens").iterdir())) == 1
    other = runs.train(runs.make("other", **cf.merge(SHORT, {"data": {"max_length": 100}})))
    assert choices(other, "tokens") == []
    (source,) = read_json(runs.root / "second" / "manifest.json")["datasets"]
    assert source["rows"] == 48 and source["name"] == colours.name


def test_a_stop_while_tokenising_is_honoured_at_once(runs: Any, cf: Any, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import tokens

    large = cf.write_rows(tmp_path / "large.jsonl", cf.colour_rows(40_000))
    seen = []

    class Stopping(tokens._Pace):
        def __call__(self, done: int, total: int) -> None:
            seen.append((done, total))
            if len(seen) == 1:
                signal.raise_signal(signal.SIGTERM) if threading.current_thread() \
                    is threading.main_thread() else os.kill(os.getpid(), signal.SIGTERM)
            super().__call__(done, total)

    monkeypatch.setattr(tokens, "_Pace", Stopping)
    run = runs.make("stopped", data={"train": [str(large)]})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "stopped", cf.end_of(events)
    assert seen and seen[-1][0] < 40_000
    assert list((run.path / "tokens").iterdir()) == []


def test_how_far_tokenising_is(runs: Any, cf: Any, tmp_path: Path) -> None:
    large = cf.write_rows(tmp_path / "large.jsonl", cf.colour_rows(20_000))
    events = runs.train(runs.make("far", data={"train": [str(large)]},
                                  training={"max_steps": 1}))
    said = [e for e in events if isinstance(e, ProgressEvent) and e.stage == "tokenizing"]
    assert said and all(0 <= e.done <= e.total and e.unit == "rows" for e in said)
    assert any(e.eta_s is not None for e in said)


def test_what_a_mixture_holds_is_what_its_weights_say(runs: Any, cf: Any, tmp_path: Path,
                                                      colours: Path) -> None:
    other = cf.write_rows(tmp_path / "other.jsonl", [
        row | {"output": "Nobody knows."} for row in cf.colour_rows(48, seed=3)])
    mixture = [{"name": str(colours), "weight": 3}, {"name": str(other), "weight": 1}]
    used = {}
    for strategy in ("concat", "interleave_under", "interleave_over"):
        splits, events = load(runs, cf, strategy, data={"train": mixture,
                                                        "mix_strategy": strategy})
        (said,) = choices(events, "data.mix_strategy")
        rows = [tuple(row["input_ids"]) for row in splits.train.dataset]
        others = {tuple(row["input_ids"]) for row in splits.sets[1].table}
        second = sum(row in others for row in rows)
        used[strategy] = data_of(events)["train"].used
        assert len(rows) == used[strategy] == len(splits.train.lengths)
        assert splits.train.lengths == [len(row) for row in rows]
        assert f"{other.name}: {second} / {len(rows)} (" in said and colours.name in said
        assert second / len(rows) == pytest.approx(0.25, abs=0.1)
    assert used["concat"] == 4 * 48 and used["interleave_under"] < 96 < used["interleave_over"]


def test_rows_of_the_evaluation_that_are_trained_on_are_said(runs: Any, cf: Any, tmp_path: Path,
                                                             colours: Path) -> None:
    def leaks(name: str, **data: Any) -> list[str]:
        events = load(runs, cf, name, data=data)[1]
        return [e.message for e in events if isinstance(e, WarningEvent) and e.code == "leakage"]

    copied = Path(shutil.copy(colours, tmp_path / "copied.jsonl"))
    (said,) = leaks("copied", eval=[str(copied)])
    assert "48 evaluation rows" in said and "rows 1, 2, 3, 4, 5, ..." in said
    rows = [json.loads(line) for line in copied.read_text().splitlines()]
    (said,) = leaks("limited", eval=[str(copied)], max_samples=12)
    assert said.startswith(f"{sum(row in rows[:12] for row in rows)} evaluation rows")
    animals = [{"instruction": f"How many legs has animal {n}?", "output": f"It has {n}."}
               for n in range(20)]
    apart = cf.write_rows(tmp_path / "apart.jsonl", animals)
    assert leaks("apart", train=[str(apart)], val_size=5) == []
    twice = cf.write_rows(tmp_path / "twice.jsonl", 2 * animals)
    (said,) = leaks("twice", train=[str(twice)], val_size=5)
    assert "evaluation rows" in said
    assert leaks("once", train=[str(twice)], val_size=5, deduplicate="exact") == []


def test_rows_are_filtered_and_counted(runs: Any, cf: Any, tmp_path: Path) -> None:
    path = cf.write_rows(tmp_path / "rows.jsonl", cf.colour_rows(24) + cf.colour_rows(24))
    splits, events = load(runs, cf, "filtered", data={
        "train": [str(path)], "deduplicate": "exact", "filters": {"exclude": "door|lamp"}})
    data = data_of(events)["train"]
    assert data.duplicates >= 20 and data.filtered > 0
    assert data.rows == 48 == data.used + data.duplicates + data.filtered
    assert len(splits.train) == data.used


def test_a_named_template_is_used_saved_and_spoken(runs: Any, cf: Any, colours: Path,
                                                   tiny_model: Path, tmp_path: Path) -> None:
    from tests.trainer.serving.conftest import serving

    run = runs.make("named", data={"template": "llama3", "val_size": 4},
                    tuner={"type": "full"}, training={"max_steps": 2},
                    evaluation={"samples": 1, "max_new_tokens": 4})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    (said,) = choices(events, "data.template")
    recorded = read_json(run.manifest)["chat_template"]
    assert "llama3" in said and recorded["name"] == "llama3" and recorded["how"] == "marked"
    text = (run.model / "chat_template.jinja").read_text(encoding="utf-8")
    assert text == recorded["text"] and "<|start_header_id|>" in text
    assert (tiny_model / "chat_template.jinja").read_text() == cf.CHATML
    with serving(tmp_path, run.model) as served:
        asked = served.chat("What colour is the door?", max_tokens=1)["prompt_token_ids"]
        assert "<|start_header_id|>user" in served.room.served.tokenizer.decode(asked)
        assert "<|eot_id|>" in served.room.renderings.base.stop_strings


def test_a_template_that_hangs_ends_the_run_with_a_word(runs: Any, cf: Any, tiny_model: Path,
                                                        tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    (base / "chat_template.jinja").write_text(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
    end = cf.end_of(runs.train(runs.make("hangs", model={"name_or_path": str(base)})))
    assert end.outcome == "failed" and end.code in ("template_time", "template_range"), end


def test_the_questions_are_those_of_the_held_out_rows(runs: Any, cf: Any, tmp_path: Path) -> None:
    rows = [{"question": f"Say {n}.", "answer": str(n)} for n in range(30)]
    path = cf.write_rows(tmp_path / "rows.jsonl", rows)
    run = runs.make("asked", data={"train": [str(path)], "val_size": 6},
                    evaluation={"exact_match": True, "max_new_tokens": 2},
                    training={"max_steps": 1})
    events = runs.train(run)
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    asked = [json.loads(line) for line in
             (run.eval / "predictions-tuned.jsonl").read_text().splitlines()]
    assert len(asked) == 6 == data_of(events)["eval"].used
    assert all(rows[one["row"] - 1] == {"question": one["prompt"], "answer": one["reference"]}
               for one in asked)
    assert data_of(events)["train"].rows == data_of(events)["train"].used == 24
