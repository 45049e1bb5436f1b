"""What a file really is, by its first bytes, when its ending says something else."""

from __future__ import annotations

from pathlib import PurePath

from trainer.data.reading.rows import DatasetError
from trainer.data.reading.sources import Part

_KINDS = ((b"PAR1", "a Parquet file", ".parquet"), (b"ARROW1", "an Arrow file", ".arrow"),
          (b"\x1f\x8b", "a gzip file", ".gz"), (b"\x28\xb5\x2f\xfd", "a Zstandard file", ".zst"),
          (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls), or one with a password", ""),
          (b"SQLite format 3\0", "an SQLite database", ""), (b"%PDF-", "a PDF", ""),
          (b"BZh", "a bzip2 file", ""), (b"\xfd7zXZ\0", "an xz file", ""),
          (b"7z\xbc\xaf", "a 7-Zip file", ""), (b"\x89PNG", "a picture (PNG)", ""),
          (b"\xff\xd8\xff", "a picture (JPEG)", ""), (b"\x89HDF", "an HDF5 file", ""),
          (b"\x93NUMPY", "a NumPy file", ""), (b"Obj\x01", "an Avro file", ""),
          (b"ORC", "an ORC file", ""))


def kind_of(head: bytes) -> tuple[str, str]:
    """Return (what a file is, its ending); two empty texts when the bytes do not tell."""
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"[Content_Types].xml" in head[:200]:
            return "an Excel file", ".xlsx"
        return "a zip file", ""
    if head.startswith(b"\xff\xff\xff\xff") and head[6:8] == b"\0\0":
        return "an Arrow stream", ".arrow"
    for magic, kind, ending in _KINDS:
        if head.startswith(magic) and (len(magic) > 3 or _is_binary(head)):
            return kind, ending
    return "", ""


def _is_no_data(head: bytes) -> tuple[str, str]:
    """Return (what a text is that stands in place of the data, what to do), or two empty texts."""
    start = head[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return "only a pointer of Git LFS to the data", "Fetch the data with 'git lfs pull'."
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page", "Download the file itself, not the page that shows it."
    return "", ""


def _is_binary(head: bytes) -> bool:
    """Tell bytes of a program from text, for short marks that a text could begin with."""
    return any(byte < 9 or 13 < byte < 32 for byte in head[:64])


def require_text(part: Part, head: bytes) -> None:
    """Refuse a file that is named as text but is something else, or stands for the data only.

    Raises:
        DatasetError: ``wrong_ending``, ``not_the_data``.
    """
    kind, ending = kind_of(head)
    if kind:
        raise wrong_ending(part, kind, ending)
    if part.suffix not in {".md", ".txt"}:
        _require_data(part, head)


def _require_data(part: Part, head: bytes) -> None:
    what, advice = _is_no_data(head)
    if what:
        raise DatasetError("not_the_data", f"'{part.name}' is {what}.", advice)


def require_binary(part: Part, head: bytes, wanted: str) -> None:
    """Refuse a file that is named as Parquet, Arrow or Excel but is something else.

    Raises:
        DatasetError: ``wrong_ending``.
    """
    kind, ending = kind_of(head)
    if ending == wanted:
        return
    _require_data(part, head)
    if not kind:
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        kind, ending = {b"{": ("JSON", ".jsonl"), b"[": ("JSON", ".json"),
                        b"<": ("a web page or XML", "")}.get(start, ("", ""))
    raise wrong_ending(part, kind, ending)


def wrong_ending(part: Part, kind: str, ending: str) -> DatasetError:
    """Return the error for a file whose content is not what its name says."""
    if not kind:
        return DatasetError("wrong_ending", f"'{part.name}' is not a whole {part.suffix} file.",
                            "Copy or export it again.")
    stem = part.name[:-len(PurePath(part.name).suffix)]
    advice = (f"Rename it to '{part.name}{ending}'." if ending in {".gz", ".zst"}
              else f"Rename it to '{stem}{ending}'." if ending
              else "Export its rows as .jsonl, .csv, .parquet or .xlsx.")
    return DatasetError("wrong_ending", f"'{part.name}' is really {kind}.", advice)
