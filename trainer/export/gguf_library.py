"""The package ``gguf``: loaded only when something is exported."""

from __future__ import annotations

from typing import Any

from trainer.export.errors import ExportError


def gguf_library() -> Any:
    """Import ``gguf``.

    Raises:
        ExportError: It is not installed ('gguf_missing').
    """
    try:
        import gguf
    except ImportError:
        raise ExportError("gguf_missing", "Writing GGUF needs the package gguf, which is not "
                          "installed.", "Install it: pip install 'finestra[export]'.") from None
    return gguf
