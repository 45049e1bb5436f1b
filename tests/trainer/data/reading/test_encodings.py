"""Encodings: told by a sample, said, and never guessed over damaged UTF-8."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.reading.encodings import detect, spoken
from trainer.data.reading.readers import read, row_at
from trainer.data.reading.rowindex import Watch
from trainer.data.reading.rows import Row, RowProblem
from trainer.data.reading.sources import DatasetSpec

Make = Callable[..., DatasetSpec]
CHINESE = ["你好，世界。今天天气很好，我们去公园散步吧。", "请问如何学习机器学习？",
           "它是一个分支。😀"]
TEXTS = {
    "gb18030": CHINESE, "utf-16-le": CHINESE, "utf-16-be": ["hello", "world"],
    "utf-32-le": CHINESE, "utf-8": CHINESE,
    "big5": ["你好，世界。今天天氣很好，我們去公園散步吧。", "請問如何學習機器學習？"],
    "shift_jis": ["こんにちは、世界。今日はいい天気です。", "機械学習とは何ですか？"],
    "euc_jp": ["こんにちは、世界。今日はいい天気です。", "機械学習とは何ですか？"],
    "cp949": ["안녕하세요, 오늘은 날씨가 좋습니다.", "기계 학습은 무엇입니까?"],
    "cp1252": ["Le café est très bon à l'été", "Où êtes-vous né?", "Straße und Müller"],
    "cp1251": ["Привет, мир. Сегодня хорошая погода.", "Что такое машинное обучение?",
               "Это раздел искусственного интеллекта"],
    "koi8_r": ["Привет, мир. Сегодня хорошая погода.", "Что такое машинное обучение?",
               "Это раздел искусственного интеллекта"]}


def jsonl(texts: list[str]) -> str:
    return "".join(json.dumps({"n": n, "text": text}, ensure_ascii=False) + "\r\n"
                   for n, text in enumerate(texts, 1))


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv", "a.jsonl.gz"])
@pytest.mark.parametrize("encoding", TEXTS)
def test_encodings_are_found_and_said(make: Make, encoding: str, name: str) -> None:
    texts = TEXTS[encoding]
    mark = {"a.csv": "\""}.get(name, "")
    content = jsonl(texts) if "jsonl" in name else "\n".join(
        ["text", *(f"{mark}{text}{mark}" for text in texts)])
    watch = Watch()
    rows = list(read(make(content.encode(encoding), name), watch=watch))
    found = [row.values["text"] for row in rows if isinstance(row, Row)]
    assert found == (["text", *texts] if name == "a.txt" else texts)
    assert watch.encodings == {name: encoding}
    assert watch.notes == ([] if encoding == "utf-8" else [
        f"'{name}' looks like {spoken(encoding)} text and is read as such."])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_byte_order_marks_are_believed(make: Make, encoding: str, name: str) -> None:
    contents = {"a.jsonl": jsonl(CHINESE), "a.csv": "n,text\n1,x\n", "a.json": '[{"n": 1}]'}
    watch = Watch()
    rows = list(read(make(contents[name].encode(encoding), name), watch=watch))
    assert isinstance(rows[0], Row)
    assert str(rows[0].values["n"]) == "1"
    assert watch.encodings[name].startswith(encoding.removesuffix("-sig"))


@pytest.mark.parametrize("text", [
    '{"q": "你好"}', "姓名,年龄\n张伟,30\n王芳,25\n", "text\n东风夜放花千树\n",
    "问题,答案\n你是谁,我是助手\n"])
def test_short_chinese_files_are_found(text: str) -> None:
    assert detect(text.encode("gb18030"), whole=True).name == "gb18030"


def test_english_with_typographic_quotes_is_windows_text() -> None:
    text = "q,a\n“Hi”,it’s fine – really\n" + "plain,line\n" * 50
    assert detect(text.encode("cp1252"), whole=True).name == "cp1252"


@settings(max_examples=60, deadline=None)
@given(base=st.sampled_from(["plain", "chinese"]), data=st.data())
def test_damaged_utf8_stays_utf8(base: str, data: st.DataObject) -> None:
    """However a few places are damaged, the encoding is not taken for another one."""
    texts = [f"What is {n} and why?" for n in range(30)] if base == "plain" else CHINESE * 10
    raw = bytearray(jsonl(texts).encode())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        damage = data.draw(st.binary(min_size=1, max_size=3).map(
            lambda found: bytes(byte | 0x80 for byte in found)))
        if raw[at] not in b"\r\n":
            raw[at:at + 1] = damage
    assert detect(bytes(raw), whole=True).name == "utf-8"


@pytest.mark.parametrize("damage", [b"\x80\x80", b"\x99", b"\xa0\xa0", b"\x93\x94\x93"])
def test_damage_is_not_taken_for_typographic_quotes(damage: bytes) -> None:
    raw = jsonl([f"What is {n} and why?" for n in range(30)]).encode()
    assert detect(raw.replace(b"and", b"a" + damage + b"d", 4), whole=True).name == "utf-8"


def test_wrong_bytes_in_another_encoding_are_a_problem_of_their_row(make: Make) -> None:
    lines = jsonl(CHINESE).encode("gb18030").splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"text"', b'"te\xfftext"')
    items = list(read(make(b"".join(lines))))
    assert [isinstance(item, Row) for item in items] == [True, False, True]
    assert isinstance(items[1], RowProblem)
    assert items[1].message == ("Row 2 of data.jsonl has bytes that are not GB18030, which the "
                                "file is read as.")


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv"])
def test_carriage_returns_alone_end_lines(make: Make, name: str) -> None:
    content = {"a.jsonl": '{"a": "1"}\r{"a": "2"}\r', "a.txt": "a\r1\r\r2\r", "a.csv": "a\r1\r2\r"}
    items = list(read(make(content[name], name)))
    assert [item.values for item in items if isinstance(item, Row)][-2:] == (
        [{"text": "1"}, {"text": "2"}] if name == "a.txt" else [{"a": "1"}, {"a": "2"}])


def test_a_table_may_mix_line_ends(make: Make) -> None:
    items = list(read(make('a,b\r\n1,"x\ry"\n2,"x\r\ny"\r3,z\n', "a.csv")))
    assert [item.values["b"] for item in items if isinstance(item, Row)] == ["x\ry", "x\r\ny", "z"]


def test_an_encoding_that_shows_late_is_found(make: Make) -> None:
    """The beginning of a large file may be plain ASCII."""
    raw = b'{"text": "plain"}\n' * 40_000 + jsonl(CHINESE * 3000).encode("gb18030")
    spec = make(raw)
    row = row_at(spec, 40_001)
    assert isinstance(row, Row)
    assert row.values["text"] == CHINESE[0]


def test_encodings_are_called_as_people_do() -> None:
    assert [spoken(name) for name in ("gb18030", "cp1252", "euc_jp", "shift_jis", "cp949")] == [
        "GB18030", "Windows-1252", "EUC-JP", "Shift-JIS", "EUC-KR"]
