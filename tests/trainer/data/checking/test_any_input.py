"""Whatever a file holds, checking it ends with a report or a DatasetError."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import check
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import SUFFIXES, DatasetSpec

NAMES = st.sampled_from(["instruction", "input", "output", "history", "system", "tools", "messages",
                         "conversations", "prompt", "completion", "question", "answer", "chosen",
                         "rejected", "label", "text", "role", "content", "from", "value", "name",
                         "tool_calls", "function", "arguments", "type"])
TEXTS = st.sampled_from(["", " ", "a", "user", "assistant", "human", "gpt", "tool", "[", "[{}]",
                         '{"name": "f"}', "\n\nHuman: a\n\nAssistant: b", "\ud83d", "\x00"])
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12)
ENTRIES: list[dict[str, Any] | None] = [
    None, {"formatting": "sharegpt"}, {"formatting": "openai", "columns": {"messages": "messages"}},
    {"columns": {"prompt": "prompt", "response": "answer", "history": "history", "tools": "tools"}},
    {"ranking": True, "columns": {"messages": "messages", "chosen": "chosen",
                                  "rejected": "rejected"}},
    {"columns": {"prompt": "text"}}, {"columns": {"messages": "messages", "kto_tag": "label"},
                                      "formatting": "sharegpt", "tags": {}}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def check_any(spec: DatasetSpec, objective: str | None) -> None:
    """Check a dataset: every row is usable or has one error, whatever warnings there are."""
    report = check(spec, objective=objective)
    json.dumps(report.document())
    errors = [problem.row for problem in report.problems if problem.severity == "error"]
    assert len(set(errors)) == len(errors) == report.rows - report.usable
    assert sum(report.problem_counts.values()) == len(report.problems)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=4),
       entry=st.sampled_from(ENTRIES), objective=st.sampled_from([None, "sft", "dpo"]))
def test_any_rows(folder: Path, rows: list[dict[str, Any]], entry: dict[str, Any] | None,
                  objective: str | None) -> None:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    spec = Registry(folder, None).resolve(str(path))
    known = DatasetEntry.model_validate({"file_name": "x", **entry}) if entry else None
    with suppress(DatasetError):
        check_any(DatasetSpec(spec.name, spec.path, spec.suffix, entry=known), objective)


@settings(max_examples=30, deadline=None)
@given(content=st.binary(min_size=1, max_size=80)
       | st.text('[]{}",:\n\\\t;01tfn\ufeffé ', min_size=1, max_size=40).map(str.encode),
       suffix=st.sampled_from(SUFFIXES), packed=st.booleans())
def test_any_bytes(folder: Path, content: bytes, suffix: str, packed: bool) -> None:
    path = folder / f"bytes{suffix}{'.gz' if packed else ''}"
    path.write_bytes(content)
    with suppress(DatasetError):
        check_any(Registry(folder, None).resolve(str(path)), None)
