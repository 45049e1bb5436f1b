"""Fetching files of a model: each goes on where it ended, and is checked by its hash.

A file that is under way is ``NAME.finestra.incomplete`` beside its place, and gets its name when
all of it is there and right.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.models_remote import ModelRemote, as_model_error
from trainer.contract.models import SCANNED, ModelError, scan_folder
from trainer.data.catalog.hub_files import RemoteFile

BLOCK = 2**20
RETRIES, RETRY_S, TIMEOUT_S = 3, 1.0, 30.0
_TOLD_S = 0.1
Progress = Callable[[int, int], None]


@dataclass
class Meter:
    """Tells how far a download is, ten times a second, and ends it when it is cancelled."""

    progress: Progress | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    total: int = 0
    _finished: int = 0
    _next: float = 0.0

    def at(self, have: int) -> None:
        """Say how much of the file at hand is here; ModelError 'cancelled' when it is to end."""
        self.check()
        done = self._finished + have
        if self.progress is not None and (time.monotonic() >= self._next or done >= self.total):
            self._next = time.monotonic() + _TOLD_S
            self.progress(min(done, self.total), self.total)

    def finish(self, size: int) -> None:
        """Count a file as whole."""
        self._finished += size
        self.at(0)

    def check(self) -> None:
        """Raise ModelError('cancelled') when somebody asked for the end."""
        if self.cancel.is_set():
            raise ModelError("cancelled", "The download was cancelled.",
                             "What has come in is kept: started again, it goes on from there.")


def fetch_all(remote: ModelRemote, commit: str, files: list[tuple[RemoteFile, Path]],
              meter: Meter) -> None:
    """Fetch what is not here yet, configs first: one that wants to run code ends it at once."""
    meter.total = sum(max(file.size, 0) for file, _ in files)
    here = sum(partial(path).stat().st_size for _, path in files if partial(path).exists())
    here += sum(max(file.size, 0) for file, path in files if path.is_file())
    require_room(files[0][1].parent, meter.total - here)
    small = [pair for pair in files if not pair[0].path.endswith(".safetensors")]
    for pair in small:
        _one(remote, commit, *pair, meter)
    _refuse_code(small)
    for pair in files[len(small):]:
        _one(remote, commit, *pair, meter)


def require_room(folder: Path, needed: int) -> None:
    """Raise ModelError('disk_full') where so many bytes do not fit."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError("disk_full", f"The model needs {needed / 2**30:,.1f} GiB more, and "
                         f"{free / 2**30:,.1f} GiB are free.", "Make room, or delete a model.")


def _refuse_code(files: list[tuple[RemoteFile, Path]]) -> None:
    """Look at the configs under their own names (rule R3)."""
    with tempfile.TemporaryDirectory() as scratch:
        for file, path in files:
            if file.path in SCANNED:
                shutil.copyfile(path, Path(scratch) / file.path)
        scan_folder(Path(scratch))


def partial(path: Path) -> Path:
    """Return where a file lies while it comes in."""
    return path.with_name(f"{path.name}.finestra.incomplete")


def _one(remote: ModelRemote, commit: str, file: RemoteFile, path: Path, meter: Meter) -> None:
    """Bring one file here; one that is whole already is left as it is."""
    if path.is_file() and file.size in (-1, path.stat().st_size):
        meter.finish(path.stat().st_size)
        return
    part, failed = partial(path), 0
    while True:
        digest = _digest_of(file)
        have = _hash_partial(part, file, digest, meter)
        try:
            size = _stream(remote, commit, file, part, (have, digest), meter)
            break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            now = part.stat().st_size if part.exists() else 0
            failed = 0 if now > have else failed + 1
            if failed > RETRIES or isinstance(error, httpx.InvalidURL):
                raise as_model_error(remote.unreachable(type(error).__name__)) from None
        meter.cancel.wait(RETRY_S * failed)
    _check(part, file, digest, size)
    os.replace(part, path)
    meter.finish(size)


def _digest_of(file: RemoteFile) -> Any:
    """Return the hash that a file is checked by, begun as git begins its own."""
    if file.sha256 or not file.git_sha1:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % max(file.size, 0), usedforsecurity=False)


def _hash_partial(part: Path, file: RemoteFile, digest: Any, meter: Meter) -> int:
    """Take what is here already into the hash; return how much that is."""
    meter.check()
    if not part.exists():
        return 0
    if 0 <= file.size < part.stat().st_size:
        part.unlink()
        return 0
    have = 0
    with part.open("rb") as given:
        while block := given.read(BLOCK):
            digest.update(block)
            have += len(block)
            meter.at(have)
    return have


def _stream(remote: ModelRemote, commit: str, file: RemoteFile, part: Path,
            begun: tuple[int, Any], meter: Meter) -> int:
    """Append what is still missing of a file; return how much of it is here then."""
    have, digest = begun
    if have == file.size:
        part.touch()
        return have
    address = remote.address(file, commit)
    headers = {"User-Agent": "finestra", "Accept-Encoding": "identity", **address.headers,
               **({"Range": f"bytes={have}-"} if have else {})}
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True, max_redirects=5) as client, \
            client.stream("GET", address.url, headers=headers) as answer:
        if answer.status_code >= 400:
            raise as_model_error(remote.refused(answer.status_code,
                                                answer.headers.get("Retry-After", "")))
        if have and answer.status_code != 206:
            part.unlink()
            raise httpx.RemoteProtocolError("the file comes from its beginning again")
        with part.open("ab") as out:
            for block in answer.iter_bytes(BLOCK):
                out.write(block)
                digest.update(block)
                have += len(block)
                meter.at(have)
    return have


def _check(part: Path, file: RemoteFile, digest: Any, have: int) -> None:
    """Delete a file that is not what the hub announced, and say so."""
    announced = (file.sha256 or (file.git_sha1 if file.size >= 0 else "")).lower()
    if file.size not in (-1, have):
        why = f"it has {have:,} bytes, not {file.size:,}"
    elif announced and digest.hexdigest() != announced:
        why = "its hash differs"
    else:
        return
    with suppress(OSError):
        part.unlink()
    raise ModelError("model_damaged", f"'{file.path}' did not arrive as the hub has it: {why}.",
                     "Start the download again.")
