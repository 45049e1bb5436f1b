"""Tokenizers and templates that a worker keeps, so that the next question is answered at once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.data import chat as chats
from trainer.data.chat import ChatTemplate
from trainer.data.limits import LimitedTemplate, within
from trainer.data.messages import Message
from trainer.data.rows import DatasetError
from trainer.data.sandbox import TemplateError
from trainer.data.tokenizer import Tokenizer

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
            return _choose(self.folder, self.name)

    @cached_property
    def template(self) -> LimitedTemplate:
        """The chat template, within limits; raises as ``chat``."""
        return LimitedTemplate(self.chat, render_seconds)

    def eos_ids(self) -> list[int]:
        """Return the tokens that end an answer, the template's own first; [] when none is named.

        That is the special token at the end of the assistant's turn, which a base's own generation
        config often lacks; then those of the configs.
        """
        row = self.tokenizer.encode(self.template.render(
            [Message("user", "a"), Message("assistant", "b")]))
        last = row.input_ids[row.answers[-1][1] - 1] if row.answers else None
        found = [last] if last in self.tokenizer.special_ids else []
        for name in ("generation_config.json", "config.json"):
            value: Any = (read_json(self.folder / name) or {}).get("eos_token_id")
            found += value if isinstance(value, list) else [value] if isinstance(value, int) else []
        return [token for token in dict.fromkeys(found) if token is not None]

    @cached_property
    def edges(self) -> tuple[list[int], list[int]]:
        """Return what plain text begins and ends with: ([bos], [eos]), each [] without one.

        A tokenizer that has a beginning token but does not say that it wants one gets none.
        """
        config: Any = read_json(self.folder / "tokenizer_config.json") or {}
        named = config | (read_json(self.folder / "special_tokens_map.json") or {})
        found = []
        for name in ("bos_token", "eos_token"):
            value = named.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            token = self.tokenizer.token_id(text) if isinstance(text, str) else None
            found.append([] if token is None else [token])
        return found[0], found[1] or self._eos_of_configs()[:1]

    def _eos_of_configs(self) -> list[int]:
        for name in ("config.json", "generation_config.json"):
            value: Any = (read_json(self.folder / name) or {}).get("eos_token_id")
            if isinstance(value, list | int):
                return value if isinstance(value, list) else [value]
        return []


def _choose(folder: Path, name: str) -> ChatTemplate:
    choose = getattr(chats, "choose_template", None)
    found = choose(folder, name) if choose else ChatTemplate.from_folder(folder)
    assert isinstance(found, ChatTemplate)
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
    try:
        eos_ids = found.eos_ids()
    except TemplateError as error:
        raise TemplateError(error.code, error.message, error.advice) from None
    if not eos_ids:
        raise DatasetError("eos_missing", "Neither the chat template nor the model's configs name "
                           "a token that ends an answer.",
                           "Set eos_token_id in generation_config.json.")
    return {"template_source": chat.source, "digest": chat.digest,
            "how": getattr(chat, "how", "marked" if chat.has_marks else "derived"),
            "reason": getattr(chat, "reason", ""), "name": found.name, "eos_ids": eos_ids,
            "special_tokens": sorted(found.tokenizer.special_tokens),
            "stop_strings": list(getattr(chat, "stop_strings", ()))}
