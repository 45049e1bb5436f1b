"""The sandbox that chat templates render in, with what Transformers offers to them.

Environment after Transformers' documentation of chat templates: trimmed blocks, loop controls,
``{% generation %}``, ``raise_exception``, ``strftime_now`` and a ``tojson`` that keeps non-ASCII.
Memory and time of a hostile template are for the process to limit; here are the cheap limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

GENERATION = ("\ufdd0", "\ufdd1")
LITERAL = ("\ufdd2", "\ufdd3")
MAX_CHARACTERS = 8 * 1024 * 1024
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")


class TemplateError(ValueError):
    """A chat template cannot be used for a conversation; the text says why and what to do."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code, the message and the advice; ``str()`` gives both sentences."""
        super().__init__(f"{message} {advice}".strip())
        self.code, self.message, self.advice = code, message, advice


def replace_noncharacters(text: str) -> str:
    """Replace U+FDD0..U+FDEF, which are not for interchange (Unicode 23.7), by U+FFFD."""
    return text if text.isascii() else _NONCHARACTERS.sub("\ufffd", text)


class _Generation(Extension):
    """``{% generation %}...{% endgeneration %}``: puts sentinels around what is inside."""

    tags = {"generation"}  # noqa: RUF012  declared so by jinja2

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_wrap")
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _wrap(self, caller: Callable[[], str]) -> str:
        return f"{GENERATION[0]}{caller()}{GENERATION[1]}"


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which ``*`` and ``**`` cannot make huge values."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse products beyond MAX_CHARACTERS before they are made."""
        if operator == "**" and not (abs(left) <= 1_000_000 and 0 <= right <= 64):
            raise SecurityError("a power is too large")
        for some, times in ((left, right), (right, left)):
            if isinstance(some, str | list | tuple) and isinstance(times, int) \
                    and len(some) * times > MAX_CHARACTERS:
                raise SecurityError("a repeated value is too large")
        return super().call_binop(context, operator, left, right)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None,
            separators: tuple[str, str] | None = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class CompiledTemplate:
    """A template that is ready to render."""

    def __init__(self, source: str) -> None:
        environment = _Sandbox(trim_blocks=True, lstrip_blocks=True,
                               extensions=[_Generation, "jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        self._template = environment.from_string(source)
        self.has_marks = bool(re.search(r"\{%[-+]?\s*generation\s*[-+]?%\}", source))

    def render(self, **variables: Any) -> str:
        """Render with sentinels left in.

        Raises:
            TemplateError: The template refuses, fails, or writes more than MAX_CHARACTERS.
        """
        parts: list[str] = []
        size = 0
        try:
            for part in self._template.generate(**variables):
                parts.append(part)
                size += len(part)
                if size > MAX_CHARACTERS:
                    raise TemplateError("template_output", "The chat template writes more than "
                                        f"{MAX_CHARACTERS:,} characters.", "Shorten the row.")
        except SecurityError as error:
            raise TemplateError("template_unsafe", f"The chat template does something that is not "
                                f"allowed: {error}.", "Do not use this model.") from None
        except (jinja2.TemplateError, TypeError, ValueError, AttributeError, LookupError,
                ArithmeticError, RecursionError) as error:
            if isinstance(error, TemplateError):
                raise
            raise TemplateError("template_refused", "The chat template refuses the conversation: "
                                f"{error}.", "Change the row, or use another template.") from None
        return "".join(parts)


def compile_template(source: str) -> CompiledTemplate:
    """Compile a template.

    Raises:
        TemplateError: It is not valid, or larger than MAX_CHARACTERS.
    """
    if len(source) > MAX_CHARACTERS:
        raise TemplateError("template_broken", "The chat template is too large.",
                            "Use another model.")
    try:
        return CompiledTemplate(source)
    except (jinja2.TemplateError, RecursionError) as error:
        raise TemplateError("template_broken", f"The chat template is not valid: {error}.",
                            "Correct it, or use another model.") from None
