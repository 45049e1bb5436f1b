"""Answers that are JSON because nothing else can be drawn (llguidance, an optional package)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from trainer.serving.failures import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

_ANY_OBJECT = {"type": "object"}
_LARGEST = 64_000
# A small model that may write blanks anywhere writes nothing else.
_COMPACT: Any = {"whitespace_flexible": False}


class Grammars:
    """Makes grammars for one tokenizer; what is slow about it is done once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, eos_ids: Sequence[int]) -> None:
        """Keep the tokenizer and the tokens that end an answer."""
        self._tokenizer, self._eos_ids = tokenizer, list(eos_ids)
        self._known: Any = None

    def compile(self, schema: Any | None) -> str:
        """Return the grammar of a JSON schema; of any object without one.

        Raises:
            Refused: llguidance is missing ('structured_output_missing'), or the schema cannot be
                used ('invalid_schema').
        """
        try:
            from llguidance import LLMatcher
        except ImportError:
            raise Refused("This engine cannot hold an answer to a format: the package llguidance "
                          "is not installed. Install it, or ask for JSON in words.",
                          code="structured_output_missing", param="response_format") from None
        schema = _ANY_OBJECT if schema is None else schema
        if not isinstance(schema, dict) or len(json.dumps(schema)) > _LARGEST:
            raise _bad_schema("it is no object, or too long")
        try:
            grammar: str = LLMatcher.grammar_from_json_schema(schema, overrides=_COMPACT)
        except (ValueError, TypeError) as error:
            raise _bad_schema(str(error)) from None
        if problem := LLMatcher.validate_grammar(grammar, self._tokens()):
            raise _bad_schema(str(problem))
        return grammar

    def start(self, grammar: str, width: int) -> Grammar:
        """Begin an answer; ``width`` is how many scores the model gives."""
        from llguidance import LLMatcher

        return Grammar(LLMatcher(self._tokens(), grammar), width)

    def _tokens(self) -> Any:
        if self._known is None:
            from llguidance.hf import from_tokenizer

            fast: Any = self._tokenizer
            self._known = from_tokenizer(fast, eos_token=self._eos_ids or None)
        return self._known


class Grammar:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: Any, width: int) -> None:
        """Begin."""
        self._matcher, self._width = matcher, width

    def mask(self) -> torch.Tensor:
        """Return (V,) of bool: the tokens that may come now."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        allowed = (bits[:, None] >> torch.arange(8)) & 1
        found = torch.zeros(self._width, dtype=torch.bool)
        flat = allowed.flatten()[:self._width].bool()
        found[:len(flat)] = flat
        return found

    def take(self, token: int) -> bool:
        """Go on with a token; returns whether something may follow."""
        return bool(self._matcher.consume_token(token)) and not self._matcher.is_stopped()


def _bad_schema(why: str) -> Refused:
    return Refused(f"The JSON schema cannot be used: {why}.", code="invalid_schema",
                   param="response_format")
