"""Requests as questions to the engine: rendered, measured, held to what the model can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.data.reading.rows import RowError
from trainer.data.shapes.toolcalls import parse_tools
from trainer.serving.answering import Question
from trainer.serving.calls import MARKERS, names_of
from trainer.serving.failures import Refused
from trainer.serving.grammar import Grammars
from trainer.serving.loading import Served
from trainer.serving.names import Voice
from trainer.serving.speech import special_ids
from trainer.serving.wire import ChatRequest, CompletionRequest, ResponseFormat, Sampled

COMPLETION_TOKENS = 16
MAX_PROMPTS = 256
Prompts = str | list[str] | list[int] | list[list[int]]


class Asking:
    """Makes questions of requests; what it does may take a moment, so not in the event loop."""

    def __init__(self, served: Served, grammars: Grammars) -> None:
        """Prepare."""
        self._served, self._grammars = served, grammars
        self._markers = frozenset(token for token, text in special_ids(served.tokenizer).items()
                                  if text in MARKERS)

    def of_chat(self, request: ChatRequest, voice: Voice) -> tuple[Question, tuple[str, ...]]:
        """Return the question, and the names of the tools that may be called.

        Raises:
            Refused: The template refuses it, it is too long, or a value cannot be used.
        """
        wanted, stops = request.wanted_logprobs(), request.stops()
        tools = _tools(request) if request.offers_tools() else []
        ids = voice.rendering.encode(request.messages, tools or None,
                                     request.chat_template_kwargs)
        room = self._room(ids, voice, "messages")
        limit = request.max_completion_tokens or request.max_tokens
        question = Question(
            tuple(ids), min(limit or room, room), self._ends(request, voice),
            (*stops, *voice.rendering.stop_strings),
            request.sampling(self._served.sampling, self._served.vocabulary), voice.adapter,
            request.answers, wanted, shown=self._markers if tools else frozenset(),
            grammar=self._grammar(request.response_format, bool(tools)))
        return question, names_of(tools)

    def of_completion(self, request: CompletionRequest, voice: Voice) -> list[Question]:
        """Return a question for each prompt; raises as ``of_chat``."""
        if request.best_of not in (None, request.answers):
            raise Refused("'best_of' chooses nothing here: leave it out, or let it be 'n'.",
                          code="unsupported_value", param="best_of")
        stops, prompt_top = request.stops(), request.prompt_top()
        sampling = request.sampling(self._served.sampling, self._served.vocabulary)
        grammar = self._grammar(request.response_format, False)
        longest = COMPLETION_TOKENS if request.max_tokens is None else request.max_tokens
        questions = []
        for ids in self.tokens(request.prompt, "prompt", special=request.add_special_tokens):
            room = self._room(ids, voice, "prompt", answer=min(1, longest))
            questions.append(Question(
                tuple(ids), min(longest, room), self._ends(request, voice), stops, sampling,
                voice.adapter, request.answers, request.logprobs, is_text=True, grammar=grammar,
                prompt_top=prompt_top, echo=bool(request.echo)))
        return questions

    def tokens(self, prompts: Prompts, param: str, *, special: bool = True) -> list[list[int]]:
        """Return each text's tokens, or the tokens that were given.

        Args:
            prompts: One or several.
            param: The field that they came in.
            special: Whether a text gets the tokens that begin one, where the model has such.

        Raises:
            Refused: There is nothing in it, too much of it, or a token that there is not.
        """
        many: Sequence[Any] = [prompts] if isinstance(prompts, str) or (
            prompts and isinstance(prompts[0], int)) else prompts
        if not 0 < len(many) <= MAX_PROMPTS:
            raise Refused(f"'{param}' holds 1 to {MAX_PROMPTS} texts.", code="invalid_value",
                          param=param)
        found = [self._encode(one, special) if isinstance(one, str) else list(one) for one in many]
        for ids in found:
            if not ids or max(ids) >= self._served.vocabulary:
                raise Refused(f"'{param}' is empty, or has a token beyond the "
                              f"{self._served.vocabulary:,} that the model has.",
                              code="invalid_value", param=param)
        return found

    def require_fitting(self, ids: Sequence[int], voice: Voice, param: str) -> None:
        """Refuse what is longer than the context."""
        self._room(ids, voice, param, answer=0)

    def _encode(self, text: str, special: bool) -> list[int]:
        ids: list[int] = self._served.tokenizer.encode(text, add_special_tokens=special)
        return ids

    def _ends(self, request: Sampled, voice: Voice) -> frozenset[int]:
        own = () if request.ignore_eos else voice.rendering.eos_ids
        return frozenset((*own, *(request.stop_token_ids or ())))

    def _room(self, ids: Sequence[int], voice: Voice, param: str, answer: int = 1) -> int:
        """Return how many tokens may follow; Refused when there is no room for any."""
        limit = self._served.context - (voice.adapter.tokens if voice.adapter else 0)
        if len(ids) + answer > limit:
            raise Refused(f"This model's maximum context length is {limit:,} tokens. However, your "
                          f"{param} resulted in {len(ids):,} tokens. Please reduce their length.",
                          code="context_length_exceeded", param=param)
        return limit - len(ids)

    def _grammar(self, form: ResponseFormat | None, has_tools: bool) -> str:
        if form is None or form.type == "text":
            return ""
        if has_tools:
            raise Refused("An answer that may call tools cannot be held to a format as well.",
                          code="unsupported_value", param="response_format")
        schema = form.json_schema
        if form.type == "json_schema" and schema is None:
            raise Refused("The format 'json_schema' needs a schema.", code="missing_parameter",
                          param="response_format")
        return self._grammars.compile(
            schema.definition if form.type == "json_schema" and schema else None)


def _tools(request: ChatRequest) -> list[dict[str, Any]]:
    try:
        return parse_tools(request.tools, "tools") or []
    except RowError as error:
        raise Refused(f"The request {error}.", code="invalid_tools", param="tools") from None
