"""Where the files that come with Finestra lie: beside the packages, or inside the wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]


def share() -> Path:
    """Return the folder that holds ``assets``, ``data`` and ``templates``."""
    packed = _HERE / "_share"
    return packed if packed.is_dir() else _HERE.parent


def starter() -> Path:
    """Return the folder of the starter model."""
    return share() / "assets" / "starter"


def template_folder() -> Path:
    """Return the folder of the chat templates that come with Finestra."""
    return share() / "templates" / "chat"


@cache
def template_names() -> tuple[str, ...]:
    """Return the names of the chat templates that come with Finestra, sorted."""
    return tuple(sorted(path.stem for path in template_folder().glob("*.jinja")))
