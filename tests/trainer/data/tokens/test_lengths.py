"""How long rows are, and what a maximum would cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.data.conftest import Make
from trainer.data.shapes.messages import Example, Message
from trainer.data.tokens.lengths import BINS, Sample, histogram, lengths, summary
from trainer.data.tokens.loaded import encoder_of, load


def test_rows_are_measured_whole(make: Make, model_folder: Path) -> None:
    answers = ["yes", "yes " * 30, "", "no " * 5]
    spec = make([{"question": "Hi", "answer": answer} for answer in answers])
    said: list[dict[str, int]] = []
    found = lengths({"source": str(spec.path), "model_folder": str(model_folder),
                     "max_length": 40}, lambda **values: said.append(values))
    encoder = encoder_of(load(model_folder), "sft", {"max_length": 10_000})
    sizes = []
    for answer in (answers[0], answers[1], answers[3]):
        fitted = encoder.encode(Example(1, [Message("user", "Hi"), Message("assistant", answer)]))
        assert fitted is not None
        sizes.append(fitted.length)
    assert (found["rows"], found["measured"], found["sampled"]) == (4, 3, False)
    assert (found["max"], found["p50"], found["tokens"]) == (
        max(sizes), sorted(sizes)[1], sum(sizes))
    assert (found["over_max_length"], found["tokens_over"]) == (1, max(sizes) - 40)
    assert sum(count for _, _, count in found["histogram"]) == 3
    assert found["objective"] == "sft" and said
    assert found["warnings"] == []


def test_many_rows_are_sampled_and_scaled_up(make: Make, model_folder: Path) -> None:
    spec = make([{"question": f"Hi {n % 7}", "answer": "yes"} for n in range(3000)])
    found = lengths({"source": str(spec.path), "model_folder": str(model_folder),
                     "max_length": 8, "most_rows": 100}, lambda **values: None)
    assert found["sampled"] and found["measured"] <= 101
    assert found["rows"] == found["over_max_length"] == 3000
    assert abs(sum(count for _, _, count in found["histogram"]) - 3000) <= len(found["histogram"])


@given(st.lists(st.integers(0, 5000), max_size=300).map(sorted))
def test_every_row_is_in_one_bin(values: list[int]) -> None:
    bins = histogram(values)
    assert sum(count for _, _, count in bins) == len(values)
    assert all(count == sum(low <= value < high for value in values) for low, high, count in bins)
    assert all(a[1] == b[0] for a, b in pairwise(bins))
    assert len(bins) <= BINS + 2


@given(count=st.integers(1, 500), most=st.integers(1, 60))
def test_a_sample_is_spread_evenly(count: int, most: int) -> None:
    sample = Sample(most)
    for value in range(count):
        if sample.wants_next():
            sample.add(value)
    assert sample.values == list(range(0, count, sample.stride))
    assert len(sample.values) <= most
    assert summary(sample, 10)["rows"] == count


def test_nothing_measured_is_said_so() -> None:
    found = summary(Sample(5), 10)
    assert (found["p50"], found["max"], found["histogram"], found["tokens"]) == (None, None, [], 0)


def test_tools_that_the_template_does_not_show_are_told_of(make: Make, model_folder: Path) -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    spec = make([{"messages": talk, "tools": [{"name": "add", "parameters": {}}]}] * 2)
    found = lengths({"source": str(spec.path), "model_folder": str(model_folder)},
                    lambda **values: None)
    assert [warning["code"] for warning in found["warnings"]] == ["tools_not_shown"]
