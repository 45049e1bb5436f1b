"""The recipes that come with Finestra, as choices of the Train page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from app.board.i18n import has, t
from trainer.contract.config import load_yaml
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


def choices(locale: str) -> list[tuple[str, str]]:
    """Return (label, name) of the defaults and every recipe."""
    return [(t(locale, "train.preset_none"), ""), *((label(locale, n), n) for n in names())]


def read(name: str) -> dict[str, Any] | None:
    """Return a recipe's values, or None for an unknown name or an unreadable file."""
    if name not in names():
        return None
    try:
        return load_yaml((folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    except (OSError, ConfigError):
        return None
