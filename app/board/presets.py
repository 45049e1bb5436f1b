"""The recipes that come with Finestra, as choices of the Train page."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from app.board.i18n import choice_label, has, t
from app.board.i18n.methods.recipes_words import ABOUT
from trainer.contract.config import OBJECTIVES, load_yaml
from trainer.contract.places import share
from trainer.contract.problems import ConfigError

FIRST = "quickstart"


def folder() -> Path:
    """Return where the recipes lie."""
    return share() / "templates" / "recipes"


@cache
def names() -> tuple[str, ...]:
    """Return the recipes' names, the quickstart first."""
    found = sorted(path.stem for path in folder().glob("*.yaml"))
    return tuple(sorted(found, key=lambda name: (name != FIRST, name)))


def label(locale: str, name: str) -> str:
    """Return a recipe's name as a person reads it."""
    key = f"preset.{name}"
    return t(locale, key) if has(key) else name.replace("_", " ").replace("-", " ").capitalize()


def about(locale: str, name: str) -> str:
    """Return what a recipe is for: the comment that its file begins with, or its translation."""
    if locale == "zh" and name in ABOUT:
        return ABOUT[name]
    lines = []
    for line in _text(name).splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(line for line in lines if line)


def listed(locale: str) -> dict[str, list[tuple[str, str, str]]]:
    """Return (name, label, description) of every recipe by its objective, small machines first."""
    found: dict[str, list[str]] = {}
    for name in names():
        found.setdefault(str((read(name) or {}).get("objective", "sft")), []).append(name)
    return {choice_label(locale, "objective", objective): [
        (name, label(locale, name), about(locale, name))
        for name in sorted(found[objective], key=_machine)]
        for objective in OBJECTIVES if objective in found}


def _machine(name: str) -> tuple[bool, int, str]:
    """Return how large a machine a recipe's name speaks of; none is the smallest."""
    memory = re.search(r"(\d+)gb", name)
    return name != FIRST, int(memory[1]) if memory else 6 * ("gpu" in name), name


@cache
def _text(name: str) -> str:
    try:
        return (folder() / f"{name}.yaml").read_text(encoding="utf-8")
    except OSError:
        return ""


def read(name: str) -> dict[str, Any] | None:
    """Return a recipe's values, or None for an unknown name or an unreadable file."""
    if name not in names():
        return None
    try:
        return load_yaml(_text(name))
    except ConfigError:
        return None
