"""Which prompts a parity check asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from trainer.contract.config import RunConfig
from trainer.contract.places import starter
from trainer.data.reading.rows import DatasetError
from trainer.export.parity_prompts import COUNT, Reader, choose
from trainer.prompts import Prompter


@pytest.fixture
def reader(lent: Any) -> Iterator[Reader]:
    yield Reader(Prompter(starter(), "auto", lent),
                 Tokenizer.from_file(str(starter() / "tokenizer.json")))


def config(**data: Any) -> RunConfig:
    return RunConfig.model_validate({"model": {"name_or_path": "starter"}, "data": data,
                                     **data.pop("over", {})})


def test_held_out_rows_come_before_training_rows(reader: Reader, cf: Any,
                                                 tmp_path: Path) -> None:
    train = cf.write_rows(tmp_path / "train.jsonl", [
        {"instruction": f"train {n}", "output": "x"} for n in range(20)])
    held = [cf.write_rows(tmp_path / f"{name}.jsonl", [
        {"instruction": f"{name} {n // 2}", "output": "x"} for n in range(20)])
        for name in ("one", "two")]
    prompts, told = choose(config(train=[str(train)], eval=list(map(str, held))), reader)
    assert told == "held-out rows" and len(prompts) == COUNT
    # Each once, from each dataset in turn, without the answer.
    assert [one.text for one in prompts] == [f"{name} {n}" for n in range(4)
                                             for name in ("one", "two")]
    assert prompts[0].document["messages"] == [{"role": "user", "content": "one 0"}]
    again = reader.read([{"role": "user", "content": "one 0"}])
    assert again is not None and list(again.ids) == list(prompts[0].ids)
    prompts, told = choose(config(train=[str(train)]), reader)
    assert (told, prompts[0].text) == ("training rows", "train 0")


def test_what_is_gone_refused_or_too_long_gives_way(reader: Reader, cf: Any,
                                                    tmp_path: Path) -> None:
    prompts, told = choose(config(train=[str(tmp_path / "gone.jsonl")]), reader)
    assert told == "the built-in ones" and len(prompts) == COUNT
    long = cf.write_rows(tmp_path / "long.jsonl", [
        {"instruction": "word " * 3000, "output": "x"}, {"instruction": "short", "output": "x"}])
    prompts, _ = choose(config(train=[str(long)]), reader)
    assert [one.text for one in prompts] == ["short"]
    given = [[{"role": "user", "content": "mine"}], [{"role": "nobody"}]]
    prompts, told = choose(config(train=[str(long)]), reader, given)
    assert told == "the caller" and [one.text for one in prompts] == ["mine"]


def test_pairs_are_asked_their_prompt_and_texts_their_beginning(reader: Reader, cf: Any,
                                                                tmp_path: Path) -> None:
    pairs = cf.write_rows(tmp_path / "pairs.jsonl", cf.preference_rows(3))
    prompts, _ = choose(config(train=[str(pairs)], over={"objective": "dpo"}), reader)
    assert [one.text for one in prompts] == [row["prompt"] for row in cf.preference_rows(3)]
    texts = cf.write_rows(tmp_path / "texts.jsonl", [{"text": "All of it. " * 40}, {"text": "A"}])
    bare = Reader(None, reader.tokenizer)
    prompts, _ = choose(config(train=[str(texts)], over={"objective": "pretrain"}), bare)
    assert [len(one.document["text"]) < 121 for one in prompts] == [True, True]
    assert prompts[0].document["text"].endswith("All of")
    assert prompts[1].ids == reader.tokenizer.encode("A").ids


def test_a_worker_that_cannot_work_is_told_not_tried_row_after_row(cf: Any, tmp_path: Path) -> None:
    class Broken:
        asked = 0

        def encode(self, prompts: Any) -> Any:
            Broken.asked += 1
            raise DatasetError("worker_died", "The data worker cannot be started.")

    rows = cf.write_rows(tmp_path / "rows.jsonl", [
        {"instruction": f"ask {n}", "output": "x"} for n in range(20)])
    broken: Any = Broken()
    with pytest.raises(DatasetError):
        choose(config(train=[str(rows)]), Reader(broken, None))
    assert Broken.asked == 1
