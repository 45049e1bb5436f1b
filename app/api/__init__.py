"""REST under /api: the same documents as the command line's ``--json``."""

from app.api.build import build

__all__ = ["build"]
