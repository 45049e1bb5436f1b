"""A finished export as a repository on a hub, through huggingface_hub.

The hub is the one that HF_ENDPOINT names, and no other place is asked (rule R6). Repositories are
private unless somebody asks for a public one. Weights are sent one file after the other and by
hash, so that a push that broke off goes on with what is missing; the commit comes last.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.redact import known_secrets, redact
from trainer.export.errors import Cancel, ExportError, Progress
from trainer.export.push_files import Sent, files_to_send, missing_papers, sha256_of
from trainer.export.report import Report

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
# What a hub puts into every repository by itself.
_OF_THE_HUB = {".gitattributes"}
_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class PushReport(Report):
    """What was sent.

    Attributes:
        url: The repository's page.
        commit: The commit that has it.
    """

    url: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Place:
    """Where an export goes.

    Attributes:
        repo: 'owner/name'.
        token: Lets in; by default the one that huggingface_hub finds (HF_TOKEN).
        private: Whether only its owner sees it.
        existing: Whether it may be added to a repository that holds something else.
        message: Of the commit.
    """

    repo: str
    token: str = ""
    private: bool = True
    existing: bool = False
    message: str = "Exported by Finestra"

    def __repr__(self) -> str:
        """Tell everything but the token."""
        return f"Place(repo={self.repo!r}, private={self.private}, existing={self.existing})"


def push_to_hub(folder: Path, place: Place, *, progress: Progress | None = None,
                cancelled: Cancel | None = None) -> PushReport:
    """Send a finished export to a hub.

    Args:
        folder: The export.
        place: The repository; it is made when it is not there.
        progress: Told after each file.
        cancelled: Asked before each file and before the commit.

    Raises:
        ExportError: As ``push_files.files_to_send``; the name is none ('push_name'), there is no
            token ('push_no_token'), the hub does not know it (401, 'push_token') or does not let
            it write (403, 'push_forbidden'), the repository holds something else ('push_exists')
            or is public although it should be private ('push_public'), it is refused
            ('push_refused'), the hub is in trouble ('push_busy'), does not answer
            ('push_unreachable') or may not be asked ('push_offline'), or 'cancelled'. The
            repository has no part of the export then; files that came in whole are not sent again.
    """
    files = files_to_send(folder)
    if not _NAME.fullmatch(place.repo) or ".." in place.repo or "--" in place.repo \
            or place.repo.endswith((".git", ".", "-")):
        raise ExportError("push_name", f"'{place.repo[:200]}' is no name of a repository.",
                          "Write owner/name with letters, digits, '-', '_' and '.', such as "
                          "your-name/my-model.")
    hub = _Hub(place)
    with hub.errors():
        notes = hub.make(files)
        hub.send(files, _Steps(files, progress, cancelled))
        commit = hub.commit(files, cancelled)
    return PushReport(folder, sum(file.size for file in files),
                      [*notes, *hub.notes, *missing_papers(folder)], commit.url, commit.oid)


@dataclass(frozen=True)
class _Commit:
    url: str
    oid: str


class _Steps:
    """Asks whether to go on, and tells how far it is."""

    def __init__(self, files: list[Sent], progress: Progress | None,
                 cancelled: Cancel | None) -> None:
        self._total, self._done = sum(file.size for file in files), 0
        self._progress, self._cancelled = progress, cancelled

    def before(self) -> None:
        _require_wanted(self._cancelled)

    def after(self, file: Sent) -> None:
        self._done += file.size
        if self._progress:
            self._progress(self._done, self._total, file.name)


class _Hub:
    """One repository on the hub, through the library's own client."""

    def __init__(self, place: Place) -> None:
        from huggingface_hub import HfApi, constants, get_token

        constants.HF_HUB_DISABLE_TELEMETRY = True
        self.endpoint: str = constants.ENDPOINT
        if constants.HF_HUB_OFFLINE:
            raise ExportError("push_offline", "HF_HUB_OFFLINE keeps this program off the network.",
                              "Unset it, or copy the export to a folder.")
        token = place.token or get_token() or ""
        if not token:
            raise ExportError("push_no_token", "Sending to a hub needs your token, and there is "
                              "none.", "Make one that may write in the hub's settings, and put it "
                              "into HF_TOKEN.")
        if self.endpoint != "https://huggingface.co":
            # Xet is that hub's own way of storing; others speak Git LFS.
            constants.HF_HUB_DISABLE_XET = True
        self._place, self._token = place, token
        self._api = HfApi(endpoint=self.endpoint, token=token)
        self._ready: dict[str, Any] = {}
        self.notes: list[str] = []

    def make(self, files: list[Sent]) -> list[str]:
        """Make the repository, or check that the one there may be added to."""
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self._api.create_repo(self._place.repo, private=self._place.private)
            is_new = True
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code != 409:
                raise
            is_new = False
        info = self._api.model_info(self._place.repo, files_metadata=True, timeout=_TIMEOUT_S)
        if self._place.private and not info.private:
            raise ExportError("push_public", f"'{self._place.repo}' is public, and this was to "
                              "stay private. Nothing was sent.", "Make the repository private, or "
                              "ask for a public one.")
        if is_new:
            return []
        self._require_free(files, info.siblings or [])
        return [f"'{self._place.repo}' was there already."]

    def _require_free(self, files: list[Sent], there: list[Any]) -> None:
        """Refuse a repository with other files than those that are sent."""
        mine = {file.name: file for file in files}
        odd = next((one.rfilename for one in there if one.rfilename not in _OF_THE_HUB
                    and not _is_same(mine.get(one.rfilename), one)), None)
        if odd and not self._place.existing:
            raise ExportError("push_exists", f"'{self._place.repo}' is there already and holds "
                              f"something else ('{self._plain(odd)[:80]}'). Nothing was sent.",
                              "Choose another name, or allow that it is added to what is there.")

    def send(self, files: list[Sent], steps: _Steps) -> None:
        """Send the content of large files; small ones go with the commit."""
        from huggingface_hub import CommitOperationAdd

        for file in files:
            steps.before()
            one = CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file.path)
            with self._heard():
                self._api.preupload_lfs_files(self._place.repo, [one], num_threads=1,
                                              free_memory=False)
            self._ready[file.name] = one
            steps.after(file)

    def commit(self, files: list[Sent], cancelled: Cancel | None) -> _Commit:
        """Make what was sent visible, all at once."""
        _require_wanted(cancelled)
        with self._heard():
            made = self._api.create_commit(self._place.repo, list(self._ready.values()),
                                           commit_message=self._place.message, num_threads=1)
        return _Commit(f"{self.endpoint}/{self._place.repo}", str(made.oid))

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Keep what the hub warns of; the library's warnings about itself are nobody's business."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
        self.notes += [self._plain(str(one.message)) for one in said
                       if "README.md" in str(one.message)]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the library raises into errors for people; draw no bars."""
        from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
        from huggingface_hub.utils import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )

        drew = not are_progress_bars_disabled()
        disable_progress_bars()
        try:
            yield
        except ExportError:
            raise
        except (HTTPError, OSError, RuntimeError, ValueError) as error:
            known = next((e for e in (error, error.__cause__) if isinstance(e, HfHubHTTPError)
                          and getattr(e, "response", None) is not None), None)
            if known is not None:
                raise self._refused(known) from None
            raise self._other(error) from None
        finally:
            if drew:
                enable_progress_bars()

    def _refused(self, error: Any) -> ExportError:
        status, repo = int(error.response.status_code), self._place.repo
        said = self._plain(str(getattr(error, "server_message", "") or ""))
        because = f": {said[:300]}" if said else "."
        if status == 401:
            return ExportError("push_token", f"The hub at {self.endpoint} does not know your "
                               "token.", "Make a new one in the hub's settings, and put it into "
                               "HF_TOKEN.")
        if status in (402, 403):
            return ExportError("push_forbidden", f"Your token may not write to '{repo}'{because}",
                               "Use a token with the right to write, and a name of your own or of "
                               "an organisation that lets you.")
        if status == 429 or status >= 500:
            return ExportError("push_busy", f"The hub at {self.endpoint} is in trouble (HTTP "
                               f"{status}).", "Try again in a few minutes; what came in whole is "
                               "not sent again.")
        return ExportError("push_refused", f"The hub at {self.endpoint} refuses '{repo}' (HTTP "
                           f"{status}){because}", "Check the name, and what the hub says.")

    def _other(self, error: Exception) -> Exception:
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

        if isinstance(error, OSError) and error.errno and error.filename:
            return error
        cause = next((e for e in (error.__cause__, error) if isinstance(e, HTTPError | OSError)),
                     None)
        if cause is None:
            return ExportError("push_refused", f"{self.endpoint} does not take it: "
                               f"{self._plain(str(error))[:300]}",
                               "Check the endpoint in HF_ENDPOINT, and the head of README.md.")
        return ExportError("push_unreachable", f"The hub does not answer at {self.endpoint} "
                           f"({type(cause).__name__}).", "Check the network and HF_ENDPOINT, then "
                           "push again: what came in whole is not sent again.")

    def _plain(self, text: str) -> str:
        """Return a text of the hub's as one line without secrets."""
        return " ".join(redact(text, [*known_secrets(), self._token]).split())


def _is_same(file: Sent | None, there: Any) -> bool:
    """Say whether a file on the hub is the one that is sent, by hash."""
    if file is None or file.size != there.size:
        return False
    if there.lfs:
        return sha256_of(file.path) == there.lfs.sha256
    blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    blob.update(file.path.read_bytes())
    return blob.hexdigest() == there.blob_id


def _require_wanted(cancelled: Cancel | None) -> None:
    if cancelled is not None and cancelled():
        raise ExportError("cancelled", "The push was cancelled. The repository shows nothing of "
                          "it.", "Push again to go on: what came in whole is not sent again.")
