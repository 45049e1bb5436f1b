import numpy as np
import pytest

from tests.trainer.scoring.making import values
from trainer.failures import Failure
from trainer.scoring import Prediction, make
from trainer.scoring.classes import Reader, macro_f1


def rows(*pairs: tuple[str, str | None]) -> list[Prediction]:
    return [Prediction(row, "?", output, label=label)
            for row, (output, label) in enumerate(pairs, 1)]


@pytest.mark.parametrize(("output", "named"), [
    ("spam", "spam"), (" SPAM.", "spam"), ("It is spam!", "spam"), ("not spam", "not spam"),
    ("This is not spam.", "not spam"), ("spam or not spam", None), ("spammer", None),
    ("", None), ("no idea", None), ("这是好评。", "好评"), ("好评", "好评"), ("C++", "C++"),
    ("It is C++, spam no", None)])
def test_an_answer_names_one_class_or_none(output, named):
    reader = Reader(["spam", "not spam", "好评", "差评", "C++"])
    place = reader.read(output)
    assert (None if place is None else reader.labels[place]) == named


@pytest.mark.parametrize("labels", [
    ["<=50K", ">50K"], ["A", "A+", "A-"], ["C", "C++", "C#"], ["1", "-1", "+1"]])
def test_classes_that_only_signs_tell_apart(labels):
    reader = Reader(labels)
    for place, label in enumerate(labels):
        for answer in (label, f" {label}.\n", f"**{label.lower()}**", f"It is {label}!"):
            assert reader.read(answer) == place, answer


def test_classes_that_only_case_tells_apart():
    reader = Reader(["US", "us"])
    assert [reader.read(text) for text in ("US", " us\n", "Us", "It is us.")] == [0, 1, None, None]


def test_a_report_worked_out_by_hand():
    """a: 2 rows, 1 found, named once; b: 3 rows, 2 found, named 3 times; one answer names none."""
    metric = make("classification", labels=["a", "b"])
    answers = rows(("a", "a"), ("b", "a"), ("b", "b"), ("b", "b"), ("?", "b"), ("a", None))
    accuracy, macro = metric.score(answers)
    assert values(accuracy) == [1, 0, 1, 1, 0, None] and accuracy.value == pytest.approx(3 / 5)
    report = metric.report(answers)
    assert report.confusion.tolist() == [[1, 1, 0], [0, 2, 1]]
    assert report.precision.tolist() == [1, 2 / 3]
    assert report.recall.tolist() == [1 / 2, 2 / 3]
    assert report.f1.tolist() == pytest.approx([2 / 3, 2 / 3])
    assert report.support.tolist() == [2, 3] and report.accuracy == pytest.approx(0.6)
    assert report.weighted_f1 == pytest.approx(2 / 3) == macro.value


def test_macro_f1_is_the_mean_of_the_reports():
    chance = np.random.default_rng(3)
    names = ["red", "green", "blue", "grey"]
    answers = rows(*[(names[s], names[g]) for g, s in chance.integers(0, 4, size=(300, 2))])
    metric = make("classification")
    report, macro = metric.report(answers), metric.score(answers)[1]
    assert macro.value == pytest.approx(report.f1.mean(), abs=1e-12)


def test_a_class_that_is_nowhere_does_not_count():
    sums = np.array([2, 0, 0, 0, 0, 0], dtype=np.float32)
    assert macro_f1(sums) == 1.0
    assert np.isnan(macro_f1(np.zeros(6)))


def test_labels_that_there_are_not_and_too_many():
    with pytest.raises(Failure, match="'c' is none of the classes"):
        make("classification", labels=["a"]).score(rows(("a", "c")))
    with pytest.raises(Failure, match="201 classes"):
        make("classification").score(rows(*[("x", f"c{n}") for n in range(201)]))


def test_other_rows_have_classes_of_their_own():
    metric = make("classification")
    assert [metric.score(rows((name, name), ("x", name)))[0].value for name in ("a", "b")] \
        == [0.5, 0.5]


def test_an_answer_that_names_nothing_has_not_the_form():
    metric = make("classification", labels=["a", "b"])
    assert [metric.formed(p) for p in rows(("a", "b"), ("neither", "b"))] == [True, False]
