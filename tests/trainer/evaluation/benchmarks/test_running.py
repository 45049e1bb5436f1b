"""Tasks are asked of an engine, what is answered is kept, and what cannot be asked is refused."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.trainer.evaluation.benchmarks.conftest import HttpAsker, write
from trainer.contract.benchmarks import BENCHMARKS
from trainer.evaluation.benchmarks.running import run_benchmarks
from trainer.evaluation.seam import Unanswerable
from trainer.failures import Failure
from trainer.scoring.paired import compare

# No model is loaded, but all of lm-eval and Transformers is.
pytestmark = pytest.mark.serving


def answer(path, body, salt=""):
    """Say something that depends on nothing but what is asked, as a model would."""
    if "prompt_logprobs" not in body:
        return {"choices": [{"text": f" {len(body['prompt'])} apples. Question: next"}]}
    told = [None]
    for place, token in enumerate(body["prompt"][1:], 1):
        text = f"{salt}{body['prompt'][:place + 1]}".encode()
        logprob = -int.from_bytes(hashlib.sha256(text).digest()[:2], "big") / 10_000
        told.append({str(token): {"logprob": logprob, "rank": 1 + (logprob < -1),
                                  "decoded_token": "x"}})
    return {"choices": [{"text": "", "prompt_logprobs": told}]}


def refused(benches, wish, asker) -> Failure:
    with pytest.raises(Failure) as caught:
        benches.run(wish, asker)
    return caught.value


def one_task(benches, folder, name, rest):
    """Return benches of a folder with one task that generates, and two rows."""
    folder.mkdir()
    write(folder / "rows.jsonl", [{"q": "1", "a": "1"}, {"q": "2", "a": "2"}])
    (folder / f"{name}.yaml").write_text(
        f"task: {name}\ndataset_path: json\noutput_type: generate_until\ntest_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {folder}/rows.jsonl}}}}\n" + rest)
    return benches._replace(folder=folder)


def values(result):
    return {(one.dataset, one.metric): one.value for one in result.results}


def test_scores_have_intervals_and_rows(benches):
    asker = HttpAsker(answer=answer)
    result = benches.run(benches.wish("colours", "texts"), asker)
    found = {(one.dataset, one.metric): one for one in result.results}
    acc = found["colours", "acc"]
    assert acc.n == 10 and acc.share and 0 <= acc.low <= acc.value <= acc.high <= 1
    assert acc.source == "benchmark" and "0 examples, version 1.0 of the task" in acc.detail
    words = found["texts", "word_perplexity"]
    assert not words.higher_is_better and words.low < words.value < words.high
    assert set(result.scores) == set(found)
    assert list(result.scores["colours", "acc"].rows) == list(range(1, 11))
    # Four choices, none of them alike; texts longer than the context are asked in windows.
    assert result.requests == len(asker.posts) > 40 + 7 and result.kept == 0


def test_two_models_are_compared_row_by_row(benches):
    one = benches.run(benches.wish("colours"), HttpAsker(answer=answer))
    other = benches.run(benches.wish("colours", number=2),
                        HttpAsker(answer=lambda path, body: answer(path, body, "b")))
    key = ("colours", "acc")
    told = compare(one.scores[key], other.scores[key])
    assert told.test == "mcnemar" and told.n == 10
    assert told.difference == pytest.approx(values(other)[key] - values(one)[key])


def test_a_group_is_its_tasks_together_and_only_it_is_compared(benches):
    result = benches.run(benches.wish("both"), HttpAsker(answer=answer))
    found = values(result)
    assert found["both", "acc"] == (found["colours", "acc"] + found["shades", "acc"]) / 2
    assert set(result.scores) == {("both", "acc")}
    assert len(result.scores["both", "acc"].rows) == 20


def test_examples_limit_and_seed_reach_the_task(benches):
    asker = HttpAsker(answer=answer)
    wish = benches.wish("sums", seed=5, config={"num_fewshot": 4, "limit": 3})
    result = benches.run(wish, asker)
    assert [one.n for one in result.results] == [3, 3]
    assert all("4 examples" in one.detail for one in result.results)
    body = asker.posts[0][1]
    assert body["stop"] == ["Question:", "</s>"] and body["max_tokens"] == 24
    again, another = HttpAsker(answer=answer), HttpAsker(answer=answer)
    for name, seed, other in (("again", 5, again), ("another", 6, another)):
        moved = benches._replace(place=benches.place / name)
        moved.run(moved.wish("sums", seed=seed, config=wish.config.model_dump()), other)
    assert again.posts == asker.posts != another.posts


def test_what_is_finished_is_not_asked_again(benches):
    first = benches.run(benches.wish("colours"), HttpAsker(answer=answer))
    asker = HttpAsker(answer=answer)
    again = benches.run(benches.wish("colours"), asker)
    assert not asker.posts and again.requests == 0
    assert again.results == first.results
    assert (again.scores["colours", "acc"].sums == first.scores["colours", "acc"].sums).all()


def test_an_engine_that_dies_half_way_loses_nothing(benches):
    def dies(path, body):
        if len(asker.posts) > 12:
            raise Failure("engine_died", "It is gone.")
        return answer(path, body)

    asker = HttpAsker(answer=dies)
    wish = benches.wish("colours", at_once=1)
    assert refused(benches, wish, asker).code == "engine_died"
    journal = wish.folder / "01.jsonl"
    kept = journal.read_bytes()
    assert kept.count(b"\n") == 12
    journal.write_bytes(kept[:-5])
    asker = HttpAsker(answer=answer)
    result = benches.run(wish, asker)
    assert len(asker.posts) == 40 - 11 and result.kept == 11
    whole = benches._replace(place=benches.place / "whole")
    assert result.results == whole.run(whole.wish("colours"), HttpAsker(answer=answer)).results


def test_a_stop_ends_it_and_keeps_what_is_there(benches):
    asker, wish = HttpAsker(answer=answer), benches.wish("colours", at_once=1)
    told = []

    async def work():
        await run_benchmarks(wish, asker, lambda *now: told.append(now),
                             lambda: len(asker.posts) >= 5)

    with pytest.raises(Failure) as caught:
        asyncio.run(work())
    assert caught.value.code == "stopped" and len(asker.posts) == 5
    assert told[0] == (0, 40, "colours") and told[-1] == (5, 40, "colours")


def test_cancelling_ends_the_thread(benches):
    asker, wish = HttpAsker(answer=answer), benches.wish("colours", at_once=2)

    async def work():
        begun = asyncio.Event()

        async def waits(path, body):
            begun.set()
            await asyncio.Event().wait()

        asker.post = waits
        task = asyncio.ensure_future(run_benchmarks(wish, asker, lambda *told: None,
                                                    lambda: False))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert (wish.folder / "01.jsonl").read_bytes() == b""


def test_an_engine_without_likelihoods_is_asked_to_generate_only(benches):
    reason = "llama.cpp tells none of prompts."
    asker = HttpAsker(answer=answer, cannot={"likelihood": reason})
    failure = refused(benches, benches.wish("colours"), asker)
    assert failure.code == "benchmark_likelihood" and reason in failure.message
    assert not asker.posts
    assert len(benches.run(benches.wish("sums"), asker).results) == 2


def test_without_a_tokenizer_texts_and_conversations_are_sent_as_they_are(benches):
    def say(path, body):
        if path == "/completions":
            return {"choices": [{"text": " 42"}]}
        return {"choices": [{"message": {"role": "assistant", "content": "42"}}]}

    asker = HttpAsker(answer=say)
    wish = benches.wish("sums", tokenizer=None, context=0)
    benches.run(wish, asker)
    assert all(path == "/completions" and body["prompt"].endswith("Answer:")
               for path, body in asker.posts)
    assert refused(benches, benches.wish("colours", tokenizer=None), asker).code == \
        "benchmark_likelihood"
    talk = HttpAsker(answer=say)
    moved = benches._replace(place=benches.place / "chat")
    moved.run(moved.wish("sums", tokenizer=None, config={"apply_chat_template": True}), talk)
    path, body = talk.posts[0]
    assert path == "/chat/completions" and body["stop"] == ["Question:", "</s>"]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"] * 2 + ["user"]


def test_what_an_engine_refuses_names_the_task(benches):
    def no(path, body):
        raise Unanswerable("the prompt is longer than the context")

    failure = refused(benches, benches.wish("colours"), HttpAsker(answer=no))
    assert failure.code == "benchmark_task" and "longer than the context" in failure.message
    odd = refused(benches, benches.wish("colours"),
                  HttpAsker(answer=lambda path, body: {"choices": [{"text": "x"}]}))
    assert odd.code == "benchmark_task" and "another form" in odd.message


def test_code_needs_consent_and_then_runs(benches, tmp_path):
    folder = tmp_path / "mine"
    mine = one_task(
        benches, folder, "mine",
        "process_docs: !function utils.run\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n")
    (folder / "utils.py").write_text("from pathlib import Path\n\n\ndef run(rows):\n    Path("
                                     f"{str(tmp_path / 'ran')!r}).touch()\n    return rows\n")
    failure = refused(mine, mine.wish("mine"), HttpAsker(answer=answer))
    assert failure.code == "benchmark_consent" and not (tmp_path / "ran").exists()
    sha256 = failure.advice.split("sha256 to ")[1].split()[0]
    assert mine.run(mine.wish("mine", config={"sha256": sha256}), HttpAsker(answer=answer)).results
    assert (tmp_path / "ran").exists()
    assert not (folder / "__pycache__").exists()


def test_templates_of_tasks_run_in_a_sandbox(benches, tmp_path):
    evil = one_task(
        benches, tmp_path / "evil", "evil",
        "doc_to_text: \"{{ cycler.__init__.__globals__.os.system('touch "
        f"{tmp_path}/ran') }}}}\"\ndoc_to_target: '{{{{q}}}}'\n")
    failure = refused(evil, evil.wish("evil"), HttpAsker(answer=answer))
    assert failure.code == "benchmark_task" and not (tmp_path / "ran").exists()


def test_data_that_cannot_be_had_says_how_to_get_it(benches, tmp_path, monkeypatch):
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "far.yaml").write_text(
        "task: far\ndataset_path: someone/far-away\ndataset_name: part\ntest_split: test\n"
        "output_type: generate_until\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.load.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    far = benches._replace(folder=folder)
    failure = refused(far, far.wish("far"), HttpAsker(answer=answer))
    assert failure.code == "benchmark_data"
    assert "'someone/far-away' (part)" in failure.message
    assert "HF_DATASETS_OFFLINE is set" in failure.message
    assert "HF_HOME" in failure.advice and "--tasks far" in failure.advice


def test_a_metric_of_a_hub_is_refused(benches, tmp_path):
    odd = one_task(
        benches, tmp_path / "metric", "odd", "doc_to_text: '{{q}}'\ndoc_to_target: '{{q}}'\n"
        "metric_list: [{metric: someone/thing, aggregation: mean, higher_is_better: true}]\n")
    failure = refused(odd, odd.wish("odd"), HttpAsker(answer=answer))
    assert failure.code == "benchmark_remote" and "someone/thing" in failure.message


def test_an_unknown_task_has_a_near_name(benches, monkeypatch):
    from lm_eval.tasks import TaskManager

    own = TaskManager(include_path=str(benches.folder), include_defaults=False)
    monkeypatch.setattr("trainer.evaluation.benchmarks.harness._manager", lambda *folders: own)
    failure = refused(benches, benches.wish("colour"), HttpAsker(answer=answer))
    assert failure.code == "benchmark_unknown" and "colours" in failure.advice
    path = refused(benches, benches.wish(str(benches.folder / "colours.yaml")),
                   HttpAsker(answer=answer))
    assert path.code == "benchmark_unknown"


@pytest.mark.parametrize("name", sorted({task for one in BENCHMARKS for task in one.tasks}))
def test_benchmarks_that_are_offered_are_found_quickly(name):
    from trainer.evaluation.benchmarks.harness import _manager_of

    found = _manager_of(name, "")
    assert name in found.task_index and len(found.all_tasks) < 200


def test_files_of_odd_names_stay_in_their_folder(benches):
    from trainer.evaluation.benchmarks.running import task_file

    wish = benches.wish("a")
    for name in ("../../x", "a/b", "a" * 200, "é", "x::y"):
        place = task_file(wish, name)
        assert place.parent == wish.folder and place.name.startswith("01-")
        assert place.resolve().is_relative_to(Path(wish.folder).resolve())
    assert json.dumps(str(task_file(wish, "mmlu_x"))).endswith('01-mmlu_x.json"')
