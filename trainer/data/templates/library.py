"""The chat templates that come with Finestra: ``templates/chat/NAME.jinja``.

Each begins with a comment of ``key: value`` lines that says what it is for, how an answer ends,
and what it does with tools, system prompts and thoughts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from trainer.contract.places import template_folder, template_names
from trainer.data.templates.sandbox import TemplateError

_HEAD = re.compile(r"\{#-?(.*?)-?#\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A template that comes with Finestra.

    ``end``: the token that ends an answer, or "eos" for the tokenizer's own, or "" for none.
    ``stop``: other texts that end an answer, such as the next turn's header.
    """

    name: str
    source: str
    about: str
    end: str
    stop: tuple[str, ...] = ()
    system: str = ""
    tools: str = ""
    thinking: str = ""


@cache
def read_template(name: str) -> NamedTemplate:
    """Read a template by its name.

    Raises:
        TemplateError: There is none of that name (``unknown_template``).
    """
    if name not in template_names():
        raise TemplateError("unknown_template", f"There is no chat template '{name}'.",
                            "Use 'auto', the tokenizer's own chat template, or one of: "
                            f"{', '.join(template_names())}.")
    source = (template_folder() / f"{name}.jinja").read_text(encoding="utf-8")
    head = _HEAD.match(source)
    lines = [line.partition(":") for line in (head[1] if head else "").strip().splitlines()]
    values = {key.strip(): value.strip() for key, _, value in lines}
    return NamedTemplate(
        name, source, about=values.get("for", ""), end=values.get("end", "").replace("none", ""),
        stop=tuple(values.get("stop", "").split()), system=values.get("system", ""),
        tools=values.get("tools", ""), thinking=values.get("thinking", ""))


def library() -> tuple[NamedTemplate, ...]:
    """Return all templates that come with Finestra, by name."""
    return tuple(read_template(name) for name in template_names())
