"""The Hugging Face hub through ``huggingface_hub``, and what lies in its cache.

HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and HF_HOME mean what they mean everywhere; the library
reads them when it is imported, so they hold for a process. Nothing of a repository is ever run.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainer.data.catalog.hub_files import RemoteFile
from trainer.data.catalog.hub_names import HubId
from trainer.data.catalog.hub_remote import (
    Advance,
    Listing,
    odd_answer,
    offline,
    refused,
    unreachable,
)
from trainer.data.reading.rows import DatasetError

_COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_S = 20.0


class HfRemote:
    """One dataset on the hub; ``app.models_remote`` makes a model of it."""

    kind = "dataset"

    def __init__(self, wanted: HubId, token: str | None = None) -> None:
        """Look at one repository; nothing is asked yet. Without a token the library's own."""
        from huggingface_hub import HfApi, constants

        # Set here, not by a variable: whoever imported the library first must not matter.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        self._wanted = wanted
        self._endpoint = constants.ENDPOINT
        self._api = HfApi(endpoint=self._endpoint, token=token)

    def listing(self) -> Listing:
        """Return the repository's files at the revision's commit."""
        with self._errors():
            info: Any = self._api.repo_info(self._wanted.repo, repo_type=self.kind,
                                       revision=self._wanted.revision, files_metadata=True,
                                       timeout=TIMEOUT_S)
        commit = str(info.sha or "")
        if not _COMMIT.fullmatch(commit):
            raise odd_answer(self._wanted, self._endpoint, "it names no commit")
        return Listing(commit, tuple(_remote_file(file) for file in info.siblings or []))

    def download(self, file: RemoteFile, commit: str, folder: Path, advance: Advance) -> Path:
        """Download one file; a partial one is gone on with."""
        with self._errors():
            return Path(self._api.hf_hub_download(
                self._wanted.repo, file.path, repo_type="dataset", revision=commit,
                local_dir=folder, tqdm_class=_bar(advance)))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the library raises into errors for people."""
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            yield
        except DatasetError:
            raise
        except OfflineModeIsEnabled:
            raise offline(self._wanted) from None
        except (_http_error(), OSError, ValueError) as error:
            known = next((e for e in (error, error.__cause__) if isinstance(e, HfHubHTTPError)
                          and getattr(e, "response", None) is not None), None)
            if known is not None:
                response: Any = known.response
                raise refused(self._wanted, int(response.status_code),
                              wait_s=str(response.headers.get("Retry-After", ""))) from None
            raise self._other(error) from None

    def _other(self, error: Exception) -> Exception:
        from huggingface_hub.errors import OfflineModeIsEnabled

        if isinstance(error.__cause__, OfflineModeIsEnabled):
            return offline(self._wanted)
        if isinstance(error, OSError) and error.errno:
            return error
        if "onsistency check" in str(error):
            return DatasetError("hub_damaged", "The download of "
                                f"'{self._wanted}' broke off: a file came in with another size "
                                "than was announced.", "Start it again; it goes on where it ended.")
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            return odd_answer(self._wanted, self._endpoint, str(error).split("\n")[0][:200])
        cause = error if isinstance(error, _http_error()) else error.__cause__ or error
        return unreachable(self._wanted, self._endpoint, type(cause).__name__)


def _http_error() -> type[Exception]:
    """Return the base of the errors of the library's own HTTP client, whichever that is."""
    from huggingface_hub import errors

    return errors.HTTPError  # type: ignore[attr-defined]


def _remote_file(file: Any) -> RemoteFile:
    """Make ours of the library's description of a file."""
    lfs = file.lfs or {}
    sha256 = lfs.get("sha256", "") if isinstance(lfs, dict) else getattr(lfs, "sha256", "")
    size = file.size if isinstance(file.size, int) else -1
    return RemoteFile(str(file.rfilename), size, str(sha256 or ""),
                      "" if sha256 else str(file.blob_id or ""))


def _bar(advance: Advance) -> type[Any]:
    """Return a progress bar for the library that draws nothing and tells ``advance``."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            initial = kwargs.get("initial") or 0
            kwargs["disable"] = True
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
            if initial:
                advance(int(initial))

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire; only those on the disk are counted."""

    return Bar


class HfCache:
    """What ``huggingface_hub`` and ``datasets`` have left of a repository in their cache."""

    def __init__(self, wanted: HubId) -> None:
        """Look at one repository's folder in the cache."""
        from huggingface_hub import constants

        self._wanted = wanted
        self._folder = (Path(constants.HF_HUB_CACHE) / f"datasets--{wanted.folder}").resolve()

    def commit(self) -> str:
        """Return the commit that the revision stands for in the cache, or ''."""
        revision = self._wanted.revision or "main"
        refs = self._folder / "refs"
        reference = (refs / revision).resolve()
        if reference.is_relative_to(refs) and reference.is_file():
            revision = reference.read_text(encoding="utf-8", errors="replace").strip()
        known = _COMMIT.fullmatch(revision) and (self._folder / "snapshots" / revision).is_dir()
        return revision if known else ""

    def listing(self) -> Listing:
        """Return the files that are in the cache, which need not be all of the repository's."""
        commit = self.commit()
        root = self._folder / "snapshots" / commit
        found = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return Listing(commit, tuple(RemoteFile(path.relative_to(root).as_posix(),
                                                path.stat().st_size) for path in found))

    def download(self, file: RemoteFile, commit: str, folder: Path, advance: Advance) -> Path:
        """Link or copy one file; the cache stays as it is."""
        source = (self._folder / "snapshots" / commit / file.path).resolve()
        if not source.is_relative_to(self._folder):
            raise DatasetError("hub_damaged", f"'{file.path}' leads out of the cache of "
                               f"'{self._wanted}'.", "Delete it from the cache.")
        target = folder / f"{len(list(folder.iterdir()))}-{Path(file.path).name[-100:]}"
        with suppress(OSError):
            os.link(source, target)
        if not target.exists():
            shutil.copyfile(source, target)
        advance(file.size)
        return target
