import json
from pathlib import Path

import pytest

from tests.source_tree import ROOT
from tests.trainer.scoring.making import only, said, values
from trainer.scoring import make

GSM8K = ROOT.parent / "shared" / "data" / "real" / "gsm8k_test.jsonl"


@pytest.mark.parametrize(("output", "reference", "value"), [
    ("So it is 72.", "48 / 2 = 24\n#### 72", 1), ("#### 1,234", "#### 1234", 1),
    ("5 + 3 = 8", "7", 0), (r"\boxed{3} of 4", "3", 1), ("about 3 or 4", "3", 0),
    ("四十二", "42", 0), ("答案是 ４２。", "42", 1), ("$18.00", "18", 1), ("-7", "#### -7", 1),
    ("0.3333333", "1/3", 1), ("", "1", 0), ("12", "a dozen", None), ("12", "", None)])
def test_the_last_number_counts(output, reference, value):
    assert values(only("numeric", said((output, reference)))) == [value]


def test_any_reference_will_do():
    assert values(only("numeric", said(("2", ["1", "2"]), ("3", ["x", "3"])))) == [1, 1]


def test_an_answer_without_a_number_has_not_the_form():
    has, has_not = said(("it is 3", "4"), ("I do not know", "4"))
    metric = make("numeric")
    assert metric.formed(has) and not metric.formed(has_not)


@pytest.mark.skipif(not GSM8K.exists(), reason="the shared data is not here")
def test_gsm8ks_own_answers_are_right_and_those_of_the_next_row_mostly_wrong():
    rows = [json.loads(line)["answer"] for line in
            Path(GSM8K).read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 1319
    assert only("numeric", said(*[(text, text) for text in rows])).value == 1.0
    bare = [text.partition("####")[0] + f"The answer is {text.partition('####')[2].strip()}."
            for text in rows]
    assert only("numeric", said(*zip(bare, rows, strict=True))).value == 1.0
    moved = only("numeric", said(*zip(rows, rows[1:] + rows[:1], strict=True)))
    assert not moved.counted.sum() < 1319 and moved.value < 0.05
