"""An upload as it comes in: one file straight to disk, and a few short fields."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.serving.openai_errors import ApiError

FIELD_BYTES, HEADER_BYTES, PARTS = 4096, 16_384, 20
# What stays free on the disk of the home folder: runs write there too.
SPARE_BYTES = 64 << 20


def require_space(folder: Path, needed: int) -> None:
    """Refuse what would fill the disk; ApiError 507."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise ApiError(507, "no_space", f"The file needs {needed >> 20:,} MiB; the disk of the "
                       f"studio has {free >> 20:,} MiB free. Free some space.", "file")


class Upload:
    """The parts of a multipart body; the part ``file`` is written to a file (0600).

    Attributes:
        fields: The other parts, as text.
        filename: What the sender calls the file; '' until it has come.
        size: Bytes of the file so far.
    """

    def __init__(self, path: Path, content_type: str, limit: int) -> None:
        """Prepare; ApiError 400 when the body is no multipart form."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise ApiError(400, "invalid_form", "Send the file as multipart/form-data.", "file")
        self._path, self._limit = path, limit
        self.fields: dict[str, str] = {}
        self.filename, self.size = "", 0
        self._file: IO[bytes] | None = None
        self._name, self._value, self._parts, self._ended = "", bytearray(), 0, False
        self._header, self._content, self._disposition = bytearray(), bytearray(), b""
        self._parser = MultipartParser(boundary, {
            "on_part_begin": self._part_begin, "on_part_data": self._part_data,
            "on_part_end": self._part_end, "on_header_field": self._header_field,
            "on_header_value": self._header_value, "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished, "on_end": self._end})

    async def receive(self, blocks: AsyncIterator[bytes]) -> None:
        """Read the body to its end.

        Raises:
            ApiError: It is no form, has no file, or the file is too large or fills the disk.
        """
        try:
            async for block in blocks:
                await asyncio.to_thread(self._write, block)
        finally:
            if self._file is not None:
                self._file.close()
        if not self._ended:
            raise ApiError(400, "invalid_form", "The upload was cut short.", "file")
        if self._file is None:
            raise ApiError(400, "missing_required_parameter", "There is no file in this form.",
                           "file")

    def _write(self, block: bytes) -> None:
        try:
            self._parser.write(block)
        except MultipartParseError:
            raise ApiError(400, "invalid_form", "The form cannot be read.", "file") from None

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS:
            raise ApiError(400, "invalid_form", "The form has too many fields.")
        self._disposition, self._name = b"", ""
        self._value = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._require_short(self._header, HEADER_BYTES)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]
        self._require_short(self._content, HEADER_BYTES)

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._content)
        self._header, self._content = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name != "file":
            return
        if self._file is not None:
            raise ApiError(400, "invalid_form", "Send one file at a time.", "file")
        self.filename = _plain(options.get(b"filename", b"").decode("utf-8", "replace"))
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(handle, "wb")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name != "file" or self._file is None:
            self._value += data[start:end]
            self._require_short(self._value, FIELD_BYTES)
            return
        self.size += end - start
        if self.size > self._limit:
            raise ApiError(413, "too_large", f"The file is larger than the {self._limit >> 20:,} "
                           "MiB allowed here.", "file")
        self._file.write(data[start:end])

    def _part_end(self) -> None:
        if self._name and self._name != "file":
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True

    @staticmethod
    def _require_short(value: bytearray, limit: int) -> None:
        if len(value) > limit:
            raise ApiError(400, "invalid_form", "A field of the form is too long.")


def _plain(filename: str) -> str:
    """Return a file's name without folders and control characters; it is only ever shown."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable())[:200] or "data.jsonl"
