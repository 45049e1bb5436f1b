"""Files that are broken in some of their rows: exactly those rows are named, all others read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.reading.readers import number_of, read, row_at
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import Row, RowProblem
from trainer.data.reading.sources import DatasetSpec, locate

TEXTS = ["x", "", "你好，世界", "two\nlines", 'a "quoted" word', "é😀", "1,5; 2", "a\\b",
         "tab\there", 'tricky }, {"q": "a"}, [', "{", "]", "}, {", "\r\n", "'", "=1+1"]
ROWS = st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(TEXTS)), min_size=1, max_size=12)
Rows = list[dict[str, Any]]
Breaker = Callable[[bytes], bytes]



def one_line(record: bytes) -> bytes:
    return b" ".join(record.split()) + b"\r\n"


JSON_BREAKERS: dict[str, Breaker] = {
    "colon": lambda raw: raw.replace(b'"q":', b'"q"', 1),
    "quote of the key": lambda raw: raw.replace(b'"q"', b'q"', 1),
    "last quote": lambda raw: raw[:raw.rindex(b'"')] + raw[raw.rindex(b'"') + 1:],
    "closing brace": lambda raw: raw.rstrip()[:-1],
    "opening brace": lambda raw: raw.replace(b"{", b"", 1),
    "two braces": lambda raw: raw.rstrip() + b"}",
    "wrong byte": lambda raw: raw.replace(b'"n"', b'"n\xff"', 1),
    "torn character": lambda raw: raw.replace(b'"n"', b'"n\xe4\xbd"', 1),
    "NUL": lambda raw: raw.replace(b'"n"', b'"n\0"', 1),
    "no object": lambda raw: b"12",
    "word": lambda raw: raw.replace(b'"n":', b'"n": nul', 1)}

LINE_BREAKERS = JSON_BREAKERS | {
    "cut": lambda raw: raw[:len(raw) // 2],
    "nested": lambda raw: b"[" * 2000,
    "words": lambda raw: b"oops",
    "list": lambda raw: b"[" + raw + b"]"}

TABLE_BREAKERS: dict[str, Breaker] = {
    "cell too many": lambda raw: raw.rstrip(b"\r\n") + b",more\r\n",
    "wrong byte": lambda raw: raw.replace(b",", b",\xff", 1),
    "NUL": lambda raw: raw.replace(b",", b",\0", 1),
    "quote left open": lambda raw: b'"open,' + one_line(raw.replace(b'"', b"")),
    "text behind a quote": lambda raw: b'"a"b,' + one_line(raw)}


def numbered(texts: list[tuple[str, str]]) -> Rows:
    return [{"q": q, "n": n, "a": a} for n, (q, a) in enumerate(texts, 1)]


def broken(pieces: list[bytes], breakers: dict[str, Breaker], choices: dict[int, str]
           ) -> list[bytes]:
    """Break some pieces; the choices count rows from 1, modulo their number."""
    found = list(pieces)
    for number, how in choices.items():
        at = (number - 1) % len(found)
        if found[at] is pieces[at]:
            found[at] = breakers[how](pieces[at])
    return found


def the_rows(choices: dict[int, str], count: int) -> list[int]:
    return sorted({(number - 1) % count + 1 for number in choices})


def choices_of(breakers: dict[str, Breaker]) -> st.SearchStrategy[dict[int, str]]:
    return st.dictionaries(st.integers(1, 12), st.sampled_from(sorted(breakers)), min_size=1,
                           max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken")


def written(folder: Path, name: str, raw: bytes) -> DatasetSpec:
    (folder / name).write_bytes(raw)
    return locate(folder / name, name=name)


def compare(spec: DatasetSpec, rows: list[Any], wrong: list[int]) -> None:
    """Compare what is read with the true rows, one after the other and one by one."""
    watch = Watch()
    items = list(read(spec, watch=watch))
    assert [item.row for item in items if isinstance(item, RowProblem)] == wrong
    assert [number_of(item) for item in items] == list(range(1, len(rows) + 1))
    for item in items:
        if isinstance(item, Row):
            assert item.values == rows[item.number - 1]
        else:
            assert item.message.startswith(f"Row {item.row} of {spec.file_name} ")
    for number in {1, wrong[0], wrong[-1], len(rows)}:
        for index in (None, watch.index):
            assert row_at(spec, number, index) == items[number - 1]


@settings(max_examples=30, deadline=None)
@given(texts=ROWS, choices=choices_of(LINE_BREAKERS), end=st.sampled_from([b"\n", b"\r\n"]),
       plain=st.booleans())
def test_json_lines(folder: Path, texts: list[tuple[str, str]], choices: dict[int, str],
                    end: bytes, plain: bool) -> None:
    rows = numbered(texts)
    lines = [json.dumps(row, ensure_ascii=plain).encode() for row in rows]
    raw = end.join(broken(lines, LINE_BREAKERS, choices))
    if raw.startswith(b"[") and len(rows) == 1:
        return
    compare(written(folder, "rows.jsonl", raw), rows, the_rows(choices, len(rows)))


@settings(max_examples=30, deadline=None)
@given(texts=ROWS.filter(lambda texts: len(texts) > 1), choices=choices_of(JSON_BREAKERS),
       indent=st.sampled_from([None, 0, 2, 4]))
def test_a_list(folder: Path, texts: list[tuple[str, str]], choices: dict[int, str],
                indent: int | None) -> None:
    """All but the first are broken, one only where elements have no lines of their own.

    From the first the reader knows how elements begin.
    """
    rows = numbered(texts)
    choices = {n: how for n, how in choices.items() if (n - 1) % len(rows)} or {2: "colon"}
    if not indent or "opening brace" in choices.values():
        choices = dict([min(choices.items())])
    pieces = [json.dumps(row, ensure_ascii=False, indent=indent).encode() for row in rows]
    between = b", " if indent is None else b",\n"
    raw = b"[" + between.join(broken(pieces, JSON_BREAKERS, choices)) + b"]"
    compare(written(folder, "rows.json", raw), rows, the_rows(choices, len(rows)))


@settings(max_examples=30, deadline=None)
@given(texts=ROWS, choices=choices_of(TABLE_BREAKERS), quoting=st.sampled_from(
    [csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_tables(folder: Path, texts: list[tuple[str, str]], choices: dict[int, str],
                quoting: int) -> None:
    rows = [{name: str(value) for name, value in row.items()} for row in numbered(texts)]
    if "quote left open" in choices.values():
        choices = dict([min(choices.items())])
    records = []
    for row in rows:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, quoting=quoting).writerow(row.values())
        records.append(buffer.getvalue().encode())
    raw = b"q,n,a\r\n" + b"".join(broken(records, TABLE_BREAKERS, choices))
    compare(written(folder, "rows.csv", raw), rows, the_rows(choices, len(rows)))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30), wrong=st.sets(st.integers(1, 30), min_size=1, max_size=5),
       byte=st.sampled_from([b"\xff", b"\xe4\xbd", b"\0"]))
def test_plain_text(folder: Path, count: int, wrong: set[int], byte: bytes) -> None:
    wrong = {min(number, count) for number in wrong}
    lines = [f"第{number}行".encode() + (byte if number in wrong else b"") + b"\n\n"
             for number in range(1, count + 1)]
    rows = [{"text": f"第{number}行"} for number in range(1, count + 1)]
    compare(written(folder, "rows.txt", b"".join(lines)), rows, sorted(wrong))


@settings(max_examples=30, deadline=None)
@given(texts=ROWS, cut=st.floats(0, 1), suffix=st.sampled_from([".jsonl", ".json"]))
def test_a_torn_end_is_the_last_row(folder: Path, texts: list[tuple[str, str]], cut: float,
                                    suffix: str) -> None:
    rows = numbered(texts)
    pieces = [json.dumps(row).encode() for row in rows]
    start, between, end = (b"[", b", ", b"]") if suffix == ".json" else (b"", b"\n", b"\n")
    whole = start + between.join(pieces) + end
    torn = whole[:max(2, int(len(whole) * cut))]
    items = list(read(written(folder, f"torn{suffix}", torn)))
    good = [item for item in items if isinstance(item, Row)]
    assert [row.values for row in good] == rows[:len(good)]
    assert [number_of(item) for item in items] == list(range(1, len(items) + 1))
    assert len(items) - len(good) <= 1
