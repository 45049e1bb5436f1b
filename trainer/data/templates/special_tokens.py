"""The chat template and the special tokens in a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.data.templates.sandbox import TemplateError

_NAMES = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token",
          "mask_token")


def read_source(folder: Path) -> str:
    """Return a model's own chat template; "" when it has none.

    Raises:
        TemplateError: chat_template.jinja cannot be read (``template_broken``).
    """
    if (source := _read(folder / "chat_template.jinja")) is not None:
        return source
    value = _object(read_json(folder / "tokenizer_config.json")).get("chat_template")
    if isinstance(value, list):
        named = _by_name(value)
        value = named.get("default") or next(iter(named.values()), None)
    return value if isinstance(value, str) else ""


def read_tool_source(folder: Path) -> str:
    """Return the template that a model has besides its own for conversations with tools.

    Raises:
        TemplateError: It cannot be read (``template_broken``).
    """
    source = _read(folder / "additional_chat_templates" / "tool_use.jinja")
    value = _object(read_json(folder / "tokenizer_config.json")).get("chat_template")
    if source is None and isinstance(value, list):
        source = _by_name(value).get("tool_use")
    return source if isinstance(source, str) else ""


def _by_name(value: list[Any]) -> dict[Any, Any]:
    return {_object(item).get("name"): _object(item).get("template") for item in value}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise TemplateError("template_broken", f"{path.name} cannot be read: {error}.",
                            "Save it as UTF-8.") from None


def read_variables(folder: Path) -> dict[str, str]:
    """Return the special tokens that a template may name, such as ``eos_token``."""
    named = (_object(read_json(folder / "tokenizer_config.json"))
             | _object(read_json(folder / "special_tokens_map.json")))
    return {name: text for name in _NAMES if (text := _token(named.get(name)))}


def read_special_tokens(folder: Path) -> set[str]:
    """Return every token that is marked special, from tokenizer.json and the config."""
    config = _object(read_json(folder / "tokenizer_config.json"))
    known = [*_added_tokens(folder), *_object(config.get("added_tokens_decoder")).values()]
    return {_token(item) for item in known if _object(item).get("special")} - {""}


def find_end_token(folder: Path) -> str:
    """Return the token that the model's configs end a text with; "" when they name none."""
    added = {_object(item).get("id"): _token(item) for item in _added_tokens(folder)}
    for name in ("generation_config.json", "config.json"):
        value = _object(read_json(folder / name)).get("eos_token_id")
        for token_id in value if isinstance(value, list) else [value]:
            if text := added.get(token_id, "") if isinstance(token_id, int) else "":
                return text
    return ""


def _added_tokens(folder: Path) -> list[Any]:
    added = _object(read_json(folder / "tokenizer.json")).get("added_tokens")
    return added if isinstance(added, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _token(value: Any) -> str:
    """Return a special token's text; it is written as a text or as an object."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""
