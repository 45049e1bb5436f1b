"""What the ``datasets`` library notes in a file about its columns: the names of class labels."""

from __future__ import annotations

import json
from typing import Any


def label_names(schema: Any) -> dict[str, list[str]]:
    """Return the names of the classes by column, for columns that hold numbers for names.

    Args:
        schema: The ``pyarrow.Schema`` of a file.
    """
    raw = (schema.metadata or {}).get(b"huggingface")
    if not raw:
        return {}
    try:
        features = json.loads(raw)["info"]["features"]
        found = {name: feature["names"] for name, feature in features.items()
                 if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
                 and isinstance(feature.get("names"), list)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {str(name): [str(label) for label in labels] for name, labels in found.items()}
