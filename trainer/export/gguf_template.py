"""The chat template as other programs read it: without the marks that only training needs."""

from __future__ import annotations

import re

_MARK = re.compile(r"\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}")


def without_marks(source: str) -> str:
    """Replace ``{% generation %}`` and its end by comments.

    The tag is an extension of Transformers' that others refuse. A comment takes the same white
    space away as a tag (https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control),
    so the text stays the same.
    """
    return _MARK.sub(r"{#\1 \2#}", source)
