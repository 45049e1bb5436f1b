"""The sandbox that chat templates render in, with what Transformers offers to them.

Environment after Transformers' documentation of chat templates: trimmed blocks, loop controls,
``{% generation %}``, ``raise_exception``, ``strftime_now`` and a ``tojson`` that keeps non-ASCII.
Memory and time of a hostile template are for the process to limit; here are the cheap limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache, partial, wraps
from itertools import islice
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from trainer.data.templates.marks import GENERATION, replace_noncharacters

MAX_CHARACTERS = 8 * 1024 * 1024
MAX_SOURCE = 1024 * 1024
MAX_WIDTH = 10_000
_PARTS = 64
_DICT_NAMES = frozenset(dir(dict))
_WIDE = re.compile(r"\d{5}|\*")
_WIDTH_FILTERS = ("batch", "center", "indent", "slice", "truncate", "wordwrap")


class TemplateError(ValueError):
    """A chat template cannot be used for a conversation; the text says why and what to do."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code, the message and the advice; ``str()`` gives both sentences."""
        super().__init__(f"{message} {advice}".strip())
        self.code, self.message, self.advice = code, message, advice


class _Generation(Extension):
    """``{% generation %}...{% endgeneration %}``: puts sentinels around what is inside."""

    tags = {"generation"}  # noqa: RUF012  declared so by jinja2

    def parse(self, parser: Parser) -> list[nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        opened, closed = (nodes.Output([nodes.TemplateData(mark)]).set_lineno(line)
                          for mark in GENERATION)
        return [opened, nodes.Scope(body).set_lineno(line), closed]


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which one expression cannot make huge values."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look into messages, loops and namespaces without the detour over unsafe attributes."""
        kind = type(obj)
        if kind is dict and attribute not in _DICT_NAMES:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if (kind is LoopContext or kind is Namespace) and attribute[:1] != "_":
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse products and paddings beyond MAX_CHARACTERS before they are made."""
        if operator == "**" and not (abs(left) <= 1_000_000 and 0 <= right <= 64):
            raise SecurityError("a power is too large")
        if operator == "%" and isinstance(left, str):
            _refuse_width(left)
        for some, times in ((left, right), (right, left)) if operator == "*" else ():
            if isinstance(some, str | list | tuple) and isinstance(times, int) \
                    and len(some) * times > MAX_CHARACTERS:
                raise SecurityError("a repeated value is too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Refuse paddings of text (``'x'.ljust(10**9)``) before they are made."""
        if isinstance(getattr(obj, "__self__", None), str):
            _refuse_width("", *args)
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse paddings in ``'{:>999999}'.format(1)``."""
        if (call := super().wrap_str_format(value)) is not None:
            return partial(_formatted, value.__self__, call)
        return None


def _refuse_width(form: str, *numbers: Any) -> None:
    wide = any(isinstance(number, int) and number > MAX_WIDTH for number in numbers)
    if wide or _WIDE.search(form):
        raise SecurityError("a padding is too wide")


def _formatted(form: str, call: Callable[..., str], *args: Any, **kwargs: Any) -> str:
    fields = args[0] if args and isinstance(args[0], Mapping) else kwargs
    _refuse_width(form, *args, *fields.values())
    return call(*args, **kwargs)


def _narrow(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter that pads, so that it refuses to pad without measure."""
    @wraps(call)
    def narrow(*args: Any, **kwargs: Any) -> Any:
        form = next((arg for arg in args if isinstance(arg, str)), "") if name == "format" else ""
        _refuse_width(form, *args, *kwargs.values())
        return call(*args, **kwargs)
    return narrow


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None,
            separators: tuple[str, str] | None = None, sort_keys: bool = False) -> str:
    _refuse_width("", indent)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def _short(join: Callable[..., str]) -> Callable[..., str]:
    """Wrap the filter that joins, so that it refuses to make huge texts."""
    @wraps(join)
    def short(context: Any, value: Any, d: str = "", attribute: Any = None) -> str:
        parts = list(value)
        size = len(parts) * len(str(d)) + sum(len(part) for part in parts if isinstance(part, str))
        if size > MAX_CHARACTERS:
            raise SecurityError("a joined text is too large")
        return join(context, parts, d, attribute)
    return short


def _bounded(value: Any) -> Any:
    """Refuse to keep what is too large, so that nothing grows by doubling."""
    most = MAX_CHARACTERS if isinstance(value, str) else MAX_CHARACTERS // 16
    if isinstance(value, str | list | tuple | dict) and len(value) > most:
        raise SecurityError("a value is too large")
    return value


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


@cache
def _environment() -> _Sandbox:
    """Make the environment; templates cannot change it, so all share one."""
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True,
                           extensions=[_Generation, "jinja2.ext.loopcontrols"])
    for name in (*_WIDTH_FILTERS, "format"):
        environment.filters[name] = _narrow(name, environment.filters[name])
    environment.filters["join"] = _short(environment.filters["join"])
    environment.filters["_bounded"] = _bounded
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    del environment.globals["lipsum"]
    return environment


class CompiledTemplate:
    """A template that is ready to render."""

    def __init__(self, source: str,
                 rewrite: Callable[[nodes.Template], nodes.Template] | None = None) -> None:
        """Compile a source, its syntax tree changed by ``rewrite``."""
        environment = _environment()
        tree = environment.parse(replace_noncharacters(source))
        for assign in list(tree.find_all(nodes.Assign)):
            assign.node = nodes.Filter(assign.node, "_bounded", [], [], None, None).set_lineno(
                assign.lineno).set_environment(environment)
        self.has_marks = any(data.data == GENERATION[0]
                             for data in tree.find_all(nodes.TemplateData))
        code = environment.compile(rewrite(tree) if rewrite else tree)
        self._template = environment.template_class.from_code(
            environment, code, environment.make_globals(None))

    def render(self, variables: Mapping[str, Any]) -> str:
        """Render with sentinels left in.

        Raises:
            TemplateError: The template refuses, fails, or writes more than MAX_CHARACTERS.
        """
        template = self._template
        try:
            return _joined(template.root_render_func(template.new_context(dict(variables))))
        except TemplateError:
            raise
        except SecurityError as error:
            raise TemplateError("template_unsafe", f"The chat template does something that is not "
                                f"allowed: {error}.", "Do not use this model.") from None
        except (jinja2.TemplateError, TypeError, ValueError, AttributeError, LookupError,
                ArithmeticError, RecursionError) as error:
            raise TemplateError("template_refused", "The chat template refuses the conversation: "
                                f"{error}.", "Change the row, or use another template.") from None


def _joined(stream: Iterator[str]) -> str:
    """Join the parts of a rendering; the many of a flood are counted while they come."""
    text = "".join(islice(stream, _PARTS))
    return text + "".join(_limited(stream, len(text)))


def _limited(stream: Iterator[str], size: int) -> Iterator[str]:
    if size > MAX_CHARACTERS:
        raise _too_long()
    for part in stream:
        size += len(part)
        if size > MAX_CHARACTERS:
            raise _too_long()
        yield part


def _too_long() -> TemplateError:
    return TemplateError("template_output", "The chat template writes more than "
                         f"{MAX_CHARACTERS:,} characters.", "Shorten the row.")


def compile_template(source: str, rewrite: Callable[[nodes.Template], nodes.Template] | None = None
                     ) -> CompiledTemplate:
    """Compile a template.

    Raises:
        TemplateError: It is not valid, or larger than MAX_SOURCE.
    """
    if len(source) > MAX_SOURCE:
        raise TemplateError("template_broken", "The chat template is too large.",
                            "Use another model.")
    try:
        return CompiledTemplate(source, rewrite)
    except (jinja2.TemplateError, RecursionError) as error:
        raise TemplateError("template_broken", f"The chat template is not valid: {error}.",
                            "Correct it, or use another model.") from None
