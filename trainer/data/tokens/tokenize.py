"""The tokenising stage: examples in, token ids out, in batches, with counts and progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tokenizers import Encoding

from trainer.data.shapes.messages import Example
from trainer.data.templates.chat import Rendered
from trainer.data.templates.limits import FATAL
from trainer.data.templates.sandbox import TemplateError
from trainer.data.tokens.encoder import Encoder, is_cut
from trainer.data.tokens.fit import Fitted, FittedAnswer, FittedPair, FittedRow
from trainer.data.tokens.tokenizer import IGNORED, TokenizedRow, Tokenizer

__all__ = ["IGNORED", "Counts", "Encoder", "Fitted", "FittedAnswer", "FittedPair", "FittedRow",
           "Preparer", "TokenizedRow", "Tokenizer"]
BATCH_ROWS = 1024
BATCH_CHARACTERS = 2_000_000
_AHEAD = 2
Progress = Callable[[int, int], None]
_Batch = list[tuple[Example, list[Rendered]]]


@dataclass
class Counts:
    """What became of the rows; token counts are of the used ones, after cutting.

    ``rows`` were read (a pair that is judged counts as its two answers); each is one of: ``used``,
    ``bad_rows`` (cannot be read), ``duplicates``, ``filtered``, ``refused`` (the template would
    not render it), ``dropped`` (too long). ``cut`` ones were shortened and are used. Of plain
    text ``used`` counts documents, ``blocks`` what they became; else both are the same.
    """

    rows: int = 0
    used: int = 0
    cut: int = 0
    dropped: int = 0
    refused: int = 0
    filtered: int = 0
    duplicates: int = 0
    bad_rows: int = 0
    blocks: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    max_tokens: int = 0

    def add(self, fitted: Fitted) -> None:
        """Count one example that is used."""
        self.used += 1
        self.cut += is_cut(fitted)
        self.add_tokens(fitted.length, fitted.trained_tokens)

    def add_tokens(self, length: int, trained: int) -> None:
        """Count the tokens of one sequence."""
        self.blocks += 1
        self.tokens += length
        self.trained_tokens += trained
        self.max_tokens = max(self.max_tokens, length)

    def merge(self, other: Counts) -> None:
        """Add the counts of another part of the same data."""
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            setattr(self, name, max(mine, value) if name == "max_tokens" else mine + value)

    def document(self) -> dict[str, Any]:
        """Return the counts by name."""
        return asdict(self)


@dataclass
class Preparer:
    """Turns examples into tokens; the next batch is rendered while one is being encoded."""

    encoder: Encoder
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
        done = 0
        for batch, encodings in self._encoded(iter(examples)):
            for fitted in self._fit_batch(batch, encodings):
                if fitted is None:
                    self.counts.dropped += 1
                    continue
                self._count(fitted)
                yield fitted
            done += len(batch)
            if progress is not None:
                progress(done, max(total, done))

    def _count(self, fitted: Fitted) -> None:
        """Count an example; tokens of plain text are counted when they are cut into blocks."""
        if self.encoder.rows == "text":
            self.counts.used += 1
        else:
            self.counts.add(fitted)

    def _encoded(self, source: Iterator[Example]) -> Iterator[tuple[_Batch, list[Encoding]]]:
        """Render batch after batch here, encode them in a thread beside."""
        waiting: deque[tuple[_Batch, Future[list[Encoding]]]] = deque()
        with ThreadPoolExecutor(1) as pool:
            while batch := self._render_batch(source):
                texts = [item for _, rendered in batch for item in rendered]
                waiting.append((batch, pool.submit(self.encoder.tokenizer.encode_batch, texts)))
                if len(waiting) > _AHEAD:
                    first, encodings = waiting.popleft()
                    yield first, encodings.result()
            for first, encodings in waiting:
                yield first, encodings.result()

    def _render_batch(self, source: Iterator[Example]) -> _Batch:
        """Render examples until there are enough; what is refused is left out."""
        batch: _Batch = []
        characters = 0
        for example in source:
            rendered = self._render(example)
            if rendered is not None:
                batch.append((example, rendered))
                characters += sum(len(item.text) for item in rendered)
            if len(batch) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
                break
        return batch

    def _render(self, example: Example) -> list[Rendered] | None:
        """Render the conversation, or the prompt with its answers; None for a skipped row."""
        try:
            return self.encoder.texts(example)
        except TemplateError as error:
            if self.bad_rows == "skip" and error.code not in FATAL:
                self.counts.refused += 1
                return None
            raise _of_row(example, error) from None

    def _fit_batch(self, batch: _Batch, encodings: list[Encoding]) -> Iterator[Fitted | None]:
        """Fit each example of a batch to what was encoded of it."""
        found = iter(encodings)
        row = self.encoder.tokenizer.row
        for example, rendered in batch:
            rows = [row(item, found) for item in rendered]
            try:
                yield self.encoder.fit(example, rendered, rows)
            except TemplateError as error:
                raise _of_row(example, error) from None


def _of_row(example: Example, error: TemplateError) -> TemplateError:
    return TemplateError(error.code, f"Row {example.row}: {error.message}", error.advice)
