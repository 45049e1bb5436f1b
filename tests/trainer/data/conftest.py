"""Files to read, and a small byte-level tokenizer with a ChatML template."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from trainer.data.catalog.registry import Registry
from trainer.data.reading.sources import DatasetSpec
from trainer.data.templates.chat import ChatTemplate
from trainer.data.tokens.tokenize import Tokenizer

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKED = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.role == 'assistant' -%}"
    "{%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}{{- '\\n' -}}"
    "{%- else -%}{{- message.content + '<|im_end|>\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}")
UNMARKED = MARKED.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
TEXTS = ["user assistant system tool", "What is 12 + 30? It is 42.\n\nThe answer: #### 42",
         "你好，世界。今天天气很好。 Ünïcödé 😀🎉", "Once upon a time there was a small house."] * 4


def make_engine() -> Engine:
    """Return a byte-level BPE tokenizer of a few hundred tokens, as modern models have."""
    engine = Engine(models.BPE())
    engine.normalizer = normalizers.NFC()
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.post_processor = processors.ByteLevel(trim_offsets=True)
    engine.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return engine


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tokenizer.json, tokenizer_config.json and a marked template."""
    folder = tmp_path_factory.mktemp("model")
    make_engine().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>"}}))
    (folder / "chat_template.jinja").write_text(MARKED)
    return folder


@pytest.fixture(scope="session")
def template(model_folder: Path) -> ChatTemplate:
    return ChatTemplate.from_folder(model_folder)


@pytest.fixture(scope="session")
def unmarked() -> ChatTemplate:
    return ChatTemplate(UNMARKED, variables={"eos_token": "<|im_end|>"}, special_tokens=SPECIALS)


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(model_folder)


Make = Callable[..., DatasetSpec]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a file from text, bytes or rows, and resolve it."""
    def write(content: str | bytes | list[Any], name: str = "data.jsonl") -> DatasetSpec:
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        raw = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        packed = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)
        path.write_bytes(packed(raw))
        return Registry(tmp_path / "none", None).resolve(str(path))
    return write
