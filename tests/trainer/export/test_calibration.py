"""Texts that GPTQ and AWQ look at: rows of the run's own training data, as the model reads them."""

import json

import pytest

from trainer.contract.config import parse
from trainer.contract.places import starter
from trainer.export.calibration import write_texts
from trainer.export.errors import ExportError


def texts(path):
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_are_rendered_with_their_answers(tmp_path):
    config = parse({"data": {"train": ["sample_instructions"]}})
    found = texts(write_texts(config, starter(), tmp_path / "texts.jsonl", 5))
    assert len(found) == 5 and all("<|im_start|>user\n" in text for text in found)
    prompt, _, answer = found[0].rpartition("assistant\n")
    assert prompt and answer.strip()


def test_plain_text_stays_as_it_is(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text("One line of a book.\n\nAnother one.\n", encoding="utf-8")
    config = parse({"objective": "pretrain", "data": {"train": [str(file)]}})
    found = texts(write_texts(config, starter(), tmp_path / "texts.jsonl", 50))
    assert "One line of a book." in "\n".join(found)


def test_data_that_is_gone_is_named(tmp_path):
    config = parse({"data": {"train": [str(tmp_path / "gone.jsonl")]}})
    with pytest.raises(ExportError) as raised:
        write_texts(config, starter(), tmp_path / "texts.jsonl", 5)
    assert raised.value.code == "texts_missing" and "fp8" in raised.value.advice
    assert not (tmp_path / "texts.jsonl").exists()
