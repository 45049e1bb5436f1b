"""Parquet and Arrow files: plain values, batches, and files that are not whole."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from trainer.data.reading.readers import read, row_at
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import DatasetError, Row
from trainer.data.reading.sources import DatasetSpec, locate

COUNT = 1700
NAMES = ["a.parquet", "file.arrow", "stream.arrow"]


def write(table: pyarrow.Table, path: Path, size: int = 700) -> DatasetSpec:
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=size)
    else:
        kind = pyarrow.ipc.new_file if path.stem == "file" else pyarrow.ipc.new_stream
        with kind(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=size)
    return locate(path, name=path.name)


def values_of(spec: DatasetSpec) -> list[dict[str, Any]]:
    return [row.values for row in read(spec) if isinstance(row, Row)]


@pytest.mark.parametrize("name", NAMES)
def test_any_row_is_found(tmp_path: Path, name: str) -> None:
    table = pyarrow.table({"n": range(1, COUNT + 1), "text": ["好 😀"] * COUNT})
    spec, watch = write(table, tmp_path / name), Watch()
    assert [row.number for row in read(spec, watch=watch)  # type: ignore[union-attr]
            ] == list(range(1, COUNT + 1))
    assert watch.bytes_done == watch.bytes_total == spec.size()
    for number in (1, 500, 700, 701, 1300, COUNT):
        for index in (watch.index, None):
            assert row_at(spec, number, index) == Row(number, {"n": number, "text": "好 😀"})
    assert row_at(spec, COUNT + 1, watch.index) is None
    assert len(watch.index) == 3


@pytest.mark.parametrize("name", NAMES)
def test_values_are_plain(tmp_path: Path, name: str) -> None:
    columns: dict[str, Any] = {
        "messages": [[{"role": "user", "content": "你"}], None],
        "when": [datetime(2024, 5, 6, 7, 8), None], "day": [date(2024, 5, 6), None],
        "took": [timedelta(seconds=90), None], "price": [Decimal("1.50"), Decimal("2.00")],
        "raw": [b"text", b"\xff\xfe"], "score": [1.5, float("nan")], "yes": [True, False],
        "nested": [{"a": [1.5, float("inf")], "b": None}, {"a": [], "b": b"x"}]}
    table = pyarrow.table(columns)
    table = table.append_column("map", pyarrow.array(
        [[("k", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())))
    table = table.append_column("word", pyarrow.array(["a", "b"]).dictionary_encode())
    first, second = values_of(write(table, tmp_path / name))
    assert first == {
        "messages": [{"role": "user", "content": "你"}], "when": "2024-05-06T07:08:00",
        "day": "2024-05-06", "took": "0:01:30", "price": 1.5, "raw": "text", "score": 1.5,
        "yes": True, "nested": {"a": [1.5, None], "b": None}, "map": {"k": 1}, "word": "a"}
    assert second["raw"] == "<2 bytes>"
    assert second["price"] == 2
    assert second["score"] is second["messages"] is second["map"] is None
    json.dumps([first, second], allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_classes_are_read_as_their_names(tmp_path: Path, name: str) -> None:
    features = {"label": {"names": ["bad", "good"], "_type": "ClassLabel"},
                "text": {"dtype": "string", "_type": "Value"}}
    table = pyarrow.table({"text": ["a", "b", "c"], "label": [1, 0, -1]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})})
    spec, watch = write(table, tmp_path / name), Watch()
    assert [row.values["label"] for row in read(spec, watch=watch) if isinstance(row, Row)] == [
        "good", "bad", -1]
    assert watch.notes == ["The numbers of the column 'label' are read as their names: 'bad', "
                           "'good'."]


def test_the_index_of_a_pandas_frame_is_no_column(tmp_path: Path) -> None:
    spec = write(pyarrow.table({"a": [1], "__index_level_0__": [7]}), tmp_path / "a.parquet")
    assert values_of(spec) == [{"a": 1}]


def test_a_folder_saved_by_the_datasets_library(tmp_path: Path) -> None:
    for at in (0, 1):
        write(pyarrow.table({"n": [at]}), tmp_path / f"data-0000{at}-of-00002.arrow")
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text('{"_data_files": []}')
    spec = locate(tmp_path, name="saved")
    assert [row.values["n"] for row in read(spec) if isinstance(row, Row)] == [0, 1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cut", [0.3, 0.8, 0.99])
def test_a_torn_file_says_so(tmp_path: Path, name: str, cut: float) -> None:
    spec = write(pyarrow.table({"text": [f"row {n}" for n in range(5000)]}), tmp_path / name)
    raw = spec.path.read_bytes()
    spec.path.write_bytes(raw[:int(len(raw) * cut)])
    with pytest.raises(DatasetError) as caught:
        list(read(spec))
    assert caught.value.code == "damaged_file"
    assert name in caught.value.message


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    for name in NAMES:
        with pytest.raises(DatasetError, match="has no rows"):
            list(read(write(pyarrow.table({"a": pyarrow.array([], "string")}), tmp_path / name)))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["a", "a"])
    with pytest.raises(DatasetError, match="two columns 'a'"):
        list(read(write(table, tmp_path / "file.arrow")))


def test_a_table_with_ten_thousand_columns(tmp_path: Path) -> None:
    table = pyarrow.table({f"c{n}": [n, None] for n in range(10_000)})
    first, second = values_of(write(table, tmp_path / "a.parquet"))
    assert first["c9999"] == 9999
    assert len(second) == 10_000
