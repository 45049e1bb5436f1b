"""What every hub can be asked, and the errors that every hub can answer with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainer.data.catalog.hub_files import RemoteFile
from trainer.data.catalog.hub_names import TITLES, HubId
from trainer.data.reading.rows import DatasetError

UNREACHABLE = ("hub_data_offline", "hub_data_unreachable", "hub_busy")
_TOKENS = {"hf": "HF_TOKEN", "ms": "MODELSCOPE_API_TOKEN"}
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit."""

    commit: str
    files: tuple[RemoteFile, ...]


class Remote(Protocol):
    """One repository, there or in another program's cache."""

    def listing(self) -> Listing:
        """Return what it holds."""
        ...

    def download(self, file: RemoteFile, commit: str, folder: Path, advance: Advance) -> Path:
        """Bring one file into a folder and return where it lies there.

        ``advance`` is told how many bytes have come since the last time; what it raises ends the
        download.
        """
        ...


def check_cancelled(cancel: threading.Event | None) -> None:
    """Raise DatasetError('cancelled') when somebody has asked for the end."""
    if cancel is not None and cancel.is_set():
        raise DatasetError("cancelled", "The download was cancelled.",
                           "What came in whole is kept: started again, it goes on from there.")


def offline(wanted: HubId) -> DatasetError:
    """Return the error for a dataset that is not here while the network may not be used."""
    return DatasetError("hub_data_offline", f"'{wanted}' is not on this machine, and "
                        "HF_HUB_OFFLINE keeps this program off the network.",
                        "Unset HF_HUB_OFFLINE, or name files that are here.")


def unreachable(wanted: HubId, endpoint: str, why: str) -> DatasetError:
    """Return the error for a hub that does not answer."""
    return DatasetError("hub_data_unreachable", f"{TITLES[wanted.hub]} does not answer at "
                        f"{endpoint} ({why}), and '{wanted}' is not on this machine.",
                        "Check the network, or name a mirror in "
                        f"{'HF_ENDPOINT' if wanted.hub == 'hf' else 'MODELSCOPE_ENDPOINT'}. What "
                        "has been fetched before works offline.")


def refused(wanted: HubId, status: int, *, wait_s: str = "") -> DatasetError:
    """Return the error for an answer that is an HTTP error."""
    title = TITLES[wanted.hub]
    if status in (401, 403):
        return DatasetError("hub_access", f"{title} does not give '{wanted}' to you: it is gated "
                            "or private, or does not exist.",
                            f"Accept its terms on its page, and put your token into "
                            f"{_TOKENS[wanted.hub]}.")
    if status == 404:
        return DatasetError("hub_not_found", f"{title} has no dataset '{wanted.repo}'"
                            f"{f' at {wanted.revision}' if wanted.revision else ''}.",
                            "Check the name. A private one needs your token in "
                            f"{_TOKENS[wanted.hub]}.")
    if status == 429 or status >= 500:
        what = "asks for fewer requests" if status == 429 else "is in trouble"
        when = f"in {wait_s} s" if wait_s.isdecimal() else "in a few minutes"
        return DatasetError("hub_busy", f"{title} {what} (HTTP {status}).", f"Try again {when}.")
    return DatasetError("hub_answer", f"{title} answered HTTP {status} for '{wanted}'.",
                        "Check the name and the endpoint.")


def odd_answer(wanted: HubId, endpoint: str, why: str) -> DatasetError:
    """Return the error for an answer that is not one of a hub."""
    title = TITLES[wanted.hub].replace("The ", "the ")
    return DatasetError("hub_answer", f"{endpoint} does not answer as {title} does: {why}.",
                        "Check the endpoint, and whether a proxy is in between.")
