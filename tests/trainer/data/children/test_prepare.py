"""Tokenising a dataset once: in other processes, kept, and told of in full."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.data.children.conftest import Lab, asked, table
from trainer.contract.config import RunConfig
from trainer.contract.config.data import DatasetUse, FilterConfig
from trainer.data.checking.check import examples, shape_of
from trainer.data.children import prepare as preparing
from trainer.data.children.prepare import prepare, processes, split_rows
from trainer.data.children.workers import Cancelled
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.chat import ChatTemplate
from trainer.data.templates.sandbox import TemplateError
from trainer.data.tokens.cache import TokenCache
from trainer.data.tokens.encoder import Encoder
from trainer.data.tokens.fit import FittedRow
from trainer.data.tokens.request import PrepareRequest, Source
from trainer.data.tokens.tokenizer import IGNORED, Tokenizer


def test_the_file_has_what_the_encoder_says(lab: Lab, tokenizer: Tokenizer,
                                            template: ChatTemplate) -> None:
    rows = [*asked(3), {"question": "你好", "answer": "😀 " * 60}]
    found = lab.prepare(rows, max_length=48)
    spec = lab.make(rows)
    encoder = Encoder(tokenizer, template, 48)
    wanted = [encoder.encode(e) for e in examples(spec, shape_of(spec), objective="sft")]
    got = table(found)
    assert found.rows == len(got) == len(wanted)
    for fitted, row in zip(wanted, got, strict=True):
        assert isinstance(fitted, FittedRow)
        assert row == {"input_ids": fitted.tokens.input_ids, "labels": fitted.tokens.labels,
                       "row": fitted.row, "length": fitted.length,
                       "trained": fitted.trained_tokens, "cut": fitted.row == 4}
    counts = found.counts
    assert (counts.rows, counts.used, counts.cut, counts.max_tokens) == (4, 4, 1, 48)
    assert counts.tokens == sum(row["length"] for row in got)
    assert counts.trained_tokens == sum(label != IGNORED for row in got for label in row["labels"])


def test_it_is_done_once(lab: Lab) -> None:
    rows = asked(5)
    first, second = lab.prepare(rows), lab.prepare(rows)
    assert (first.reused, second.reused) == (False, True)
    assert (first.file, first.counts, first.sha256) == (second.file, second.counts, second.sha256)
    assert lab.prepare(rows, workers=3).reused, "by how many is no matter"


@pytest.mark.parametrize("change", [
    {"max_length": 64}, {"overlong": "drop"}, {"bad_rows": "skip"}, {"train_on_prompt": True},
    {"mask_history": True}, {"max_samples": 3}, {"deduplicate": "exact"}, {"template": "chatml"},
    {"filters": FilterConfig(min_characters=3)}])
def test_every_setting_counts(lab: Lab, change: dict[str, Any]) -> None:
    rows = asked(4)
    base = lab.prepare(rows)
    assert lab.prepare(rows, **change).key != base.key


def test_data_and_model_count(lab: Lab, tmp_path: Path) -> None:
    rows = asked(4)
    base = lab.prepare(rows)
    assert lab.prepare(asked(5)).key != base.key
    mapped = replace(lab.request(rows), data=Source(
        str(lab.make(rows).path), lab.home, mapping={"prompt": "answer", "response": "question"}))
    assert prepare(mapped, worker=lab.worker).key != base.key
    other = tmp_path / "other"
    shutil.copytree(lab.model, other)
    request = replace(lab.request(rows), model_folder=other)
    assert prepare(request, worker=lab.worker).reused
    (other / "chat_template.jinja").write_text(
        (lab.model / "chat_template.jinja").read_text() + " ")
    assert prepare(request, worker=lab.worker).key != base.key


def test_every_row_is_accounted_for(lab: Lab) -> None:
    rows = [*asked(3), *asked(1), {"question": "a", "answer": ""}, {"question": "b", "answer": "c"},
            {"question": "long " * 40, "answer": "no"}]
    found = lab.prepare(rows, bad_rows="skip", deduplicate="exact", max_length=60,
                        filters=FilterConfig(min_characters=4))
    counts = found.counts
    assert (counts.rows, counts.used, counts.duplicates, counts.bad_rows, counts.filtered,
            counts.dropped) == (7, 3, 1, 1, 1, 1)
    assert [row["row"] for row in table(found)] == [1, 2, 3]


def test_near_duplicates(lab: Lab) -> None:
    pytest.importorskip("datasketch")
    text = "It was a bright cold day and all the clocks of the old town were striking " * 3
    rows = [{"question": "What was it?", "answer": text + end} for end in ("ten.", "nine.")]
    assert lab.prepare(rows, deduplicate="near").counts.duplicates == 1
    assert lab.prepare(rows, deduplicate="exact").counts.duplicates == 0


def test_rows_that_the_template_refuses(lab: Lab, tmp_path: Path) -> None:
    model = tmp_path / "picky"
    shutil.copytree(lab.model, model)
    (model / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if 'never' in m.content %}{{ raise_exception('not that') }}"
        "{% endif %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}")
    rows = [*asked(2), {"question": "a", "answer": "never"}]
    request = replace(lab.request(rows), model_folder=model)
    with pytest.raises(TemplateError, match=r"Row 3: .*not that"):
        prepare(request, worker=lab.worker)
    counts = prepare(replace(request, bad_rows="skip"), worker=lab.worker).counts
    assert (counts.used, counts.refused) == (2, 1)


@pytest.mark.faults
def test_a_template_that_hangs_on_one_row_ends_it_all(lab: Lab, tmp_path: Path) -> None:
    model = tmp_path / "slow"
    shutil.copytree(lab.model, model)
    marked = (model / "chat_template.jinja").read_text()
    (model / "chat_template.jinja").write_text(
        "{% if 'never' in messages[0].content %}" + "{% for a in range(9999) %}" * 3
        + "{% set x = 1 %}" + "{% endfor %}" * 3 + "{% endif %}" + marked)
    rows = [*asked(2), {"question": "never", "answer": "b"}]
    with pytest.raises(TemplateError, match="Row 3") as caught:
        prepare(replace(lab.request(rows), model_folder=model, bad_rows="skip"), worker=lab.worker)
    assert caught.value.code == "template_time"
    assert TokenCache(lab.home / "cache" / "tokens").list() == []


def test_bad_rows_are_refused_by_name(lab: Lab) -> None:
    with pytest.raises(DatasetError, match=r"Row 3 of data\.jsonl has no text in 'answer'"):
        lab.prepare([*asked(2), {"question": "a", "answer": ""}])
    assert list((lab.home / "cache" / "tokens").iterdir()) == [], "nothing is left behind"
    with pytest.raises(DatasetError) as caught:
        lab.prepare(asked(2), objective="dpo")
    assert caught.value.code.endswith("_for_dpo")


@pytest.mark.faults
@pytest.mark.usefixtures("several")
def test_more_processes_give_the_same_file(lab: Lab) -> None:
    rows = [*asked(50), {"question": "a", "answer": ""}, *asked(20), *asked(30, "no")]
    settings: dict[str, Any] = {"bad_rows": "skip", "deduplicate": "exact", "max_length": 40}
    one = lab.prepare(rows, workers=1, **settings)
    got, counts = table(one), one.counts
    shutil.rmtree(one.folder)
    three = lab.prepare(rows, workers=3, **settings)
    assert not three.reused
    assert (table(three), three.counts) == (got, counts)
    assert counts.duplicates == 20


@pytest.mark.faults
@pytest.mark.usefixtures("several")
def test_of_several_bad_rows_the_first_is_named_whoever_meets_it(lab: Lab) -> None:
    rows: list[dict[str, str]] = asked(90)
    for number in (20, 50, 80):
        rows[number - 1]["answer"] = ""
    with pytest.raises(DatasetError, match="Row 20 "):
        lab.prepare(rows, workers=3)


def test_pairs(lab: Lab, tokenizer: Tokenizer) -> None:
    found = lab.prepare([{"prompt": "Hi", "chosen": "yes", "rejected": "no"}], objective="dpo")
    (row,) = table(found)
    assert [tokenizer.decode(row[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids")] \
        == ["<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "yes<|im_end|>",
            "no<|im_end|>"]


def test_judged_answers(lab: Lab, tokenizer: Tokenizer) -> None:
    rows = [{"prompt": "Hi", "completion": "yes", "label": True},
            {"prompt": "Ho", "completion": "no " * 90, "label": False}]
    found = table(lab.prepare(rows, objective="kto", max_length=50))
    assert [row["label"] for row in found] == [True, False]
    assert tokenizer.decode(found[0]["completion_ids"]) == "yes<|im_end|>"
    assert [row["length"] for row in found] == [
        len(found[0]["prompt_ids"]) + len(found[0]["completion_ids"]), 50]
    assert found[1]["cut"]


@pytest.mark.faults
@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("workers", [1, 3])
def test_plain_text_becomes_blocks_and_nothing_is_lost(lab: Lab, tokenizer: Tokenizer,
                                                       workers: int) -> None:
    texts = ["Once upon a time. " * n for n in (1, 40, 2, 1, 1, 7)] + ["a <|im_start|> b"]
    found = lab.prepare([{"text": text} for text in texts], objective="pretrain", max_length=32,
                        workers=workers)
    rows = table(found)
    flat = [token for row in rows for token in row["input_ids"]]
    assert [row["length"] for row in rows[:-1]] == [32] * (len(rows) - 1)
    assert 0 < rows[-1]["length"] <= 32
    assert all(row["input_ids"] == row["labels"] for row in rows)
    assert tokenizer.decode(flat) == "".join(f"{text}<|im_end|>" for text in texts)
    assert flat.count(2) == len(texts) and 1 not in flat, "what looks special stays text"
    assert (found.counts.used, found.rows, found.counts.tokens) == (7, len(rows), len(flat))
    assert [row["row"] for row in rows][:2] == [1, 2]


def test_progress_ends_with_everything(lab: Lab) -> None:
    steps: list[tuple[int, int]] = []
    prepare(lab.request(asked(2000)), worker=lab.worker, progress=lambda *s: steps.append(s))
    assert steps[-1] == (2000, 2000)
    assert all(done <= total for done, total in steps)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.faults
@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("workers", [1, 2])
def test_it_can_be_cancelled(lab: Lab, workers: int) -> None:
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        prepare(lab.request(asked(30_000), workers=workers), worker=lab.worker, cancel=cancel,
                progress=lambda done, total: cancel.set() if done else None)
    assert list((lab.home / "cache" / "tokens").iterdir()) == []


def test_a_file_that_changes_meanwhile_is_refused(lab: Lab) -> None:
    request = lab.request(asked(30_000))
    path = Path(request.data.source)
    changed: list[bool] = []

    def change(done: int, total: int) -> None:
        if done and not changed:
            changed.append(True)
            with path.open("a") as file:
                file.write(json.dumps(asked(1)[0]) + "\n")

    with pytest.raises(DatasetError) as caught:
        prepare(request, worker=lab.worker, progress=change)
    assert caught.value.code == "changed_while_reading"


@pytest.mark.faults
def test_two_at_once_share_one_result(lab: Lab) -> None:
    request, found = lab.request(asked(500)), []
    threads = [threading.Thread(target=lambda: found.append(prepare(request))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({prepared.file for prepared in found}) == 1
    assert len(table(found[0])) == 500


def test_without_a_home_the_tokens_go_where_they_are_wanted(lab: Lab, tmp_path: Path) -> None:
    request = replace(lab.request(asked(2)), data=Source(str(lab.make(asked(2)).path)),
                      folder=tmp_path / "run")
    assert prepare(request, worker=lab.worker).file.is_relative_to(tmp_path / "run")


def test_a_folder_that_cannot_be_written_is_told(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    request = replace(lab.request(asked(2)), data=Source(str(lab.make(asked(2)).path)),
                      folder=tmp_path / "file")
    with pytest.raises(DatasetError) as caught:
        prepare(request, worker=lab.worker)
    assert caught.value.code == "worker_io"


def test_a_request_goes_over_a_pipe(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"name": "x", "data": {
        "train": [{"name": "a", "max_samples": 7, "revision": "v1"}], "max_samples": 9,
        "filters": {"languages": ["en"]}}})
    use = config.data.uses("train")[0]
    request = PrepareRequest.of(config, use, model_folder=tmp_path, home=tmp_path / "home")
    assert (request.max_samples, request.data.revision) == (7, "v1")
    text = json.dumps(request.document())
    assert PrepareRequest.from_document(json.loads(text)) == request
    held = request.for_eval()
    assert (held.max_samples, held.filters.active, held.data) == (None, False, request.data)


def test_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    assert processes(None, 1000) == 1
    assert processes(None, preparing.LARGE_BYTES) == 6
    assert processes(4, 3 * 2**20) == 3, "each has something to do"
    assert processes(4, 1000) == 1
    assert processes(64, 2**30) == 6


@pytest.mark.parametrize(("last", "count"), [(10, 3), (1, 4), (7, 7), (100, 1)])
def test_ranges_are_all_rows_once(last: int, count: int) -> None:
    ranges = split_rows(last, count)
    assert [n for r in ranges for n in range(r["start"], r["last"] + 1)] == list(range(1, last + 1))
    assert len(ranges) == min(last, count)


def test_uses_of_a_config(tmp_path: Path) -> None:
    config = RunConfig(name="x")
    request = PrepareRequest.of(config, DatasetUse(name="sample_chat"), model_folder=tmp_path,
                                home=None, folder=tmp_path)
    assert (request.data.source, request.max_length) == ("sample_chat", config.data.max_length)
