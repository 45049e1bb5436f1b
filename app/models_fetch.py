"""Bringing a model here: with progress, going on where it ended, every file checked.

From the Hugging Face hub into its own cache, in its own layout, so that every program finds it;
from ModelScope or a folder into ``<home>/models``. Files are fetched one after another into partial
files; nothing can be found by its name before all of it is there and right.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.models_remote import ModelRemote, as_model_error, parse_model, remote_of, wanted_files
from app.models_shelf import PARTIAL
from app.models_stream import BLOCK, Meter, fetch_all, require_room
from app.names import slug
from trainer.contract.files import fsync_folder, locked, write_atomic
from trainer.contract.hubcache import cached_snapshot, hub_cache
from trainer.contract.models import ModelError, read_adapter, read_folder
from trainer.contract.rundir import is_safe_name
from trainer.data import DatasetError
from trainer.data.catalog.hub_files import RemoteFile
from trainer.data.catalog.hub_names import HubId
from trainer.data.catalog.hub_remote import UNREACHABLE, Listing


def fetch(source: str, models: Path, meter: Meter, *, token: str = "") -> str:
    """Bring a model here; return what stands for it in ``model.name_or_path``.

    One of the hub's cache is left as it is when the hub cannot be asked.

    Args:
        source: A hub id (``ms:`` before those of ModelScope), a model's page, or a folder.
        models: The home's folder of models.
        meter: Told of every byte; ends the work when cancelled.
        token: For gated and private models of the Hugging Face hub.

    Raises:
        ModelError: It cannot be had, or is not what the hub announced.
        OSError: The disk cannot be written.
    """
    if is_folder(source):
        return _copy_folder(Path(os.path.expanduser(source)).resolve(), models, meter)
    wanted = parse_model(source)
    try:
        remote = remote_of(wanted, token)
        listing = remote.listing()
    except DatasetError as error:
        if error.code in UNREACHABLE and wanted.hub == "hf" and cached_snapshot(
                wanted.repo, wanted.revision):
            return wanted.repo
        raise as_model_error(error) from None
    if wanted.hub == "ms":
        return _to_home(wanted, remote, listing, models, meter)
    return _to_cache(wanted, remote, listing, meter)


def is_folder(source: str) -> bool:
    """Tell whether a source names a place on this machine."""
    return source.startswith(("/", "~", "."))


# Into the cache of the Hugging Face hub


def _to_cache(wanted: HubId, remote: ModelRemote, listing: Listing, meter: Meter) -> str:
    files = wanted_files(listing)
    cache = hub_cache()
    folder = cache / f"models--{wanted.repo.replace('/', '--')}"
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    with _alone(cache / ".locks" / f"{folder.name}.finestra", wanted):
        places = {file.path: blobs / _blob_name(file) for file in files}
        fetch_all(remote, listing.commit, [(file, places[file.path]) for file in files], meter)
        snapshot = folder / "snapshots" / listing.commit
        snapshot.mkdir(parents=True, exist_ok=True)
        for name, blob in places.items():
            _link(snapshot / name, blob)
        revision = wanted.revision or "main"
        if revision != listing.commit:
            reference = folder / "refs" / revision
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(reference, listing.commit)
    return wanted.repo


def _blob_name(file: RemoteFile) -> str:
    """Return what the hub's cache calls a content: its SHA-256 in LFS, else its git hash.

    Raises:
        ModelError: The hub told no hash.
    """
    name = file.sha256 or file.git_sha1
    if not is_safe_name(name) or not name.isalnum():
        raise ModelError("model_answer", f"The hub told no hash of '{file.path[:80]}', so that it "
                         "cannot be checked.", "Try again, or take another mirror.")
    return name.lower()


def _link(place: Path, blob: Path) -> None:
    """Let a name of a snapshot stand for a blob; the file itself where there are no links."""
    place.unlink(missing_ok=True)
    try:
        place.symlink_to(os.path.relpath(blob, place.parent))
    except OSError:
        shutil.copyfile(blob, place)


@contextmanager
def _alone(lock: Path, wanted: HubId) -> Iterator[None]:
    """Let one process at a time fetch a model."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, wait=False))
        except BlockingIOError:
            raise ModelError("model_downloading", f"'{wanted}' is being downloaded by another "
                             "process.", "Wait until that has ended.") from None
        yield


# Into the home's models


def _to_home(wanted: HubId, remote: ModelRemote, listing: Listing, models: Path,
             meter: Meter) -> str:
    files = wanted_files(listing)
    name = wanted.repo.replace("/", "--")
    final = models / (name if is_safe_name(name) else slug(wanted.repo))
    _require_free(final)
    part = models / PARTIAL / final.name
    part.mkdir(parents=True, exist_ok=True)
    with _alone(models / PARTIAL / f"{final.name}.lock", wanted):
        fetch_all(remote, listing.commit, [(file, part / file.path) for file in files], meter)
        return _put(part, final)


def _copy_folder(source: Path, models: Path, meter: Meter) -> str:
    """Copy a model's folder into the home; what is no file of a model is left out."""
    if not source.is_dir():
        raise ModelError("model_missing", f"There is no model folder '{source}'.",
                         "Check the path.")
    if source.is_relative_to(models.resolve()):
        return str(source)
    _require_sound(source)
    final = models / (source.name if is_safe_name(source.name) and source.name[0] != "."
                      else slug(source.name) or "model")
    _require_free(final)
    there = [RemoteFile(path.name, path.stat().st_size) for path in sorted(source.iterdir())
             if path.is_file()]
    files = wanted_files(Listing("", tuple(there)))
    part = models / PARTIAL / final.name
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    meter.total = sum(file.size for file in files)
    require_room(part, meter.total)
    try:
        for file in files:
            _copy(source / file.path, part / file.path, meter)
            meter.finish(file.size)
        return _put(part, final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _copy(source: Path, target: Path, meter: Meter) -> None:
    with source.open("rb") as given, target.open("wb") as taken:
        while block := given.read(BLOCK):
            taken.write(block)
            meter.at(taken.tell())


def _require_free(final: Path) -> None:
    if final.exists():
        raise ModelError("model_exists", f"There is a model '{final.name}' already.",
                         "Delete it first, or use that one.")


def _require_sound(folder: Path) -> None:
    if (folder / "adapter_config.json").is_file():
        read_adapter(folder)
    else:
        read_folder(folder)


def _put(part: Path, final: Path) -> str:
    """Look at a whole model and give it its name."""
    _require_sound(part)
    fsync_folder(part)
    os.rename(part, final)
    fsync_folder(final.parent)
    return str(final)

