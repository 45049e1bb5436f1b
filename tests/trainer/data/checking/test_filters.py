"""Filters: reasons, languages, expressions that never end."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from trainer.contract.config.data import FilterConfig
from trainer.data.checking import languages
from trainer.data.checking.filters import REASONS, Filter, keep
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.messages import Example, Message


def example(text: str) -> Example:
    return Example(1, [Message("user", "Hello there"), Message("assistant", text)])


@pytest.mark.parametrize(("filters", "text", "reason"), [
    ({}, "", ""), ({"min_characters": 20}, "short", "too_short"),
    ({"min_characters": 17}, "short", ""), ({"max_characters": 16}, "short", "too_long"),
    ({"max_characters": 17}, "short", ""), ({"include": "^sh"}, "short", "not_included"),
    ({"include": "(?m)^sh"}, "short", ""), ({"exclude": "(?i)HELLO"}, "a", "excluded"),
    ({"exclude": "bye"}, "a", ""), ({"include": "a", "exclude": "b"}, "a b", "excluded"),
    ({"languages": ["en", " ZH "]}, "The weather is nice today, is it not?", ""),
    ({"languages": ["zh"]}, "The weather is nice today, is it not?", "language")])
def test_reasons(filters: dict[str, Any], text: str, reason: str) -> None:
    assert keep(example(text), FilterConfig(**filters)) == reason
    assert reason in ("", *REASONS)


@pytest.mark.parametrize(("text", "language"), [
    ("今天天气很好，我们一起去公园散步吧。", "zh"), ("Das Wetter ist heute wirklich schön.", "de"),
    ("Il fait très beau aujourd'hui, n'est-ce pas ?", "fr"), ("12 + 30 = 42", ""), ("", "")])
def test_languages(text: str, language: str) -> None:
    assert languages.language_of(text) == language


def test_an_expression_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.checking.filters.SEARCH_S", 0.05)
    slow = Filter(FilterConfig(include=r"(?:l|ll)+$"))
    with pytest.raises(DatasetError, match="did not finish within") as caught:
        slow.reason(example("l" * 60 + "b"))
    assert caught.value.code == "slow_expression"
    assert "nested repetitions" in caught.value.advice


def test_an_expression_works_without_the_timed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regex", None)
    assert Filter(FilterConfig(include="bye")).reason(example("a")) == "not_included"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid", None)
    languages._classifier.cache_clear()
    with pytest.raises(DatasetError, match=r"pip install 'finestra\[data\]'") as caught:
        keep(example("words"), FilterConfig(languages=["en"]))
    assert caught.value.code == "language_filter_missing"
