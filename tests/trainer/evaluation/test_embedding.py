"""Vectors of an engine, and the metric that compares them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.trainer.evaluation.plain_asker import asking
from tests.trainer.serving.conftest import KEY, serving
from trainer.evaluation.embedding import AT_ONCE, vectors
from trainer.evaluation.seam import Ability, Asker, Unanswerable
from trainer.failures import Failure
from trainer.scoring import Prediction, make

Reply = Callable[[list[str]], Any]


class Remote:
    """An engine of somebody else's that answers as it is told to."""

    name = "stub"

    def __init__(self, say: Reply) -> None:
        self.say, self.asked = say, list[list[str]]()

    def can(self, ability: Ability) -> str:
        return ""

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "/embeddings" and json.dumps(body).encode()
        body["input"][0].encode("utf-8")
        self.asked.append(body["input"])
        await asyncio.sleep(0)
        found: dict[str, Any] = self.say(body["input"])
        return found


def reply(texts: list[str]) -> dict[str, Any]:
    """Answer with each text's length and first letter, the last text first."""
    return {"data": [{"index": at, "embedding": [len(text), ord(text[0])]}
                     for at, text in reversed(list(enumerate(texts)))]}


def up_to(longest: int) -> Reply:
    def say(texts: list[str]) -> dict[str, Any]:
        if any(len(text) > longest for text in texts):
            raise Unanswerable("too long")
        return reply(texts)

    return say


def found(say: Reply, texts: list[str]) -> Any:
    asker: Asker = Remote(say)
    return asyncio.run(vectors(asker, texts)).tolist()


def test_vectors_come_in_the_order_of_the_texts() -> None:
    texts = [f"{'x' * at}y" for at in range(2 * AT_ONCE + 1)]
    remote = Remote(reply)
    assert asyncio.run(vectors(remote, texts))[:, 0].tolist() == [len(text) for text in texts]
    assert sorted(map(len, remote.asked)) == [1, AT_ONCE, AT_ONCE]
    assert found(reply, []) == []


def test_of_a_text_that_is_too_long_the_beginning_counts() -> None:
    assert found(up_to(300), ["ab", "c" * 100_000, "d" * 299]) == [
        [2, 97], [100_000 // 2**9, 99], [299, 100]]


def test_what_is_refused_however_short_has_no_vector() -> None:
    def say(texts: list[str]) -> dict[str, Any]:
        if any("bad" in text for text in texts):
            raise Unanswerable("no")
        return reply(texts)

    assert np.isnan(found(say, ["bad " * 40, "fine"])).tolist() == [[True] * 2, [False] * 2]
    with pytest.raises(Failure, match="'stub' gave no vectors: it refuses every text"):
        found(say, ["bad", "bad too"])


def test_a_lone_surrogate_is_no_text_for_a_server() -> None:
    assert found(reply, ["\ud800\0"]) == [[2, ord("?")]]


@pytest.mark.parametrize("said", [
    {}, {"data": None}, {"data": [1]}, {"data": []}, {"data": [{"index": 0}]},
    {"data": [{"index": 1, "embedding": [1.0]}]}, {"data": [{"index": 0, "embedding": "AAAA"}]},
    {"data": [{"index": 0, "embedding": [None]}]}, {"data": [{"index": "a", "embedding": []}]}])
def test_a_reply_without_vectors_is_named(said: Any) -> None:
    with pytest.raises(Failure, match="'stub' gave no vectors"):
        found(lambda texts: said, ["a"])


def test_vectors_of_two_lengths_are_none() -> None:
    with pytest.raises(Failure, match="not all of one length"):
        found(lambda texts: {"data": [{"index": at, "embedding": [1.0] * (at + 1)}
                                      for at in range(len(texts))]}, ["a", "b"])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serving(tmp_path_factory.mktemp("serving"), "starter") as one:
        yield one


@pytest.mark.serving
def test_the_metric_asks_a_real_engine(engine: Any) -> None:
    rows = [Prediction(1, "?", "The sun rises.", ("The sun rises.",)),
            Prediction(2, "?", "The sun comes up.", ("The sun rises.", "def f(): pass")),
            Prediction(3, "?", "\0" * 40 + "天气 " * 30_000, ("The sun rises.",)),
            Prediction(4, "?", " ", ("The sun rises.",)), Prediction(5, "?", "x", ("",))]

    def embed(texts: Sequence[str]) -> Any:
        return asking(f"{engine.url}/v1", "tiny", KEY, lambda asker: vectors(asker, texts))

    (scores,) = make("embedding", model="starter", embed=embed).score(rows)
    same, near, long, blank, left_out = scores.values.tolist()
    assert same == pytest.approx(1) and blank == 0 and left_out != left_out
    assert 0 < near < 1 and -1 <= long < near
