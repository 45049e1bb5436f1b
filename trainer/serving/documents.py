"""Answers as OpenAI writes them: whole, or chunk by chunk."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from trainer.serving.answering import Piece, Question
from trainer.serving.calls import Call, CallFilter
from trainer.serving.picking import Scored
from trainer.serving.told import Document, by_token, finite, in_lists

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass
class Timing:
    """When it was asked, when the first token came, when the last (monotonic seconds)."""

    asked: float = field(default_factory=time.monotonic)
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0
    answers: int = 0

    def see(self, piece: Piece) -> None:
        """Take note of a piece."""
        if piece.tokens:
            self.first = self.first or piece.at
        self.last = piece.at
        self.tokens += len(piece.tokens)
        self.answers += bool(piece.finish)

    def document(self) -> Document:
        """Return ``first_token_s`` since asked, and ``tokens_per_s`` after the first tokens."""
        took, after = self.last - self.first, self.tokens - self.answers
        return {"first_token_s": round(self.first - self.asked, 6) if self.first else 0.0,
                "tokens_per_s": round(after / took, 3) if took > 0 and after > 0 else 0.0}


class Chat:
    """Chat completions of one question."""

    object = "chat.completion"
    prefix = "chatcmpl-"

    def __init__(self, tokenizer: PreTrainedTokenizerBase, question: Question,
                 tools: Sequence[str], *, with_ids: bool, one_call: bool = False) -> None:
        """Begin; ``one_call`` leaves out all tool calls but the first."""
        self._tokenizer, self._question = tokenizer, question
        self._with_ids, self._one_call = with_ids, one_call
        self._filters = ([CallFilter(tools) for _ in range(question.answers)] if tools else [])
        self.prompt_tokens = len(question.ids)

    @property
    def of_prompt(self) -> Document:
        """What is said of the prompt, beside the answers."""
        return {"prompt_token_ids": list(self._question.ids)} if self._with_ids else {}

    def openings(self) -> Iterator[Document]:
        """Yield the choices of the chunks with which a stream begins."""
        for index in range(self._question.answers):
            yield {"index": index, "delta": {"role": "assistant", "content": ""},
                   "logprobs": None, "finish_reason": None}

    def chunk(self, piece: Piece) -> Document | None:
        """Return a piece as a choice of a chunk; None when there is nothing to say yet."""
        text, calls = self._filtered(piece)
        finish = "tool_calls" if calls else piece.finish or None
        if not (text or finish or (self._with_ids or self._question.top_logprobs is not None)):
            return None
        delta: Document = {"content": text} if text else {}
        if calls:
            delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls)]
        return {"index": piece.index, "delta": delta, "logprobs": self._logprobs(piece.tokens),
                "finish_reason": finish, **self._ids(piece.tokens)}

    def choice(self, index: int, pieces: Sequence[Piece]) -> Document:
        """Return a whole answer."""
        parts = [self._filtered(piece) for piece in pieces]
        text, calls = "".join(part[0] for part in parts), parts[-1][1]
        message: Document = {"role": "assistant", "content": text or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        tokens = [token for piece in pieces for token in piece.tokens]
        return {"index": index, "message": message, "logprobs": self._logprobs(tokens),
                "finish_reason": "tool_calls" if calls else pieces[-1].finish,
                **self._ids(tokens)}

    def _filtered(self, piece: Piece) -> tuple[str, list[Call]]:
        if not self._filters:
            return piece.text, []
        chosen = self._filters[piece.index]
        text = chosen.hear(piece.text)
        if not piece.finish:
            return text, []
        rest, calls = chosen.finish()
        return text + rest, calls[:1] if self._one_call else calls

    def _ids(self, tokens: Sequence[Scored]) -> Document:
        return {"token_ids": [one.token for one in tokens]} if self._with_ids else {}

    def _logprobs(self, tokens: Sequence[Scored]) -> Document | None:
        if self._question.top_logprobs is None:
            return None
        return {"content": [{**self._entry(one.token, one.logprob), "top_logprobs": [
            self._entry(*pair) for pair in one.top]} for one in tokens], "refusal": None}

    def _entry(self, token: int, logprob: float) -> Document:
        text = token_text(self._tokenizer, token)
        return {"token": text, "logprob": finite(logprob), "bytes": list(text.encode("utf-8"))}


class Completions:
    """Completions of several prompts, numbered one after the other."""

    object = "text_completion"
    prefix = "cmpl-"

    def __init__(self, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question], *,
                 with_ids: bool, prompt_logprobs: int | None = None) -> None:
        """Begin; ``prompt_logprobs`` is how many tokens are told of at each of the prompt's."""
        self._tokenizer, self._questions, self._with_ids = tokenizer, questions, with_ids
        self._prompt_logprobs = prompt_logprobs
        self._text_of = cache(partial(token_text, tokenizer))
        self._lengths: dict[int, int] = {}
        self.prompt_tokens = sum(len(question.ids) for question in questions)
        self.of_prompt: Document = {}

    def openings(self) -> Iterator[Document]:
        """A stream of text begins with text."""
        yield from ()

    def chunk(self, piece: Piece) -> Document | None:
        """Return a piece as a choice of a chunk; None when there is nothing to say yet."""
        question = self._question(piece.index)
        if not (piece.text or piece.finish or self._with_ids or question.top_logprobs is not None):
            return None
        return self._choice(piece.index, piece.text, piece.tokens, piece.finish or None,
                            is_first=piece.index not in self._lengths)

    def choice(self, index: int, pieces: Sequence[Piece]) -> Document:
        """Return a whole answer, after its prompt where that is wanted."""
        tokens = [token for piece in pieces for token in piece.tokens]
        text, question = "".join(piece.text for piece in pieces), self._question(index)
        scores = next((piece.prompt for piece in pieces if piece.prompt), None)
        before: Document = {}
        if question.echo:
            text = self._text(question.ids) + text
            if scores and question.top_logprobs is not None:
                before = in_lists(question.ids, scores, question.top_logprobs, self._text_of)
                self._lengths[index] = before["text_offset"][-1] + len(before["tokens"][-1])
        found = self._choice(index, text, tokens, pieces[-1].finish, is_first=True)
        if before:
            found["logprobs"] = {key: [*told, *found["logprobs"][key]]
                                 for key, told in before.items()}
        if scores and self._prompt_logprobs is not None:
            found["prompt_logprobs"] = by_token(question.ids, scores, self._prompt_logprobs,
                                                self._text_of)
        return found

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False,
                                          clean_up_tokenization_spaces=False))

    def _question(self, index: int) -> Question:
        return self._questions[index // self._questions[0].answers]

    def _choice(self, index: int, text: str, tokens: Sequence[Scored], finish: str | None, *,
                is_first: bool) -> Document:
        question = self._question(index)
        found: Document = {"index": index, "text": text, "finish_reason": finish,
                           "logprobs": self._logprobs(index, question, tokens)}
        if self._with_ids:
            found["token_ids"] = [one.token for one in tokens]
            found["prompt_token_ids"] = list(question.ids) if is_first else None
        return found

    def _logprobs(self, index: int, question: Question, tokens: Sequence[Scored]
                  ) -> Document | None:
        """Return log-probabilities in the old form: lists beside each other."""
        start = self._lengths.setdefault(index, 0)
        if question.top_logprobs is None:
            return None
        texts = [self._text_of(one.token) for one in tokens]
        offsets = []
        for text in texts:
            offsets.append(start)
            start += len(text)
        self._lengths[index] = start
        top = [{self._text_of(token): finite(logprob) for token, logprob in one.top}
               for one in tokens]
        return {"tokens": texts, "token_logprobs": [finite(one.logprob) for one in tokens],
                "top_logprobs": top, "text_offset": offsets}


Answers = Chat | Completions


class Envelope:
    """What stands around the choices of one answer: id, model, usage, timings."""

    def __init__(self, answers: Answers, model: str, asked: float) -> None:
        """Begin; ``asked`` is when the request came, in monotonic seconds."""
        self._answers = answers
        self._head = {"id": f"{answers.prefix}{uuid.uuid4().hex}", "object": answers.object,
                      "created": int(time.time()), "model": model}
        self.timing = Timing(asked)

    def whole(self, choices: Sequence[Document]) -> Document:
        """Return the answer as one document."""
        return {**self._head, "choices": list(choices), "usage": self.usage(),
                "timings": self.timing.document(), **self._answers.of_prompt}

    def chunk(self, choices: Sequence[Document], **more: Any) -> Document:
        """Return a chunk of a stream."""
        head = {**self._head, "object": "chat.completion.chunk"} \
            if isinstance(self._answers, Chat) else self._head
        return {**head, "choices": list(choices), **more}

    def usage(self) -> Document:
        """Return how many tokens were read and drawn."""
        read, drawn = self._answers.prompt_tokens, self.timing.tokens
        return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}


def token_text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """Return a token's own text, special tokens included."""
    return str(tokenizer.decode([token], skip_special_tokens=False))
