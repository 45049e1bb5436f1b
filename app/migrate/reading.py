"""A file of LLaMA-Factory as keys and values, read as OmegaConf reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from trainer.contract.problems import ConfigError, Problem

MAX_CHARACTERS = 1_000_000
_REFERENCE = re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}")


class _Loader(yaml.SafeLoader):
    """YAML with the numbers of YAML 1.2 (``1e-5`` is one), and no key twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    """Read a mapping; keys are texts as they stand there, each once."""
    loader.flatten_mapping(node)
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(getattr(key_node, "value", ""))
        if key in found or not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key[:80]}' stands there twice or is none",
                key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:(?:\d[\d_]*\.\d*|\.\d+|\d[\d_]*)[eE][-+]?\d+|\d[\d_]*\.\d*|\.\d+"
               r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", re.VERBOSE), list("-+0123456789."))


def read_keys(text: str) -> dict[str, Any]:
    """Return the keys of a file, YAML or JSON, in its order.

    Raises:
        ConfigError: It is neither, or not a mapping, or a key stands there twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise _error("import_too_large", f"This file has {len(text):,} characters.",
                     "A config has a few thousand: is it the right file?")
    text = text.removeprefix("\ufeff")
    try:
        documents = [d for d in yaml.load_all(text, Loader=_Loader)
                     if d is not None]
    except yaml.YAMLError as error:
        documents = [_json(text, error)]
    except (RecursionError, ValueError) as error:
        raise _error("import_syntax", f"This file cannot be read: {error}.",
                     "Check its syntax.") from None
    if len(documents) > 1:
        raise _error("import_documents", f"This file holds {len(documents)} documents.",
                     "Split it at the lines '---': one file is one run.")
    values = documents[0] if documents else {}
    if not isinstance(values, dict):
        raise _error("yaml_mapping", "A run config is a mapping of keys.",
                     "Begin with a line such as 'model_name_or_path: Qwen/Qwen3-0.6B'.")
    return values


def filled(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Fill ``${key}`` in from the other keys, one level deep."""
    return {key: _filled(value, keys) for key, value in keys.items()}


def read_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Return what stands behind a file on LLaMA-Factory's command line: ``key=value`` texts.

    Raises:
        ConfigError: A text has no '=', or its value is no YAML.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        try:
            found[key.strip()] = _Loader(value).get_single_data()
        except yaml.YAMLError:
            equals = ""
        if not equals or not key.strip():
            raise ConfigError([Problem(
                field="", code="override_syntax", message=f"{text!r} is no override.",
                advice="Write key=value, for example learning_rate=1e-5.",
                params={"text": text})])
    return found


def _json(text: str, error: yaml.YAMLError) -> Any:
    """Read JSON that is no YAML (tabs); what YAML had to say when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" in line {line + 1}" if line is not None else ""
        what = getattr(error, "problem", None) or "not readable"
        raise ConfigError([Problem(
            field="", code="yaml_syntax", message=f"This is not valid YAML{where}: {what}.",
            advice="Mend that line; indent with spaces.",
            params={"line": "?" if line is None else str(line + 1),
                    "what": str(what)})]) from None


def _filled(value: Any, keys: Mapping[str, Any]) -> Any:
    """Fill one value in; other resolvers stay as they are."""
    if not isinstance(value, str) or "${" not in value:
        return value
    if whole := _REFERENCE.fullmatch(value.strip()):
        return keys.get(whole[1], value)
    return _REFERENCE.sub(lambda m: str(keys.get(m[1], m[0])), value)


def _error(code: str, message: str, advice: str) -> ConfigError:
    return ConfigError([Problem(field="", code=code, message=message, advice=advice)])


class Unreadable(ValueError):
    """A value that cannot be what its key needs."""


_TRUE, _FALSE = ("true", "yes", "on", "1", "y"), ("false", "no", "off", "0", "n")


def as_flag(value: Any) -> bool:
    """Return a switch; texts such as 'true' and 'off' are read as they were meant."""
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise Unreadable(f"{shown(value)} is neither true nor false")


def as_number(value: Any) -> float:
    """Return a finite number; texts such as '1e-5' are read."""
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(str(value).strip().replace("_", ""))
    except ValueError:
        raise Unreadable(f"{shown(value)} is not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise Unreadable(f"{shown(value)} is not a finite number")
    return number


def as_whole(value: Any) -> int:
    """Return a whole number; 3.0 and '1e3' are some."""
    number = as_number(value)
    if number != int(number):
        raise Unreadable(f"{shown(value)} is not a whole number")
    return int(number)


def as_names(value: Any) -> list[str]:
    """Return a list of names, from a list or a text with commas."""
    if isinstance(value, dict):
        raise Unreadable(f"{shown(value)} is not a list of names")
    parts = value if isinstance(value, list) else str(value).split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def as_text(value: Any) -> str:
    """Return a text; numbers are written out."""
    if isinstance(value, dict | list):
        raise Unreadable(f"{shown(value)} is not a text")
    return str(value).strip()


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a mapping, also from a text of JSON or ``a=1, b=2``."""
    if isinstance(value, dict):
        return {str(key): entry for key, entry in value.items()}
    text = str(value).strip()
    try:
        if text.startswith("{"):
            found = json.loads(text)
            return {str(key): entry for key, entry in found.items()}
    except ValueError:
        raise Unreadable(f"{shown(value)} is not JSON") from None
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise Unreadable(f"{shown(value)} is not a list of name=value")
    return {key.strip(): entry.strip() for key, _, entry in pairs}


def shown(value: Any, limit: int = 60) -> str:
    """Show a value shortly."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
