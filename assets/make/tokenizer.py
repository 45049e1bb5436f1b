"""The starter's tokenizer: byte-level BPE that splits text the way Qwen2 does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from assets.make.chores import chat_text, conversation
from assets.make.ordinary import code, problem, sentence, sentence_zh
from assets.make.prose import world_text
from assets.make.world import build_world

VOCAB_SIZE = 4096
EOS, PAD = "<|im_end|>", "<|endoftext|>"
SPECIAL = (PAD, "<|im_start|>", EOS)
MARKS = (
    *("<think>", "</think>", "<tool_call>", "</tool_call>"),
    *("<tool_response>", "</tool_response>"),
)
TEMPLATE = Path(__file__).with_name("chat_template.jinja")

# The pre-tokenizer of Qwen2, as published in its tokenizer.json; llama.cpp calls it "qwen2".
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def corpus(seed: int = 1, documents: int = 60_000) -> Iterator[str]:
    """Yields the texts that the vocabulary is learned from: more of ordinary text than of people.

    Args:
        seed: fixes every text.
        documents: how many texts.
    """
    rng = random.Random(f"tokenizer-{seed}")
    people = build_world()
    groups = [[p for p in people if p.language == code] for code in ("en", "zh")]
    makers = (sentence, sentence, sentence, problem, problem, sentence_zh, code)
    for i in range(documents):
        if i % 8 == 0:
            yield world_text(groups[i // 8 % 2], rng)
        elif i % 8 == 4:
            yield chat_text(conversation(people, rng))
        else:
            yield rng.choice(makers)(rng)


def train_tokenizer(seed: int = 1) -> Tokenizer:
    """Learns the 4,096 tokens; the same seed gives the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL) - len(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(seed), trainer)
    _add_special(tokenizer)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE, tokenizer.get_vocab_size()
    return tokenizer


def _add_special(tokenizer: Tokenizer) -> None:
    """Appends the special tokens after the learned ones, the order Qwen's files have."""
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKS])


def save_tokenizer(folder: Path, seed: int = 1) -> None:
    """Writes tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    from transformers import Qwen2TokenizerFast

    tokenizer = train_tokenizer(seed)
    folder.mkdir(parents=True, exist_ok=True)
    wrapped = Qwen2TokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=None,
        bos_token=None,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = TEMPLATE.read_text(encoding="utf-8")
    wrapped.save_pretrained(folder)
