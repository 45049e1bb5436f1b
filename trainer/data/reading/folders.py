"""A folder of shards: which of its files are the data, and which only lie beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from trainer.data.reading.rows import DatasetError, listed
from trainer.data.reading.sources import COMPRESSED, SUFFIXES, Part, listed_files, part_of

_SIDECARS = ("readme", "license", "licence", "notice", "changelog", "citation", "contributing",
             "dataset_info", "dataset_infos", "dataset_dict", "state", "croissant",
             "requirements", "metadata", "config", "data_card", "datasheet")
_SPLITS = ("train", "training", "test", "testing", "valid", "validation", "val", "dev", "eval")
_MAX_SIDECAR_BYTES = 4 * 1024 * 1024


def shards(folder: Path) -> tuple[Part, ...]:
    """Return a folder's data files, sorted by name.

    Hidden files, READMEs, licences and descriptions such as ``dataset_info.json`` are left out,
    also files without a known ending, Markdown beside data, and empty files.

    Raises:
        DatasetError: ``is_folder`` when there is none, ``mixed_folder`` when they are of several
            formats.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file() and _may_be_data(p))
    except OSError as error:
        raise DatasetError("unreadable", f"'{folder}' cannot be read: {error.strerror}.",
                           "Check the folder and its permissions.") from None
    parts = [part_of(path) for path in paths]
    if len({part.suffix for part in parts}) > 1:
        parts = [part for part in parts if part.suffix != ".md" and not _is_description(part)]
    kinds = sorted({part.suffix for part in parts})
    if len(kinds) > 1:
        examples = [next(p.name for p in parts if p.suffix == kind) for kind in kinds]
        raise DatasetError("mixed_folder", f"The folder '{folder.name}' holds files of several "
                           f"formats: {listed(examples)}.",
                           "Name one of the files, or keep one format in a folder.")
    if not parts:
        raise _no_data(folder)
    return tuple(parts)


def splits_note(folder: str, parts: Sequence[Part]) -> str:
    """Say that a folder's files are of several splits, which are read as one; '' when they are not.

    Rows to test with among those to train on would make a model look better than it is.
    """
    found = {name for part in parts for name in _SPLITS
             if re.split(r"[-_.]", part.name.lower())[0] == name}
    if len(found) < 2:
        return ""
    return (f"The folder '{folder}' holds files of the splits {listed(sorted(found))}; all are "
            "read as one dataset. Name a file to read one of them.")


def _may_be_data(path: Path) -> bool:
    name = path.name.lower()
    endings = [ending for ending in path.suffixes if ending.lower() in COMPRESSED]
    stem = name.split(".")[0]
    known = any(name.removesuffix("".join(endings[-1:]).lower()).endswith(s) for s in SUFFIXES)
    hidden = name.startswith((".", "_"))
    return known and not hidden and stem not in _SIDECARS and path.stat().st_size > 0


def _is_description(part: Part) -> bool:
    """Tell whether a .json beside files of another format is one object: no rows, a sidecar."""
    if part.suffix != ".json" or part.compression:
        return False
    if part.path.stat().st_size > _MAX_SIDECAR_BYTES:
        return False
    try:
        return isinstance(json.loads(part.path.read_bytes()), dict)
    except (ValueError, RecursionError, OSError):
        return False


def _no_data(folder: Path) -> DatasetError:
    inside = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[:1] not in "._")
    what = (f"Name one of its folders: {listed(inside, 8)}." if inside
            else f"Name a file with data; it holds {listed_files(folder)}.")
    return DatasetError("is_folder", f"'{folder}' is a folder without data files.", what)
