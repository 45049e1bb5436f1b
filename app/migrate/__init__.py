"""Moving over from other programs: their config files as ours, with a word on every key."""

from app.migrate.llamafactory import import_llamafactory
from app.migrate.rows import Imported, Row

__all__ = ["Imported", "Row", "import_llamafactory"]
