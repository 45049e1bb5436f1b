"""Checking a dataset: problems by row, counts, refusals by name, a first look."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.data.catalog.registry import Registry
from trainer.data.checking.check import check, check_steps, examples, first_look, shape_of
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.readers import row_at
from trainer.data.reading.rowindex import RowIndex
from trainer.data.reading.rows import DatasetError, Row
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.messages import Example
from trainer.data.shapes.objectives import objectives_of

Make = Callable[..., DatasetSpec]
QA = {"question": "Hi", "answer": "Yo"}
OTHER = {"question": "And you?", "answer": "!"}
# What product.md promises to scripts.
CONTRACT = ("rows", "usable", "shape", "mapping", "problems", "problem_counts", "problems_file",
            "tokens")


def test_a_sound_file(make: Make) -> None:
    document = check(make([QA, OTHER]), objective="sft").document()
    assert {key: document.pop(key) for key in CONTRACT} == {
        "rows": 2, "usable": 2, "shape": "question_answer", "problems": [], "problem_counts": {},
        "mapping": {"prompt": "question", "response": "answer"}, "problems_file": "",
        "tokens": {}}
    assert document == {
        "reason": "columns 'question' and 'answer' in all 2 rows looked at", "confidence": 1.0,
        "complete": True, "encodings": {"data.jsonl": "utf-8"}, "notes": [],
        "duplicates": 0, "characters": 13, "longest": 9, "turns": {"2": 2},
        "roles": {"user": 2, "assistant": 2},
        "columns": {name: {"rows": 2, "types": {"text": 2}} for name in QA}}


def test_every_bad_row_is_named(make: Make) -> None:
    spec = make("\n".join(["", *map(json.dumps, [QA, {"question": "a"}, OTHER]), "{", '"x"',
                           json.dumps({"instruction": "of", "output": "another shape"})]))
    report = check(spec, objective="sft")
    assert (report.rows, report.usable, report.bad_rows) == (6, 2, 4)
    assert [(p.row, p.column, p.code) for p in report.problems] == [
        (3, "answer", "missing_column"), (5, "", "not_json"), (6, "", "not_object"),
        (7, "question", "missing_column")]
    assert report.problems[0].message == "Row 3 of data.jsonl has no 'answer'."
    assert report.problem_counts == {"missing_column": 2, "not_json": 1, "not_object": 1}


def test_bad_rows_are_refused_or_skipped(make: Make) -> None:
    spec = make([QA, {"question": "a"}, QA])
    report = check(spec)
    with pytest.raises(DatasetError) as caught:
        report.require()
    assert str(caught.value) == ("Row 2 of data.jsonl has no 'answer'. 1 of 3 rows is affected. "
                                 "Fix them, or choose to skip bad rows.")
    report.require("skip")
    assert [e.row for e in examples(spec, report, objective="sft", bad_rows="skip")] == [1, 3]
    with pytest.raises(DatasetError, match="Row 2"):
        list(examples(spec, report, objective="sft"))
    with pytest.raises(DatasetError, match="Row 2"):
        list(examples(spec, report.shape, objective="sft"))


def test_a_file_without_a_usable_row_is_refused_even_when_skipping(make: Make) -> None:
    report = check(make([{"question": "a", "answer": ""}] * 2))
    with pytest.raises(DatasetError, match="None of the 2 rows") as caught:
        report.require("skip")
    assert caught.value.code == "no_usable_rows"


def test_problems_beyond_the_limit_go_to_a_file(make: Make, tmp_path: Path) -> None:
    sound = [{"question": f"é {i}", "answer": "a"} for i in range(5)]
    spec = make(sound + [{"question": "é", "answer": ""}] * 7)
    path = tmp_path / "problems.jsonl"
    report = check(spec, limit=3, problems_file=path)
    assert (len(report.problems), report.problem_counts) == (3, {"empty_text": 7})
    assert report.document()["problems_file"] == str(path)
    rows = [json.loads(line)["row"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [9, 10, 11, 12]
    few = check(spec, limit=7, problems_file=tmp_path / "none.jsonl")
    assert (few.problems_file, (tmp_path / "none.jsonl").exists()) == ("", False)


KTO = {"prompt": "a", "completion": "b", "label": True}
PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}
HH = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}


@pytest.mark.parametrize(("row", "objective", "code", "words"), [
    (KTO, "sft", "kto_for_sft", "Choose objective: kto"),
    (KTO, "dpo", "kto_for_dpo", "Choose objective: kto"),
    (PAIR, "sft", "preference_for_sft", "Choose objective: dpo"),
    (HH, "sft", "hh_rlhf_for_sft", "Choose objective: dpo"),
    ({"text": "a"}, "sft", "text_for_sft", "Choose objective: pretrain"),
    ({"text": "a"}, "dpo", "text_for_dpo", "Choose objective: pretrain"),
    (QA, "dpo", "question_answer_for_dpo", "objective: sft"),
    (PAIR, "grpo", "preference_for_grpo", "Choose objective: dpo"),
    (QA, "ppo", "unknown_objective", "There is no objective 'ppo'"),
    ({"a": 1}, "sft", "unknown_shape", "the columns are 'a'")])
def test_data_of_another_objective_is_refused_by_name(
        make: Make, row: dict[str, Any], objective: str, code: str, words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        check(make([row]), objective=objective)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.advice


def test_which_objectives_a_shape_fits() -> None:
    pairs = ["dpo", "orpo", "simpo", "cpo", "kto", "reward"]
    assert objectives_of("alpaca") == ["sft", "grpo", "rloo", "distillation", "gkd"]
    assert (objectives_of("hh_rlhf"), objectives_of("kto")) == (pairs, ["kto"])
    assert objectives_of("classification") == [
        "sft", "grpo", "rloo", "distillation", "gkd", "classification"]


def test_without_an_objective_every_known_shape_is_checked(make: Make) -> None:
    assert check(make([KTO, {**KTO, "label": None}])).problem_counts == {"label_not_boolean": 1}
    assert check(make([{"text": "a"}, {"text": " "}])).problem_counts == {"empty_text": 1}


def test_noncharacters_are_a_warning(make: Make) -> None:
    report = check(make([{"question": "a\ufdd0", "answer": "b"}]))
    assert (report.usable, report.problems[0].severity) == (1, "warning")
    report.require()


@pytest.mark.parametrize(("entry", "words"), [
    ({"columns": {"prompt": "q", "response": "a"}}, "names 'q', 'a', which no row has"),
    ({"columns": {"prompt": "question", "response": "reply"}}, "names 'reply'"),
    ({"columns": {"system": "question"}}, "does not name 'columns.prompt', 'columns.response'"),
    ({"ranking": True}, "does not name 'columns.chosen', 'columns.rejected'"),
    ({"formatting": "sharegpt", "columns": {"messages": "question"}, "tags": {}},
     "does not name 'tags.role_tag', 'tags.content_tag'"),
    ({"formatting": "openai"}, "names 'conversations'")])
def test_an_entry_that_does_not_fit_its_file_is_refused(
        make: Make, entry: dict[str, Any], words: str) -> None:
    spec = make([QA])
    known = DatasetEntry.model_validate({"file_name": "x", **entry})
    with pytest.raises(DatasetError, match=words) as caught:
        check(DatasetSpec("mine", spec.path, spec.suffix, entry=known))
    assert "The columns of data.jsonl are 'question', 'answer'." in str(caught.value)


def test_a_hostile_text_file_stays_text(make: Make) -> None:
    rows = [{"question": "<script>alert(1)</script>", "answer": "{{ 7 * 7 }}\u202e\x00"}]
    found = next(iter(examples(make(rows), shape_of(make(rows)), objective="sft")))
    assert isinstance(found, Example)
    assert [m.content for m in found.messages] == list(rows[0].values())


REAL = {"gsm8k_train.jsonl": ("question_answer", 7473, 0),
        "gsm8k_test.jsonl": ("question_answer", 1319, 0),
        "hh_rlhf_harmless_test.jsonl.gz": ("hh_rlhf", 2312, 13),
        "tinyshakespeare.txt": ("text", 32777, 0),
        "llamafactory/alpaca_en_demo.json": ("alpaca", 999, 0),
        "llamafactory/c4_demo.jsonl": ("text", 300, 0),
        "llamafactory/dpo_en_demo.json": ("preference", 299, 0),
        "llamafactory/glaive_toolcall_en_demo.json": ("sharegpt", 300, 0),
        "llamafactory/identity.json": ("alpaca", 91, 0),
        "llamafactory/kto_en_demo.json": ("kto", 300, 0)}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_recognised_by_themselves(shared: Path, name: str) -> None:
    report = check(Registry(shared, None).resolve(str(shared / "data" / "real" / name)))
    assert (report.shape.kind, report.rows, report.bad_rows) == REAL[name]


def test_a_llamafactory_folder_works_as_it_is(shared: Path) -> None:
    folder = Registry(shared / "data" / "real" / "llamafactory", None)
    for name in folder.names():
        spec = folder.resolve(name)
        report = check(spec)
        itself = check(DatasetSpec(spec.name, spec.path, spec.suffix))
        assert (report.shape.kind, report.bad_rows) == (itself.shape.kind, 0)
        if objectives := objectives_of(report.shape.kind):
            pair = [list(examples(spec, r, objective=objectives[0])) for r in (report, itself)]
            assert pair[0] == pair[1]


def test_the_first_error_is_named_even_when_warnings_fill_the_list(make: Make) -> None:
    report = check(make([QA, QA, QA, {"question": "a"}]), limit=0)
    assert (report.problems, report.duplicates, report.warnings) == ([], 2, 2)
    with pytest.raises(DatasetError, match=r"Row 4 of data\.jsonl has no 'answer'"):
        report.require()


def test_a_check_tells_how_far_it_is_and_can_be_ended(make: Make) -> None:
    spec = make([{"question": f"a{i}", "answer": "b"} for i in range(3_000)])
    told: list[tuple[int, int, int]] = []
    check(spec, progress=lambda *values: told.append(values))
    size = spec.path.stat().st_size
    assert told[-1] == (3_000, size, size)
    steps = check_steps(spec)
    next(steps)
    steps.close()


def test_a_first_look_is_only_of_the_first_rows(make: Make) -> None:
    rows = [{"question": f"a{i}", "answer": "b" if i != 7 else ""} for i in range(3_000)]
    report = first_look(make(rows), rows=100)
    assert (report.complete, report.rows, report.usable) == (False, 100, 99)
    assert [(p.row, p.code) for p in report.problems] == [(8, "empty_text")]
    whole = first_look(make(rows[:50]), rows=100)
    assert (whole.complete, whole.rows) == (True, 50)


def test_the_index_of_a_check_finds_any_row(make: Make, tmp_path: Path) -> None:
    spec = make("\n".join(["", *(json.dumps({**QA, "n": i}) for i in range(5_000)), "{"]))
    check(spec, index_to=tmp_path / "rows.idx")
    index = RowIndex.load(tmp_path / "rows.idx", spec)
    found = row_at(spec, 4_321, index)
    assert isinstance(found, Row) and found.values["n"] == 4_319
    check(spec, max_samples=10, index_to=tmp_path / "none.idx")
    assert not (tmp_path / "none.idx").exists()


def test_rows_of_a_given_set_are_told_as_leaks(make: Make) -> None:
    train = make([QA, OTHER], "train.jsonl")
    held_out = make([OTHER, {"question": "hi ", "answer": "Else"}], "held.jsonl")
    report = check(held_out, against=[train])
    assert report.leaks is not None
    assert (report.leaks["same_row"], report.leaks["same_prompt"]) == (1, 1)
    assert report.document()["leaks"] == report.leaks


def test_a_report_is_told_while_it_grows(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["trainer.data.checking.check"], "STEP_S", 0.0)
    told: list[tuple[int, bool]] = []
    spec = make([{"question": f"q{n}", "answer": "a"} for n in range(20_000)])
    report = check(spec, partial=lambda so_far: told.append((so_far.rows, so_far.complete)))
    assert report.complete and report.rows == 20_000
    assert told and told == sorted(told) and not any(complete for _, complete in told)
