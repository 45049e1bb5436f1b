"""Prepared tokens that outlive a run: whole or not there, never taken from who uses them."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from trainer.data.tokens.cache import META, ROWS, Kept, TokenCache


def fill(cache: TokenCache, key: str, size: int = 100, used: float | None = None) -> Kept:
    with cache.making(key) as folder:
        (folder / ROWS).write_bytes(b"x" * size)
        kept = cache.keep(key, folder, {"size_bytes": size})
    if used is not None:
        os.utime(kept.folder / META, (used, used))
    return kept


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(tmp_path / "tokens", limit_bytes=250)


def test_what_is_kept_is_found(cache: TokenCache) -> None:
    assert cache.find("a") is None
    made = fill(cache, "a")
    found = cache.find("a")
    assert found is not None
    assert (found.folder, found.size_bytes, found.meta) == (made.folder, 100, {"size_bytes": 100})
    assert [kept.key for kept in cache.list()] == ["a"]


def test_nothing_stays_of_what_was_not_finished(cache: TokenCache) -> None:
    with pytest.raises(KeyboardInterrupt), cache.making("a") as folder:
        (folder / ROWS).write_bytes(b"half")
        raise KeyboardInterrupt
    assert cache.find("a") is None
    assert list(cache.root.iterdir()) == []


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / META).unlink(), lambda folder: (folder / ROWS).write_bytes(b"short"),
    lambda folder: (folder / META).write_text("{"), lambda folder: (folder / ROWS).unlink()])
def test_a_damaged_folder_is_made_again(cache: TokenCache, damage: object) -> None:
    folder = fill(cache, "a").folder
    assert callable(damage)
    damage(folder)
    assert cache.find("a") is None
    assert fill(cache, "a").size_bytes == 100
    assert cache.find("a") is not None


def test_of_two_who_make_the_same_the_first_wins(cache: TokenCache) -> None:
    with cache.making("a") as one, cache.making("a") as two:
        assert one != two
        for folder, text in ((one, b"one"), (two, b"two")):
            (folder / ROWS).write_bytes(text)
        first = cache.keep("a", one, {"size_bytes": 3})
        second = cache.keep("a", two, {"size_bytes": 3})
    assert first.folder == second.folder
    assert (first.folder / ROWS).read_bytes() == b"one"
    assert [p.name for p in cache.root.iterdir()] == ["a"]


def test_the_least_recently_used_make_room(cache: TokenCache) -> None:
    for number, key in enumerate("ab"):
        fill(cache, key, used=1000.0 + number)
    gc.collect()
    assert cache.find("a") is not None, "using it makes it young again"
    gc.collect()
    fill(cache, "c")
    assert {kept.key for kept in cache.list()} == {"a", "c"}


def test_what_is_in_use_is_never_removed(cache: TokenCache) -> None:
    held = [fill(cache, key, used=1000.0) for key in "abc"]
    cache.shrink()
    assert {kept.key for kept in cache.list()} == {"a", "b", "c"}
    del held
    gc.collect()
    cache.shrink()
    assert len(cache.list()) == 2


def test_old_halves_are_swept_up(cache: TokenCache) -> None:
    fill(cache, "a")
    old, new = cache.root / ".making-old", cache.root / ".making-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (1000, 1000))
    cache.shrink()
    assert (old.exists(), new.exists()) == (False, True)
