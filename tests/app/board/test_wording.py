"""Numbers, sizes and times as people say them."""

import pytest

from app.board import wording


@pytest.mark.parametrize(("value", "shown"), [
    (None, "—"), (float("nan"), "—"), (float("inf"), "—"), (0, "0"), (1240, "1,240"),
    (0.8421, "0.8421"), (2e-4, "2.00e-4"), (11420.0, "11,420"), (123.4, "123"), (-0.5, "-0.5")])
def test_numbers(value, shown):
    assert wording.number(value) == shown


@pytest.mark.parametrize(("seconds", "english", "chinese"), [
    (0.4, "0 s", "0 秒"), (40, "40 s", "40 秒"), (60, "1 min", "1 分钟"),
    (59.7, "1 min", "1 分钟"), (3599, "1 h", "1 小时"), (11520, "3 h 12 min", "3 小时 12 分钟"),
    (3 * 86400, "3 days", "3 天"), (None, "—", "—"), (float("inf"), "—", "—"), (-5, "0 s", "0 秒")])
def test_durations(seconds, english, chinese):
    assert wording.duration("en", seconds) == english
    assert wording.duration("zh", seconds) == chinese


def test_ages():
    assert wording.ago("en", 100.0, now=110.0) == "just now"
    assert wording.ago("zh", 100.0, now=400.0) == "5 分钟前"
    assert wording.ago("en", 100.0, now=100.0 + 9000) == "2 h ago"
    assert wording.ago("en", None) == "—"


@pytest.mark.parametrize(("size", "shown"), [
    (12, "12 B"), (1200, "1.2 kB"), (7_400_000, "7.4 MB"), (18_400_000_000, "18.4 GB")])
def test_sizes(size, shown):
    assert wording.size(size) == shown


def test_places_in_the_queue():
    assert [wording.place_in_line("en", n) for n in range(5)] == [
        "next in line", "second in line", "third in line", "number 4 in line", "number 5 in line"]


def test_shares():
    assert wording.percent(0) == "0 %" and wording.percent(0.8735) == "87.4 %"
    assert wording.percent(1.0) == "100 %"
