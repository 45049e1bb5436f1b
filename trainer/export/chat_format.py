"""Which chat format a model folder has, and at which texts its answers end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.contract.places import starter
from trainer.data.templates.library import library
from trainer.data.templates.special_tokens import read_source, read_variables
from trainer.export.gguf_tokenizer import end_ids


@dataclass(frozen=True)
class ChatFormat:
    """The chat format of a model folder.

    Attributes:
        name: Of the template, as in ``templates/chat`` or 'starter'; '' for a model's own.
        source: The Jinja template; '' when the model has none.
        bos: The tokenizer's first token, '' when it has none.
        eos: The token that ends a text.
        stops: All texts that end an answer.
        has_tools: Whether the template shows tools.
    """

    name: str
    source: str
    bos: str
    eos: str
    stops: tuple[str, ...]
    has_tools: bool


def read_chat_format(folder: Path) -> ChatFormat:
    """Find out the chat format of a model folder, without rendering its template.

    Raises:
        TemplateError: The template cannot be read.
    """
    source, named = read_source(folder), read_variables(folder)
    eos = named.get("eos_token", "")
    found = next((entry for entry in library() if entry.source.strip() == source.strip()), None)
    stops = [text for text in _texts(folder, end_ids(folder)) if text]
    if found:
        stops = [eos if found.end == "eos" else found.end, *found.stop, *stops]
    name = found.name if found else ""
    if source and source.strip() == read_source(starter()).strip():
        name = "starter"
    unique = tuple(dict.fromkeys(text for text in (eos, *stops) if text))
    return ChatFormat(name, source, named.get("bos_token", ""), eos, unique, "tools" in source)


def _texts(folder: Path, ids: list[int]) -> list[str]:
    added: list[dict[str, Any]] = (read_json(folder / "tokenizer.json") or {}).get(
        "added_tokens") or []
    texts = {token.get("id"): str(token.get("content", "")) for token in added}
    return [texts.get(number, "") for number in ids]
