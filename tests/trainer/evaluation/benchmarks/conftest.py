"""A folder of tasks with local data, and an engine that is asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.source_tree import ROOT
from trainer.contract.kinds.evaluate import BenchmarkConfig
from trainer.evaluation.benchmarks import BenchmarkResult, BenchmarkWish
from trainer.evaluation.seam import Ability, Unanswerable

STARTER = ROOT / "assets" / "starter"
CHOICES = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/colours.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""
SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {train: FOLDER/examples.jsonl, test: FOLDER/sums.jsonl}}
output_type: generate_until
fewshot_split: train
test_split: test
num_fewshot: 2
doc_to_text: "Question: {{prompt}}\\nAnswer:"
doc_to_target: "{{reference}}"
generation_kwargs: {until: ["Question:", "</s>"], do_sample: false, max_gen_toks: 24}
filter_list:
  - {name: strict-match, filter: [{function: regex, regex_pattern: "^ *(-?[0-9.,]+)"},
                                  {function: take_first}]}
  - {name: flexible-extract, filter: [{function: regex, group_select: -1,
                                       regex_pattern: "(-?[0-9.,]{2,})|(-?[0-9]+)"},
                                      {function: take_first}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
metadata: {version: 1.0}
"""
TEXTS = """
task: texts
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/texts.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: byte_perplexity}
  - {metric: bits_per_byte}
metadata: {version: 1.0}
"""
GROUP = """
group: both
task: [colours, shades]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
metadata: {version: 1.0}
"""
SHADES = """
include: colours.yaml
task: shades
doc_to_text: "Say it again: {{question}}"
"""
COLOURS = ("red", "blue", "green", "a very dark grey")
THINGS = ("door", "hat", "cup", "boat", "tree", "lamp", "chair", "coat", "wall", "ball")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def read(name: str) -> list[dict[str, Any]]:
    lines = (ROOT / "data" / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks of the user's own: choices, sums to be worked out, texts; and a group of two."""
    folder = tmp_path_factory.mktemp("tasks")
    write(folder / "colours.jsonl", [
        {"question": f"What colour is the {thing}? It is", "answer": at % 4,
         "choices": list(COLOURS)} for at, thing in enumerate(THINGS)])
    questions = read("sample_questions")
    write(folder / "examples.jsonl", questions[:6])
    write(folder / "sums.jsonl", questions[6:18])
    long = " ".join(row["text"] for row in read("sample_text")[:120])
    write(folder / "texts.jsonl", [*read("sample_text")[:6], {"text": long}])
    for name, text in (("colours", CHOICES), ("sums", SUMS), ("texts", TEXTS), ("both", GROUP),
                       ("shades", SHADES)):
        (folder / f"{name}.yaml").write_text(text.replace("FOLDER", str(folder)), "utf-8")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Datasets keep what they have read in a folder of the tests."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    yield
    datasets.config.HF_DATASETS_CACHE = before


class HttpAsker:
    """An engine at an address."""

    def __init__(self, base_url: str = "", key: str = "", *, cannot: dict[str, str] | None = None,
                 answer: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None) -> None:
        self.name, self.base_url, self.key, self.model = "starter", base_url, key, "tiny"
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self._cannot, self._answer = cannot or {}, answer
        self._client = httpx.AsyncClient(base_url=base_url, timeout=120, trust_env=False,
                                         headers={"Authorization": f"Bearer {key}"})

    def can(self, ability: Ability) -> str:
        return self._cannot.get(ability, "")

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.posts.append((path, body))
        if self._answer is not None:
            await asyncio.sleep(0)
            return self._answer(path, body)
        reply = await self._client.post(path, json={**body, "model": self.model})
        if reply.status_code in (400, 413, 422):
            raise Unanswerable(reply.text)
        found: dict[str, Any] = reply.raise_for_status().json()
        return found


class Benches(NamedTuple):
    """Runs benchmarks of a config into a folder."""

    place: Path
    folder: Path

    def wish(self, *tasks: str, **values: Any) -> BenchmarkWish:
        config = {"tasks": tasks, "include_path": str(self.folder), **values.pop("config", {})}
        values = {"tokenizer": STARTER, "context": 2048, **values}
        return BenchmarkWish(BenchmarkConfig.model_validate(config), "starter",
                             values.pop("number", 1), self.place / "benchmarks", **values)

    def run(self, wish: BenchmarkWish, asker: HttpAsker) -> BenchmarkResult:
        from trainer.evaluation.benchmarks.running import run_benchmarks

        async def work() -> BenchmarkResult:
            try:
                return await run_benchmarks(wish, asker, lambda done, total, task: None,
                                            lambda: False)
            finally:
                await asker.close()

        return asyncio.run(work())


@pytest.fixture
def benches(tmp_path: Path, folder: Path) -> Benches:
    """Runs benchmarks of the folder."""
    return Benches(tmp_path, folder)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fetches anything."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    assert os.environ.get("HF_DATASETS_OFFLINE") == "1"
