"""Files that were sent for fine-tuning: the original, what a run reads of it, and what is known."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.home import Home
from app.serving.openai_errors import ApiError
from app.tuning.rows import (
    Kind,
    convert,
    kind_of,
    require_good,
    require_rows,
    to_chat,
    to_pair,
    to_prompt,
)
from trainer.contract.files import fsync_folder, read_json, write_json

FILE_ID = re.compile(r"file-[0-9a-f]{24}")
ROWS, PAIRS, ABOUT = "rows.jsonl", "pairs.jsonl", "file.json"
Users = Callable[[str], list[str]]


@dataclass(frozen=True)
class StoredFile:
    """A file that lies here.

    Attributes:
        id: As OpenAI writes them, ``file-...``.
        filename: What the sender called it.
        bytes: Size of the original.
        created_at: Unix seconds.
        kind: What its rows are for.
        rows: How many there are.
        owner: Who sent it.
    """

    id: str
    filename: str
    bytes: int
    created_at: float
    kind: Kind
    rows: int
    owner: str = "local"

    def document(self) -> dict[str, Any]:
        """Return the file in OpenAI's shape."""
        return {"id": self.id, "object": "file", "bytes": self.bytes,
                "created_at": int(self.created_at), "filename": self.filename,
                "purpose": "fine-tune", "status": "processed", "status_details": None,
                "expires_at": None}


class FileShelf:
    """The files of a home, each in a folder of its own under ``data/openai``."""

    def __init__(self, home: Home) -> None:
        """Look at nothing yet."""
        self.root, self._tmp = home.data / "openai", home.tmp

    def new_folder(self) -> Path:
        """Make a folder for an upload; what a killed server leaves of it is removed at a start."""
        folder = self._tmp / f"upload-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def add(self, folder: Path, filename: str, owner: str) -> StoredFile:
        """Check the file that lies in a folder of ours as ``rows.jsonl``, and keep it.

        Raises:
            ApiError: 400, with the numbers of the rows that cannot be used.
        """
        path = folder / ROWS
        kind = kind_of(path)
        rows = self._check(path, kind, filename)
        found = StoredFile(f"file-{secrets.token_hex(12)}", filename, path.stat().st_size,
                           time.time(), kind, rows, owner)
        write_json(folder / ABOUT, asdict(found), mode=0o600)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.rename(folder, self.root / found.id)
        fsync_folder(self.root)
        return found

    @staticmethod
    def _check(path: Path, kind: Kind, filename: str) -> int:
        if kind == "chat":
            require_rows(path, to_chat, filename)
            return require_good(path, kind, filename)
        turned = path.with_name(PAIRS if kind == "preference" else "prompts.jsonl")
        convert(path, turned, to_pair if kind == "preference" else to_prompt, filename)
        return require_good(turned, kind, filename)

    def all(self) -> list[StoredFile]:
        """Return the files, newest first."""
        if not self.root.is_dir():
            return []
        found = [one for path in self.root.iterdir() if (one := self._read(path.name))]
        return sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)

    def get(self, file_id: str, param: str | None = None) -> StoredFile:
        """Return a file; ApiError 404 when there is none of that id."""
        found = self._read(file_id)
        if found is None:
            raise ApiError(404, "file_not_found", f"There is no file '{file_id[:80]}'.", param)
        return found

    def _read(self, file_id: str) -> StoredFile | None:
        if not FILE_ID.fullmatch(file_id):
            return None
        values = read_json(self.root / file_id / ABOUT)
        with suppress(TypeError):
            return StoredFile(**values) if isinstance(values, dict) else None
        return None

    def original(self, file_id: str) -> Path:
        """Return the path of a file as it was sent; ApiError 404."""
        return self.root / self.get(file_id).id / ROWS

    def dataset(self, found: StoredFile, field: str = "") -> Path:
        """Return what a run reads of a file, made on the first use.

        Args:
            found: The file.
            field: Of prompts: the column with the reference, '' for none.

        Raises:
            ApiError: Rows lack the field.
        """
        folder = self.root / found.id
        if found.kind != "prompts":
            return folder / (ROWS if found.kind == "chat" else PAIRS)
        mark = f"-{hashlib.sha256(field.encode()).hexdigest()[:16]}" if field else ""
        path = folder / f"prompts{mark}.jsonl"
        if not path.is_file():
            convert(folder / ROWS, path, partial(to_prompt, field=field), found.filename)
            require_good(path, found.kind, found.filename)
        return path

    def delete(self, file_id: str, users: Users) -> None:
        """Take a file away.

        Args:
            file_id: Its id.
            users: Returns the jobs that still need a file.

        Raises:
            ApiError: 404, or 409 while a job that has not ended reads it.
        """
        found = self.get(file_id)
        if jobs := users(found.id):
            raise ApiError(409, "file_in_use", f"The file '{found.id}' is used by "
                           f"{', '.join(jobs[:5])}. Cancel that first, or wait for its end.")
        gone = self._tmp / f"upload-{secrets.token_hex(8)}"
        os.rename(self.root / found.id, gone)
        shutil.rmtree(gone, ignore_errors=True)


def detail_of(found: StoredFile) -> str:
    """Return what the audit log says of a file."""
    return json.dumps({"file": found.id, "bytes": found.bytes, "rows": found.rows})
