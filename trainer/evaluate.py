"""Letting the model answer held-out questions, and writing down what it said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.contract.events import finite
from trainer.contract.files import write_atomic
from trainer.generate import cut_at
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 64


@dataclass(frozen=True)
class Question:
    """A prompt as tokens and text, and the answer that is right.

    ``row`` is the row of the dataset it comes from, from 1.
    """

    row: int
    dataset: str
    prompt: str
    reference: str
    input_ids: list[int]


@dataclass(frozen=True)
class Answerer:
    """A model that answers greedily; the tokens ``eos_ids`` or ``stop_strings`` end an answer.

    ``autocast`` gives the context it computes in: a quantized base keeps its norms in float32,
    which some adapters take only beside the autocast of training.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    eos_ids: tuple[int, ...]
    max_new_tokens: int
    stop_strings: tuple[str, ...] = ()
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext

    def answer(self, questions: Sequence[Question],
               progress: Callable[[int], None] = lambda done: None) -> list[str]:
        """Answer questions in batches of like length, left-padded; order is kept.

        A batch that the GPU has no room for is asked again in halves, and so are those after it.

        Args:
            questions: What is asked.
            progress: Told after each batch how many are done; may raise to end early.
        """
        order = sorted(range(len(questions)), key=lambda i: len(questions[i].input_ids))
        answers = [""] * len(questions)
        was_training = self.model.training
        self.model.eval()
        done, size = 0, BATCH
        try:
            while done < len(order):
                chosen = order[done:done + size]
                try:
                    texts = self._batch([questions[i].input_ids for i in chosen])
                except torch.OutOfMemoryError:
                    if len(chosen) == 1:
                        raise
                    size = len(chosen) // 2
                    continue
                for index, text in zip(chosen, texts, strict=True):
                    answers[index] = text
                done += len(chosen)
                progress(done)
        finally:
            self.model.train(was_training)
        return answers

    def _batch(self, prompts: list[list[int]]) -> list[str]:
        """Answer one batch; ``input_ids`` is (B, T) int64, padded on the left."""
        width, pad = max(map(len, prompts)), self.tokenizer.pad_token_id
        device = self.model.device
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts],
                            device=device)
        stops = {"stop_strings": list(self.stop_strings), "tokenizer": self.tokenizer} \
            if self.stop_strings else {}
        with torch.inference_mode(), self.autocast():
            out = self.model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=self.max_new_tokens,
                do_sample=False, num_beams=1, use_cache=True, temperature=None, top_p=None,
                top_k=None, pad_token_id=pad, eos_token_id=list(self.eos_ids) or None, **stops)
        return [self.decode(row) for row in out[:, width:].tolist()]

    def decode(self, ids: list[int]) -> str:
        """Return the text before the first end token or stop string."""
        ends = [i for i, token in enumerate(ids) if token in self.eos_ids]
        kept = ids[:ends[0]] if ends else ids
        text = str(self.tokenizer.decode(kept, skip_special_tokens=True))
        return cut_at(text, self.stop_strings).strip()


def as_predictions(questions: Sequence[Question], answers: Sequence[str]) -> list[Prediction]:
    """Return answers as ``trainer.scoring`` reads them; a row is the place of its question."""
    return [Prediction(row, q.prompt, answer, (q.reference,), label=q.reference or None)
            for row, (q, answer) in enumerate(zip(questions, answers, strict=True), 1)]


def write_predictions(path: Path, questions: Sequence[Question], answers: Sequence[str],
                      scores: Sequence[Scores]) -> None:
    """Write one JSON line for each question, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(_lines(questions, answers, scores)))


def _lines(questions: Sequence[Question], answers: Sequence[str],
           scores: Sequence[Scores]) -> Iterator[str]:
    """Yield a line a question; a score that leaves the row out is null."""
    for place, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        yield json.dumps({
            "row": question.row, "dataset": question.dataset, "prompt": question.prompt,
            "reference": question.reference, "prediction": answer,
            "score": {one.name: _plain(one, place) for one in scores}}, ensure_ascii=False) + "\n"


def _plain(scores: Scores, place: int) -> float | int | None:
    value = finite(float(scores.values[place]))
    return int(value) if value is not None and scores.share else value
