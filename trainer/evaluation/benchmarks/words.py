"""A model's tokenizer, read as lm-evaluation-harness reads it, and its chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.models import ModelError, scan_folder
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.sandbox import TemplateError
from trainer.failures import Failure
from trainer.lean import NEVER, hidden
from trainer.prompts import Prompter

# As lm-eval looks for a model's context, and what it takes where nothing is said.
_LENGTHS = ("n_positions", "max_position_embeddings", "n_ctx")
_USUAL_LENGTH = 2048
_ENDLESS = 10**18


class Words:
    """Texts as token ids, conversations as texts.

    Texts become tokens by Transformers' own class, which is what makes numbers equal those of
    lm-eval's own runs; conversations are rendered by Finestra's worker (rule R7).
    """

    def __init__(self, folder: Path, template: str = "auto") -> None:
        """Read a tokenizer; the template's worker starts when a conversation comes.

        Raises:
            Failure: The folder wants to run code, or has no tokenizer that can be read.
        """
        self.name = str(folder)
        self._folder, self._named = folder, template
        self._prompter: Prompter | None = None
        try:
            scan_folder(folder)
            with hidden(NEVER):
                from transformers import AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                str(folder), trust_remote_code=False, local_files_only=True)
        except (ModelError, OSError, ValueError) as error:
            raise Failure("benchmark_tokenizer", f"The tokenizer in '{folder.name}' cannot be "
                          f"read: {error}", "Check that the model's folder is whole.") from None

    @property
    def end(self) -> int:
        """The token that ends a text; Failure when the tokenizer has none."""
        if self._tokenizer.eos_token_id is None:
            raise Failure("benchmark_tokenizer", f"The tokenizer in '{self._folder.name}' names no "
                          "token that ends a text.", "Give its tokenizer_config.json an eos_token.")
        return int(self._tokenizer.eos_token_id)

    @property
    def begin(self) -> int:
        """The token that a text follows which has nothing before it."""
        begin = self._tokenizer.bos_token_id
        return self.end if begin is None else int(begin)

    def encode(self, text: str, special: bool | None = None) -> list[int]:
        """Return a text's tokens.

        Args:
            text: What is encoded.
            special: Whether special tokens are added; None adds them, but no second begin.
        """
        if special is None and text.startswith(self.decode([self.begin], plain=False)):
            special = False
        found: list[int] = (self._tokenizer.encode(text) if special is None else
                            self._tokenizer.encode(text, add_special_tokens=special))
        return found

    def encode_prompt(self, text: str) -> list[int]:
        """Return the tokens of what an answer follows."""
        begin = self._tokenizer.bos_token
        twice = begin is not None and text.startswith(begin)
        found: list[int] = self._tokenizer(
            text, **({"add_special_tokens": False} if twice else {}))["input_ids"]
        return found

    def decode(self, ids: Sequence[int], plain: bool = True) -> str:
        """Return the text of tokens, without special ones when it is ``plain``."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=plain))

    def length(self, engine: int) -> int:
        """Return how many tokens fit: what the model's files say, or the engine if that is less."""
        config = read_json(self._folder / "config.json") or {}
        config = config.get("text_config") or config
        own = next((config[name] for name in _LENGTHS if config.get(name)), None)
        if own is None and engine:
            return engine
        if own is None:
            own = getattr(self._tokenizer, "model_max_length", None)
            own = own if own and own < _ENDLESS else _USUAL_LENGTH
        return min(int(own), engine) if engine else int(own)

    def render(self, turns: Sequence[Mapping[str, Any]], begin_answer: bool = True) -> str:
        """Return a conversation as text, up to where the assistant goes on.

        Args:
            turns: OpenAI's form.
            begin_answer: The assistant's turn begins; false goes on with the last one, which is
                the assistant's.

        Raises:
            Failure: There is no template, or it refuses the conversation.
        """
        try:
            with suppress(TemplateError):
                return self._render(turns, begin_answer)
            # As lm-eval does: some templates know no system prompt.
            return self._render([one for one in turns if one["role"] != "system"], begin_answer)
        except (TemplateError, DatasetError) as error:
            raise Failure("benchmark_template", f"The chat template cannot be used: {error}",
                          "Ask without 'apply_chat_template', or choose a model that was trained "
                          "on conversations.") from None

    def _render(self, turns: Sequence[Mapping[str, Any]], begin_answer: bool) -> str:
        if self._prompter is None:
            self._prompter = Prompter(self._folder, self._named)
        before = turns if begin_answer else turns[:-1]
        text = self._prompter.render([{"messages": [dict(one) for one in before],
                                       "tools": None}])[0]["text"]
        return str(text) if begin_answer else f"{text}{turns[-1]['content']}"

    def close(self) -> None:
        """End the template's worker."""
        if self._prompter is not None:
            self._prompter.close()
