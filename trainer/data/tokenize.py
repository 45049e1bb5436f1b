"""The tokenising stage: examples in, token ids out, in batches, with counts and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from trainer.data.chat import ChatTemplate, Rendered
from trainer.data.fit import (
    Fitted,
    FittedPair,
    FittedRow,
    Overlong,
    encode_pair,
    fit,
    fit_pair,
    fit_row,
)
from trainer.data.messages import Example
from trainer.data.sandbox import TemplateError
from trainer.data.tokenizer import IGNORED, TokenizedRow, Tokenizer

__all__ = ["IGNORED", "Counts", "Fitted", "FittedPair", "FittedRow", "Preparer", "TokenizedRow",
           "Tokenizer", "fit"]
BATCH_ROWS = 256
Progress = Callable[[int, int], None]


@dataclass
class Counts:
    """What became of the examples; token counts are of the used ones, after cutting.

    ``cut`` examples were shortened and are used; ``dropped`` ones were too long, ``refused`` ones
    the chat template would not render.
    """

    used: int = 0
    cut: int = 0
    dropped: int = 0
    refused: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    max_tokens: int = 0

    def add(self, fitted: Fitted) -> None:
        """Count one example that is used."""
        self.used += 1
        self.cut += bool(fitted.cut_turns or fitted.cut_tokens)
        self.tokens += fitted.length
        self.trained_tokens += fitted.trained_tokens
        self.max_tokens = max(self.max_tokens, fitted.length)


@dataclass
class Preparer:
    """Turns examples into tokens with one model's template, tokenizer and limits."""

    tokenizer: Tokenizer
    template: ChatTemplate
    max_length: int
    overlong: Overlong = "cut_turns"
    bad_rows: Literal["refuse", "skip"] = "refuse"
    counts: Counts = field(default_factory=Counts)

    def prepare(self, examples: Iterable[Example], *, total: int = 0,
                progress: Progress | None = None) -> Iterator[Fitted]:
        """Yield the tokens of each example that is not dropped, in order.

        Args:
            examples: From ``trainer.data.examples``.
            total: How many there will be, for the progress.
            progress: Called with (done, total) after each batch.

        Raises:
            TemplateError: The template refuses a row (named), and bad rows are not skipped.
        """
        source, done = iter(examples), 0
        while batch := list(islice(source, BATCH_ROWS)):
            for fitted in self._fit_batch(batch):
                if fitted is None:
                    self.counts.dropped += 1
                    continue
                self.counts.add(fitted)
                yield fitted
            done += len(batch)
            if progress is not None:
                progress(done, max(total, done))

    def _fit_batch(self, batch: Sequence[Example]) -> Iterator[Fitted | None]:
        """Render all, encode all at once, then fit each."""
        rendered = [(example, texts) for example in batch
                    if (texts := self._render(example)) is not None]
        rows = iter(self.tokenizer.encode_many([text for _, texts in rendered for text in texts]))
        for example, texts in rendered:
            yield self._fit(example, [next(rows) for _ in texts])

    def _render(self, example: Example) -> list[Rendered] | None:
        """Render the conversation, or the prompt with both answers; None for a skipped row."""
        try:
            if not example.chosen:
                return [self.template.render(example.messages, example.tools)]
            return [self.template.render_answer(example.messages, answer, example.tools)
                    for answer in (example.chosen, example.rejected)]
        except TemplateError as error:
            if self.bad_rows == "skip":
                self.counts.refused += 1
                return None
            raise TemplateError(error.code, f"Row {example.row}: {error.message}",
                                error.advice) from None

    def _fit(self, example: Example, rows: list[TokenizedRow]) -> Fitted | None:
        """Fit what is already encoded; fewer turns are rendered again only where needed."""
        tokenizer, template = self.tokenizer, self.template
        if example.chosen:
            return fit_pair(example, (rows[0], rows[1]),
                            lambda m: encode_pair(example, tokenizer, template, m),
                            max_length=self.max_length, overlong=self.overlong)
        return fit_row(example, rows[0],
                       lambda m: tokenizer.encode(template.render(m, example.tools)),
                       max_length=self.max_length, overlong=self.overlong)
