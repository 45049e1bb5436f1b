"""Datasets from hubs: fetched once into the data folder, checked, and read from there.

``fetch`` is the only door to the network of ``trainer.data``. It asks the endpoint that the
environment names and no other (rule R6), takes only files of rows, and never runs anything that a
repository brings along.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.data.catalog.hub_files import RemoteFile, Selection, front_matter, select
from trainer.data.catalog.hub_names import HubId
from trainer.data.catalog.hub_remote import UNREACHABLE, Advance, Listing, Remote, check_cancelled
from trainer.data.catalog.hub_store import Copy, HubStore, Wanted
from trainer.data.reading.rows import DatasetError

MAX_CARD_BYTES = 2**20
_BLOCK = 2**20
Progress = Callable[[int, int], None]


def find(wanted: Wanted, data: Path) -> Copy | None:
    """Return the copy that lies under a data folder, or None."""
    return HubStore(data).find(wanted)


def not_here(wanted: Wanted) -> DatasetError:
    """Return the error for a hub dataset that has not been fetched."""
    options = "".join(f" --{key} {value}" for key, value in
                      (("subset", wanted.subset), ("split", wanted.split)) if value)
    return DatasetError("hub_not_here", f"The hub dataset '{wanted}' is not on this machine yet.",
                        f"Fetch it on the Data page, or with: finestra data add "
                        f"{wanted.id}{options}")


def fetch(wanted: Wanted, data: Path, *, progress: Progress | None = None,
          cancel: threading.Event | None = None, refresh: bool = False) -> Path:
    """Return a hub dataset's file, or the folder of its shards; fetch it when it is not here.

    Args:
        wanted: Which dataset, and which part of it.
        data: The data folder, ``<home>/data``.
        progress: Told (bytes done, bytes in all).
        cancel: Set it to end the download; it goes on where it ended the next time.
        refresh: Ask the hub also when there is a copy, in case it has something newer.

    Raises:
        DatasetError: With a code that begins with ``hub_``, or ``cancelled``, or ``disk_full``.
        OSError: The disk cannot be written.
    """
    store = HubStore(data)
    if not refresh and (copy := store.find(wanted)):
        return copy.path
    with store.locked(wanted):
        copy = store.find(wanted)
        if copy is not None and not refresh:
            return copy.path
        return _fetch(wanted, store, _Meter(progress, cancel), copy)


class _Meter:
    """Adds up bytes, tells them, and ends the work when it is cancelled."""

    def __init__(self, progress: Progress | None, cancel: threading.Event | None) -> None:
        self._progress, self._cancel = progress, cancel
        self.total = self.before = self._done = 0

    def advance(self, count: int) -> None:
        check_cancelled(self._cancel)
        self._done += count
        self._tell()

    def finished(self, size: int) -> None:
        """Count a file as whole, however much of it was there before."""
        check_cancelled(self._cancel)
        self.before += size
        self._done = self.before
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(min(self._done, self.total) if self.total else self._done, self.total)


def _fetch(wanted: Wanted, store: HubStore, meter: _Meter, known: Copy | None) -> Path:
    remote, listing = _reach(wanted.id)
    if known is not None and known.commit == listing.commit:
        return known.path
    workplace = store.workplace(wanted, listing.commit)
    card = _card(remote, listing, workplace)
    chosen = select(listing.files, card, subset=wanted.subset, split=wanted.split,
                    folder=wanted.folder)
    meter.total = sum(max(file.size, 0) for file in chosen.files)
    _require_room(store, workplace, meter.total)
    files = [(file.path, _one(remote, file, listing.commit, workplace, meter))
             for file in chosen.files]
    copy = store.keep(wanted, _meta(listing, chosen), files)
    shutil.rmtree(workplace, ignore_errors=True)
    return copy.path


def _meta(listing: Listing, chosen: Selection) -> dict[str, Any]:
    return {"commit": listing.commit, "fetched_at": time.time(), "chosen_subset": chosen.config,
            "chosen_split": chosen.split, "splits": list(chosen.splits),
            "left_out": list(chosen.left_out)[:100],
            "files": [{"path": file.path, "size": file.size} for file in chosen.files]}


def _reach(wanted: HubId) -> tuple[Remote, Listing]:
    """Ask the hub; when it cannot be reached, look into the cache of ``huggingface_hub``."""
    if wanted.hub == "ms":
        from trainer.data.catalog.modelscope import MsRemote

        ms = MsRemote(wanted)
        return ms, ms.listing()
    from trainer.data.catalog.hub_hf import HfCache, HfRemote

    remote: Remote = HfRemote(wanted)
    try:
        return remote, remote.listing()
    except DatasetError as error:
        cache = HfCache(wanted)
        if error.code not in UNREACHABLE or not cache.commit():
            raise
        return cache, cache.listing()


def _card(remote: Remote, listing: Listing, workplace: Path) -> Any:
    """Return the front matter of the README, or None; a broken one counts as none."""
    found = next((file for file in listing.files if file.path == "README.md"), None)
    if found is None or found.size > MAX_CARD_BYTES:
        return None
    path = remote.download(found, listing.commit, workplace, lambda count: None)
    text = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return front_matter(text)


def _require_room(store: HubStore, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DatasetError("disk_full", f"The dataset needs {needed / 2**20:,.0f} MiB, and "
                           f"{free / 2**20:,.0f} MiB are free.", "Make room, or choose a subset.")


def _one(remote: Remote, file: RemoteFile, commit: str, workplace: Path, meter: _Meter) -> Path:
    """Bring one file here and check it; a damaged one is deleted, not kept."""
    advance: Advance = meter.advance
    advance(0)
    path = remote.download(file, commit, workplace, advance)
    why = _difference(path, file)
    if why:
        path.unlink()
        raise DatasetError("hub_damaged", f"'{file.path}' did not arrive as the hub has it: {why}.",
                           "Start the download again.")
    meter.finished(max(file.size, 0))
    return path


def _difference(path: Path, file: RemoteFile) -> str:
    """Say in what a file is not what the hub announced, or ''."""
    size = path.stat().st_size
    if file.size not in (-1, size):
        return f"it has {size:,} bytes, not {file.size:,}"
    if file.sha256 and _digest(path, "sha256") != file.sha256.lower():
        return "its SHA-256 differs"
    if file.git_sha1 and _digest(path, "sha1", b"blob %d\0" % size) != file.git_sha1.lower():
        return "its git hash differs"
    return ""


def _digest(path: Path, name: str, start: bytes = b"") -> str:
    digest = hashlib.new(name, start, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def offered(wanted: HubId) -> Sequence[RemoteFile]:
    """Return the files that a repository offers, for a page that lets people choose."""
    return _reach(wanted)[1].files
