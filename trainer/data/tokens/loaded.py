"""Tokenizers and templates that a worker keeps, so that the next question is answered at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.contract.config.facts import RowKind
from trainer.contract.files import read_json
from trainer.data.reading.rows import DatasetError
from trainer.data.shapes.messages import Example, Message
from trainer.data.templates.chat import ChatTemplate, choose_template
from trainer.data.templates.limits import LimitedTemplate, within
from trainer.data.tokens.encoder import Encoder
from trainer.data.tokens.tokenizer import Tokenizer

KEPT = 4
FILES = ("tokenizer.json", "chat_template.jinja", "tokenizer_config.json",
         "special_tokens_map.json")
render_seconds = 5.0
_kept: OrderedDict[tuple[object, ...], Loaded] = OrderedDict()


@dataclass
class Loaded:
    """A model's tokenizer with one chat template; the template is read when it is needed."""

    folder: Path
    name: str
    tokenizer: Tokenizer

    @cached_property
    def chat(self) -> ChatTemplate:
        """The chat template itself.

        Raises:
            TemplateError: There is none, or it cannot be used.
        """
        with within(render_seconds):
            return choose_template(self.folder, self.name)

    @cached_property
    def template(self) -> LimitedTemplate:
        """The chat template, within limits; raises as ``chat``."""
        return LimitedTemplate(self.chat, render_seconds)

    @cached_property
    def how(self) -> tuple[str, str]:
        """How is known what the assistant says, and why in that way."""
        with within(render_seconds):
            return self.chat.how, self.chat.reason

    def warnings(self, example: Example) -> list[dict[str, str]]:
        """Return what of an example the template does not show: {code, message} each."""
        turns = [*example.messages, *example.chosen, *example.rejected]
        used = example.tools or any(turn.role == "tool" or turn.tool_calls for turn in turns)
        if not used or self.shows_tools:
            return []
        return [{"code": "tools_not_shown", "message": "The chat template shows no tools: the row "
                 "has some, and they, their calls or their results are left out. Choose a "
                 "template that shows them, such as qwen, llama3 or mistral."}]

    @cached_property
    def shows_tools(self) -> bool:
        """Whether the template shows tools, calls and their results."""
        with within(render_seconds):
            return self.chat.shows_tools

    def eos_ids(self) -> list[int]:
        """Return the tokens that end an answer, the template's own first; [] when none is named.

        That is the special token at the end of the assistant's turn, which a base's own generation
        config often lacks; then those of the configs.
        """
        row = self.tokenizer.encode(self.template.render(
            [Message("user", "a"), Message("assistant", "b")]))
        last = row.input_ids[row.trained[-1][1] - 1] if row.trained else None
        found = [last] if last is not None and last in self.tokenizer.special_ids else []
        return list(dict.fromkeys(found + self._eos_of_configs()))

    @cached_property
    def edges(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What plain text begins and ends with: (bos,), (eos,); () where there is none."""
        config: Any = read_json(self.folder / "tokenizer_config.json") or {}
        named = config | (read_json(self.folder / "special_tokens_map.json") or {})
        bos, eos = (self._named(named.get(name)) for name in ("bos_token", "eos_token"))
        return bos, eos or tuple(self._eos_of_configs()[:1])

    def _named(self, value: Any) -> tuple[int, ...]:
        text = value.get("content") if isinstance(value, dict) else value
        token = self.tokenizer.token_id(text) if isinstance(text, str) else None
        return () if token is None else (token,)

    def _eos_of_configs(self) -> list[int]:
        found: list[int] = []
        for name in ("generation_config.json", "config.json"):
            value: Any = (read_json(self.folder / name) or {}).get("eos_token_id")
            found += value if isinstance(value, list) else [value] if isinstance(value, int) else []
        return found


def load(folder: Path, name: str = "auto") -> Loaded:
    """Return a model's tokenizer and template, kept from the last time if no file changed.

    Raises:
        DatasetError: There is no tokenizer that can be read.
    """
    key = (folder, name, *(_stamp(folder / file) for file in FILES))
    found = _kept.pop(key, None) or Loaded(folder, name, Tokenizer.from_folder(folder))
    _kept[key] = found
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return found


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def describe(found: Loaded) -> dict[str, Any]:
    """Return what a run needs to know of a model's template.

    Raises:
        TemplateError: The template cannot be used.
    """
    chat = found.chat
    how, reason = found.how
    eos_ids = found.eos_ids()
    if not eos_ids and not chat.stop_strings:
        raise DatasetError("eos_missing", "Neither the chat template nor the model's configs name "
                           "a token that ends an answer.",
                           "Set eos_token_id in generation_config.json.")
    return {"template_source": chat.source, "digest": chat.digest, "how": how, "reason": reason,
            "name": found.name, "eos": chat.eos, "eos_ids": eos_ids,
            "special_tokens": sorted(found.tokenizer.special_tokens),
            "stop_strings": list(chat.stop_strings)}


def encoder_of(found: Loaded, rows: RowKind, settings: Mapping[str, Any]) -> Encoder:
    """Return what encodes with a run's settings; those that are left out have their defaults.

    Raises:
        TemplateError: Rows of that kind need a template, and it cannot be used.
    """
    plain = rows in ("text", "labelled")
    return Encoder(
        found.tokenizer, None if plain else found.template, int(settings.get("max_length") or 512),
        settings.get("overlong") or "cut_turns", rows,
        bool(settings.get("train_on_prompt")), bool(settings.get("mask_history")),
        found.edges if plain else ((), ()))
