"""Which files of a repository are the dataset that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.data.catalog.hub_files import RemoteFile, Selection, is_data_file, select
from trainer.data.reading.rows import DatasetError


def chosen(paths: list[str], card: Any = None, **part: str) -> Selection:
    return select([RemoteFile(path, 1) for path in paths], card, **part)


def names(paths: list[str], card: Any = None, **part: str) -> list[str]:
    return [file.path for file in chosen(paths, card, **part).files]


SHARDS = [f"data/train-0000{n}-of-00003.parquet" for n in range(3)]


@pytest.mark.parametrize(("paths", "split", "wanted"), [
    ([*SHARDS, "data/test-00000-of-00001.parquet", "README.md"], None, SHARDS),
    ([*SHARDS, "data/test-00000-of-00001.parquet"], "test", ["data/test-00000-of-00001.parquet"]),
    (["data/train_sft-00000-of-00001.parquet", "data/test_sft-00000-of-00001.parquet"],
     "test_sft", ["data/test_sft-00000-of-00001.parquet"]),
    (["a.jsonl"], None, ["a.jsonl"]), (["a.jsonl", "b.jsonl"], "train", ["a.jsonl", "b.jsonl"]),
    (["train.json", "dev.json"], "validation", ["dev.json"]),
    (["train.json", "dev.json", "test.json"], "train+test", ["test.json", "train.json"]),
    (["my_training_set.csv", "my_test.csv"], None, ["my_training_set.csv"]),
    (["test/a.jsonl", "train/a.jsonl", "train/b.jsonl"], None, ["train/a.jsonl", "train/b.jsonl"]),
    (["eval.jsonl"], None, ["eval.jsonl"]), (["latest.jsonl"], None, ["latest.jsonl"]),
    (["contest.jsonl", "trainer.jsonl"], None, ["contest.jsonl", "trainer.jsonl"]),
    (["data.jsonl.gz", "dataset_infos.json", "LICENSE.txt", ".git/x.json"], None,
     ["data.jsonl.gz"]),
    (["train.jsonl", "notes.md", "x.txt"], None, ["train.jsonl"]),
    (["a.parquet", "b.parquet", "c.json"], None, ["a.parquet", "b.parquet"])])
def test_splits_are_told_by_names(paths: list[str], split: str | None, wanted: list[str]) -> None:
    part = {"split": split} if split else {}
    assert names(paths, **part) == wanted


def test_what_is_left_out_is_said() -> None:
    assert chosen(["a.parquet", "b.parquet", "c.json"]).left_out == ("c.json",)


CARD = {"configs": [
    {"config_name": "en", "data_files": "en/*.jsonl"},
    {"config_name": "zh", "default": True, "data_files": [
        {"split": "train", "path": ["zh/a.jsonl", "zh/deep/**/*.jsonl"]},
        {"split": "test", "path": "zh/t[0-9].jsonl"}]},
    {"config_name": "dir", "data_dir": "other"}, {"no": "name"}, 7]}
TREE = ["en/x.jsonl", "zh/a.jsonl", "zh/deep/b.jsonl", "zh/deep/er/c.jsonl", "zh/t1.jsonl",
        "zh/tx.jsonl", "other/train.jsonl", "other/test.jsonl"]


def test_a_card_names_subsets_and_splits() -> None:
    assert names(TREE, CARD) == ["zh/a.jsonl", "zh/deep/b.jsonl", "zh/deep/er/c.jsonl"]
    assert names(TREE, CARD, split="test") == ["zh/t1.jsonl"]
    assert names(TREE, CARD, subset="en") == ["en/x.jsonl"]
    assert names(TREE, CARD, subset="dir", split="test") == ["other/test.jsonl"]
    found = chosen(TREE, CARD)
    assert (found.config, found.split, found.splits) == ("zh", "train", ("train", "test"))


def test_folders_are_subsets_too() -> None:
    tree = ["en/train-00000-of-00001.parquet", "zh/train-00000-of-00001.parquet"]
    assert names(tree, subset="zh") == tree[1:]
    assert names(tree, folder="en") == tree[:1]
    with pytest.raises(DatasetError, match="Choose the subset: 'en', 'zh'"):
        names(tree)


@pytest.mark.parametrize(("paths", "card", "part", "code", "words"), [
    (["x.py"], None, {}, "hub_script", "never run"),
    (["a.png", "b.zip"], None, {}, "hub_no_data", "'a.png', 'b.zip'"), ([], None, {},
     "hub_no_data", "none"),
    (TREE, CARD, {"subset": "fr"}, "hub_subset", "'en', 'zh', 'dir'"),
    (TREE, CARD, {"split": "dev"}, "hub_split", "'train', 'test'"),
    (TREE, {"configs": CARD["configs"][:1] + CARD["configs"][2:]}, {}, "hub_subset", "several"),
    (["a.jsonl"], {"configs": [{"config_name": "c", "data_files": "b.jsonl"}]}, {},
     "hub_no_data", "'c'"),
    (["a.jsonl"], None, {"split": "train[:10%]"}, "hub_split", "max_samples"),
    (["a.jsonl"], None, {"folder": "nope"}, "hub_no_data", "'nope'"),
    (["test.jsonl", "dev.jsonl"], None, {}, "hub_split", "'test'"),
    (SHARDS[:2], None, {}, "hub_incomplete", "1 of the 3")])
def test_what_has_to_be_chosen_or_is_missing(paths: list[str], card: Any, part: dict[str, str],
                                             code: str, words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        chosen(paths, card, **part)
    assert caught.value.code == code
    assert words in str(caught.value)


@pytest.mark.parametrize("card", [None, "text", [], {"configs": 5}, {"configs": [None]},
                                  {"configs": [{"config_name": "a", "data_files": {"x": 3}}]},
                                  {"configs": [{"config_name": "a", "data_files": [[]]}]}])
def test_a_malformed_card_counts_as_none(card: Any) -> None:
    assert names(["train.jsonl"], card) == ["train.jsonl"]


def test_patterns_are_not_regular_expressions() -> None:
    card = {"configs": [{"config_name": "a", "data_files": "a+(b.jsonl"}]}
    assert names(["a+(b.jsonl", "aab.jsonl"], card) == ["a+(b.jsonl"]
    card = {"configs": [{"config_name": "a", "data_files": "[z-a].jsonl"}]}
    assert names(["[z-a].jsonl", "b.jsonl"], card) == ["[z-a].jsonl"]


def test_what_is_a_data_file() -> None:
    assert all(map(is_data_file, ["a.jsonl", "x/y.csv.gz", "train.parquet", "中文.json"]))
    assert not any(map(is_data_file, ["README.md", "a.py", ".a.json", "x/.b/c.json", "a/../b.json",
                                      "dataset_info.json", "state.json", "__x__/a.json", "a",
                                      "/etc/a.json", "a\\..\\b.json", "a\n.json", ""]))
