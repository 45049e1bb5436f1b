"""Files that end in .json: a list of rows, or JSON Lines under another name."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.data.batches import Batch, Source
from trainer.data.bytesource import lines, opened
from trainer.data.jsonstream import first_character, read_array
from trainer.data.readers_lines import json_row, read_jsonl, row_of
from trainer.data.rows import DatasetError, Row


def read_json(source: Source) -> Iterator[Batch]:
    """Read a list of rows, or JSON Lines.

    Raises:
        DatasetError: It is neither.
    """
    with opened(source.part) as stream:
        start = first_character(stream)
    if start == "{":
        return _read_objects(source)
    if start == "[":
        return read_array(source, row_of)
    if not start:
        return iter(())
    raise DatasetError("not_json", f"'{source.part.name}' is not JSON: it begins with '{start}'.",
                       "Save it as a JSON list of objects, or as JSON Lines.")


def _read_objects(source: Source) -> Iterator[Batch]:
    """Read a .json file that begins with an object: JSON Lines under another name, or one object.

    Raises:
        DatasetError: It holds a single object rather than rows.
    """
    with opened(source.part) as stream:
        first = next((line for _, block in lines(stream) for line in (block or b"").split(b"\n")
                      if line.strip()), b"")
    if isinstance(json_row(1, first), Row):
        return read_jsonl(source)
    raise DatasetError("not_a_list", f"'{source.part.name}' begins with one object, not with a "
                       "list of rows.",
                       "Save it as a JSON list of objects, or as JSON Lines: one object a line.")
