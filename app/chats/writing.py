"""One answer while it is written; it is kept whatever ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

from app.chats.asking import Asker, fault_of
from app.chats.continuing import continued
from app.chats.stream import Piece, add_calls, pieces
from app.chats.thinking import Fold, Heard
from app.recordfile import RecordError
from app.serving.openai_errors import ApiError
from app.serving.route import Backend
from trainer.contract.conversation import Answer, State
from trainer.engines.errors import EngineError

MAX_CHARS = 4_000_000
Delta = dict[str, Any]
# Told of every change: what was added, or None when the whole answer is another one.
Tell = Callable[[Delta | None], None]
EXPECTED = (EngineError, ApiError, RecordError, httpx.HTTPError, httpx.InvalidURL,
            httpx.StreamError)


class Writing:
    """Writes one answer.

    Attributes:
        answer: What grows.
        ids: The tokens of the prompt and of the answer, as far as the engine tells them.
    """

    def __init__(self, answer: Answer, lane: str, tell: Tell) -> None:
        """Ask nothing yet."""
        self.answer, self._lane, self._tell = answer, lane, tell
        self._prefix = answer.content
        self._fold = Fold(begun=bool(self._prefix))
        self._asked = self._first = self._last = 0.0
        self._count = 0
        self.ids: dict[str, list[int]] = {}

    async def run(self, backend: Backend, asker: Asker, ask: Callable[[], dict[str, Any]]
                  ) -> State:
        """Write until the end, an error, or until it is cancelled; return how it ended.

        Args:
            backend: Knows where the lane answers.
            asker: Asks there.
            ask: Returns the question; what it refuses becomes the answer's error.
        """
        try:
            body = ask()
            self._become("loading")
            async with backend.using(self._lane) as route:
                self._become("writing")
                self._asked = time.monotonic()
                asked = continued(asker, route, body, self._prefix) if self._prefix \
                    else asker.asking(route, body)
                async with asked as response:
                    async for piece in pieces(response):
                        self.hear(piece)
        except asyncio.CancelledError:
            state: State = "stopped"
        except EXPECTED as error:
            self.answer.error = fault_of(error, self._lane)
            state = "failed"
        else:
            state = "done"
        self._end()
        return state

    def hear(self, piece: Piece) -> None:
        """Take a piece; EngineError when the answer has no end."""
        answer, now = self.answer, time.monotonic()
        if piece.prompt_ids is not None:
            self.ids.setdefault("prompt", piece.prompt_ids)
        if piece.ids:
            self.ids.setdefault("answer", []).extend(piece.ids)
        if piece.content or piece.thinking or piece.calls:
            self._first, self._last = self._first or now, now
            self._count += 1
            if answer.stats.first_token_s is None:
                answer.stats.first_token_s = round(now - self._asked, 4)
        self._count_tokens(piece)
        answer.finish_reason = piece.finish or answer.finish_reason
        heard: Heard = []
        if piece.thinking:
            self._fold.apart()
            heard.append(("thinking", piece.thinking))
        heard += self._fold.feed(piece.content)
        self._add(heard, piece)
        if len(answer.content) + len(answer.thinking) > MAX_CHARS:
            raise EngineError("answer_too_large", f"The answer is longer than {MAX_CHARS:,} "
                              "characters.", "Set a longest answer (max_tokens).")

    def _add(self, heard: Heard, piece: Piece | None = None) -> None:
        delta: Delta = {}
        turned = False
        for kind, text in heard:
            if kind == "turned":
                self.answer.thinking += self.answer.content
                self.answer.content, turned = "", True
                continue
            setattr(self.answer, kind, getattr(self.answer, kind) + text)
            delta[kind] = delta.get(kind, "") + text
        if piece and piece.calls:
            add_calls(self.answer.tool_calls, piece.calls)
            delta["tool_calls"] = self.answer.tool_calls
        if turned:
            self._tell(None)
        elif delta:
            self._tell(delta)

    def _count_tokens(self, piece: Piece) -> None:
        stats = self.answer.stats
        for name in ("prompt_tokens", "completion_tokens"):
            if isinstance(count := piece.usage.get(name), int):
                setattr(stats, name, count)
        if isinstance(rate := piece.timings.get("tokens_per_s"), int | float) and rate > 0:
            stats.tokens_per_s = round(float(rate), 3)

    def _become(self, state: State) -> None:
        self.answer.state = state
        self._tell({"state": state})

    def _end(self) -> None:
        """Close the answer; its numbers are measured here where the engine gave none."""
        self._add(self._fold.finish())
        stats, took = self.answer.stats, self._last - self._first
        if self._asked:
            stats.total_s = round(time.monotonic() - self._asked, 4)
        if "prompt" in self.ids and stats.prompt_tokens is None:
            stats.prompt_tokens = len(self.ids["prompt"])
        if stats.completion_tokens is None and self.ids.get("answer"):
            stats.completion_tokens = len(self.ids["answer"])
        count = stats.completion_tokens or self._count
        if stats.tokens_per_s is None and took > 0 and count > 1:
            stats.tokens_per_s = round((count - 1) / took, 3)

