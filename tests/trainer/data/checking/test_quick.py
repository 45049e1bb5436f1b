"""The scan: problems where they truly are, odd texts, columns, ids, and memory that stays."""

from __future__ import annotations

import csv
import io
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.data.catalog.registry import Registry
from trainer.data.checking import quick
from trainer.data.checking.check import check
from trainer.data.checking.report import MAX_PROBLEMS
from trainer.data.reading.sources import DatasetSpec

Make = Callable[..., DatasetSpec]
Damage = Callable[[random.Random, dict[str, Any]], str]


def _torn(rng: random.Random, row: dict[str, Any]) -> str:
    text = json.dumps(row)
    return text[:rng.randrange(1, len(text) - 1)]


def _without(rng: random.Random, row: dict[str, Any]) -> str:
    del row[rng.choice(["question", "answer"])]
    return json.dumps(row)


def _number(rng: random.Random, row: dict[str, Any]) -> str:
    return json.dumps({**row, rng.choice(["question", "answer"]): rng.randrange(9)})


def _blank(rng: random.Random, row: dict[str, Any]) -> str:
    value = rng.choice(["", " ", "\n\t", "\u3000", None])
    return json.dumps({**row, rng.choice(["question", "answer"]): value})


def _other(rng: random.Random, row: dict[str, Any]) -> str:
    return rng.choice(["[1, 2]", '"text"', "12", "true"])


def _half(rng: random.Random, row: dict[str, Any]) -> str:
    return json.dumps({**row, "answer": "a\ud83d"})


DAMAGES: dict[str, tuple[Damage, str]] = {
    "torn": (_torn, "not_json"), "without": (_without, "missing_column"),
    "number": (_number, "wrong_type"), "blank": (_blank, "empty_text"),
    "other": (_other, "not_object"), "half": (_half, "broken_text")}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("accent", ["", "é"])
def test_damaged_rows_are_named_where_they_are(make: Make, seed: int, accent: str) -> None:
    """Rows are damaged at random, among blank lines; what is reported is held against that."""
    rng = random.Random(f"{seed}{accent}")
    lines: list[str] = []
    truth: dict[int, str] = {}
    sound: list[tuple[int, str]] = []
    for number in range(1, 2_500):
        row = {"question": f"What {accent} is {number}?", "answer": f"It is {number}."}
        chance = rng.random()
        if chance < 0.05:
            lines.append(rng.choice(["", "  "]))
        elif chance < 0.15 and number > 300:
            damage, code = rng.choice(list(DAMAGES.values()))
            lines.append(damage(rng, row))
            truth[number] = code
        elif chance < 0.25 and sound:
            lines.append(rng.choice(sound)[1])
            truth[number] = "duplicate"
        else:
            lines.append(json.dumps(row, ensure_ascii=False))
            sound.append((number, lines[-1]))
    report = check(make("\n".join(lines)))
    first = {line: number for number, line in reversed(sound)}
    assert {p.row: p.code for p in report.problems} == truth
    assert report.problem_counts == dict(Counter(truth.values()))
    assert report.rows == sum(bool(line.strip()) for line in lines)
    assert report.usable == report.rows - sum(code != "duplicate" for code in truth.values())
    for problem in report.problems:
        assert f"Row {problem.row} of data.jsonl" in problem.message
        if problem.code == "duplicate":
            assert problem.message.endswith(f"as row {first[lines[problem.row - 1]]}.")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.json", "rows.jsonl.gz", "shards"])
def test_damaged_records_of_other_formats_too(make: Make, tmp_path: Path, seed: int,
                                              name: str) -> None:
    """Blank and repeated rows, in formats whose rows are records and in a folder of files."""
    rng = random.Random(f"{seed}{name}")
    rows, truth = [], {}
    for number in range(1, 1_200):
        row = {"question": f'A "quoted", long\nquestion {number}', "answer": f"{number}; é,"}
        chance = rng.random()
        if chance < 0.1 and number > 250:
            row[rng.choice(["question", "answer"])] = rng.choice(["", " "])
            truth[number] = "empty_text"
        elif chance < 0.2 and number > 250:
            row = rng.choice(rows[:200])
            truth[number] = "duplicate"
        rows.append(row)
    report = check(_written(make, tmp_path, name, rows))
    assert {p.row: p.code for p in report.problems} == truth
    assert (report.rows, report.bad_rows) == (
        1_199, sum(code == "empty_text" for code in truth.values()))


def _written(make: Make, folder: Path, name: str, rows: list[dict[str, str]]) -> DatasetSpec:
    if name == "rows.json":
        return make(json.dumps(rows, indent=1), name)
    if name.startswith("rows.jsonl"):
        return make(rows, name)
    if name == "shards":
        (folder / name).mkdir()
        for at, start in enumerate(range(0, len(rows), 301)):
            text = "".join(json.dumps(row) + "\n" for row in rows[start:start + 301])
            (folder / name / f"part-{at:03}.jsonl").write_text(text)
        return Registry(folder / "none", None).resolve(str(folder / name))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), dialect="excel" if name == "rows.csv"
                            else "excel-tab")
    writer.writeheader()
    writer.writerows(rows)
    return make(text.getvalue(), name)


@pytest.mark.parametrize(("answer", "code"), [
    ("Yes.<|im_end|>", "special_token"), ("</s>", "special_token"), ("[INST] a", "special_token"),
    ("<｜end▁of▁sentence｜>", "special_token"), ("a\x00b", "control_character"),
    ("\x1b[31mred", "control_character"), ("cafÃ©", "garbled"), ("donâ€™t", "garbled"),
    ("lost \ufffd", "garbled"), ("a" * 200_001, "very_long"), ("a\ufdd0", "noncharacter"),
    ("a < b and c[0] > 1", ""), ("<think>\nHm.\n</think>\nYes.", ""), ("NÃO, São Tomé", ""),
    ("你好 😀 Ünï\tö\r\n", ""), ("<div>|</div> <|", ""), ("<<12+3=15>>15", "")])
@pytest.mark.parametrize("shape", ["pair", "turns", "preference"])
def test_odd_texts_are_warnings(make: Make, answer: str, code: str, shape: str) -> None:
    if shape == "pair":
        rows: Any = [{"question": f"q{i}", "answer": "a"} for i in range(3)]
        rows.append({"question": "q", "answer": answer})
        column = "answer"
    elif shape == "turns":
        rows = [{"messages": [{"role": "user", "content": f"{i}"},
                              {"role": "assistant", "content": answer if i == 3 else "a"}]}
                for i in range(4)]
        column = "messages"
    else:
        rows = [{"prompt": f"{i}", "chosen": "b", "rejected": answer if i == 3 else "c"}
                for i in range(4)]
        column = "rejected"
    report = check(make(rows))
    assert report.usable == 4
    assert [(p.row, p.code, p.severity) for p in report.problems] == (
        [(4, code, "warning")] if code else [])
    if code not in ("", "very_long", "noncharacter"):
        assert report.problems[0].column == column


def test_special_tokens_of_a_tokenizer_are_looked_for(make: Make) -> None:
    rows = [{"question": "a", "answer": "@@end@@"}, {"question": "b", "answer": "plain"}]
    assert check(make(rows)).problems == []
    report = check(make(rows), special_tokens=["@@end@@", "<|im_end|>", "a", ""])
    assert [(p.row, p.code) for p in report.problems] == [(1, "special_token")]


def test_ids_that_repeat_are_warnings(make: Make) -> None:
    rows = [{"id": key, "question": f"q{i}", "answer": "a"}
            for i, key in enumerate([1, 2, "x", None, 2, "x", None, 2])]
    report = check(make(rows))
    found = [p for p in report.problems if p.code == "duplicate_id"]
    assert [(p.row, p.column, p.message.rpartition("as row ")[2]) for p in found] == [
        (5, "id", "2."), (6, "id", "3."), (8, "id", "2.")]
    assert (report.usable, report.duplicates) == (8, 0)


def test_a_column_of_mixed_types_is_told_once(make: Make) -> None:
    rows: list[dict[str, Any]] = [{"question": f"q{i}", "answer": "a", "score": i, "n": None}
                                  for i in range(50)]
    rows[20]["score"], rows[30]["score"], rows[31]["n"], rows[40]["score"] = "high", {}, 1.5, None
    report = check(make(rows))
    assert [(p.row, p.column, p.code) for p in report.problems] == [(21, "score", "mixed_types")]
    assert report.problems[0].message == (
        "The column 'score' holds number in 47 rows, text in 1, object in 1; the first of those "
        "is row 21.")
    assert report.columns["n"].types == {"null": 49, "number": 1}


def test_turns_and_roles_are_counted_alike_on_both_ways(make: Make) -> None:
    """Rows that are looked at closely count like those that are only glanced at."""
    def turns(count: int, system: bool, extra: dict[str, Any]) -> dict[str, Any]:
        said = [{"role": ("user", "assistant")[i % 2], "content": f"t{count}{i}", **extra}
                for i in range(count)]
        return {"messages": [{"role": "system", "content": "s"}] * system + said}

    plan = [(2, False), (2, True), (4, False), (6, True), (2, False)]
    for extra in ({}, {"reasoning_content": ""}):
        report = check(make([turns(count, system, extra) for count, system in plan]))
        assert report.turns == {2: 3, 4: 1, 6: 1}
        assert report.roles == {"user": 8, "assistant": 8, "system": 2}
        assert report.duplicates == 1
        assert report.characters == sum(3 * count + system for count, system in plan)


def test_what_is_nearly_the_same_everywhere_is_noted(make: Make) -> None:
    same = [{"instruction": "Translate.", "output": f"{i}"} for i in range(40)]
    assert check(make(same)).notes == ["40 of 40 rows have the same text in 'instruction'."]
    varied = [{"instruction": "Translate.", "input": f"{i}", "output": "x"} for i in range(40)]
    assert check(make(varied)).notes == []
    liked = [{"prompt": f"{i}", "completion": "x", "label": True} for i in range(3)]
    report = check(make(liked))
    assert report.labels == {"true": 3}
    assert "Every row is labelled true" in report.notes[0]


def test_lines_of_a_text_that_repeat_are_counted_not_named(make: Make) -> None:
    report = check(make("First Citizen:\nSpeak.\nFirst Citizen:\n", "play.txt"))
    assert (report.duplicates, report.problems) == (1, [])


def test_rows_of_ten_thousand_columns_and_of_ever_new_ones(
        make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {f"c{i}": i for i in range(10_000)}
    rows = [{"question": f"q{i}", "answer": "a", **wide} for i in range(8)]
    report = check(make(rows))
    assert (report.usable, len(report.columns), report.more_columns) == (8, 1_000, 9_002)
    assert {facts.rows for facts in report.columns.values()} == {8}
    monkeypatch.setattr("trainer.data.checking.forms._MAX_CELLS", 20_000)
    new = [{"question": f"q{i}", "answer": "a", **{f"k{i}-{j}": 1 for j in range(50)}}
           for i in range(600)]
    report = check(make(new))
    assert (report.usable, report.columns["question"].rows) == (600, 600)
    assert report.more_columns > 20_000


def test_a_flood_of_warnings_fills_neither_list_nor_memory(make: Make) -> None:
    rows = 12_000
    spec = make("".join(json.dumps({"question": f"q{i}", "answer": "</s>" * 5}) + "\n"
                        for i in range(rows)))
    tracemalloc.start()
    try:
        report = check(spec)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(report.problems), report.problem_counts) == (MAX_PROBLEMS, {"special_token": rows})
    assert len(report.shown["special_token"]) == 20
    assert peak < 30e6


def test_the_quick_way_is_taken(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound rows of one form are converted once, to learn who speaks; not one by one."""
    calls: list[int] = []
    real = quick.convert
    monkeypatch.setattr(quick, "convert", lambda row, shape: calls.append(row.number) or real(
        row, shape))
    report = check(make([{"question": f"q{i}", "answer": "a"} for i in range(500)]))
    assert (report.usable, calls) == (500, [1])
