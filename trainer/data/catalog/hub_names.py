"""Names of datasets on a hub: ``owner/name``, ``owner/name@revision``, ``ms:owner/name``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trainer.data.reading.rows import DatasetError

Hub = Literal["hf", "ms"]
TITLES: dict[Hub, str] = {"hf": "The Hugging Face hub", "ms": "ModelScope"}
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(rf"(?:{_PART}/)?{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,127}")
_PAGES = (("hf", re.compile(r"https://(?:huggingface\.co|hf\.co)/datasets/([^?#]+?)/?")),
          ("ms", re.compile(r"https://(?:www\.)?modelscope\.(?:cn|ai)/datasets/([^?#]+?)/?")))


@dataclass(frozen=True)
class HubId:
    """A dataset on a hub. ``revision`` is a branch, tag or commit; None the hub's default."""

    hub: Hub
    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return the id as it is typed."""
        prefix = "ms:" if self.hub == "ms" else ""
        return f"{prefix}{self.repo}{f'@{self.revision}' if self.revision else ''}"

    @property
    def folder(self) -> str:
        """A name for a folder: ``owner--name``; DatasetError for a name that no hub gives."""
        if not _fine_repo(self.repo):
            raise _bad_id(str(self))
        return self.repo.replace("/", "--")


def parse_hub_id(text: str) -> HubId | None:
    """Return what a text names on a hub, or None when it is no hub id.

    Understood are ``owner/name``, ``hf:owner/name``, ``ms:owner/name``, each also with
    ``@revision``, and the address of a dataset's page.
    """
    hub, rest = _hub_of(text.strip())
    repo, at, revision = rest.partition("@")
    if repo.count("/") != 1 or (at and not _fine_revision(revision)) or not _fine_repo(repo):
        return None
    return HubId(hub, repo, revision or None)


def entry_hub_id(hub: Hub, text: str, revision: str | None) -> HubId:
    """Return the id that a registry's ``hf_hub_url`` or ``ms_hub_url`` names.

    Raises:
        DatasetError: It is not one (code ``hub_id``).
    """
    found = parse_hub_id(text) or HubId(hub, text.strip())
    revision = revision or found.revision
    if not _fine_repo(found.repo) or (revision and not _fine_revision(revision)):
        raise _bad_id(f"{text}{f'@{revision}' if revision else ''}")
    return HubId(hub, found.repo, revision)


def _bad_id(text: str) -> DatasetError:
    return DatasetError("hub_id", f"'{text[:200]}' is not the name of a dataset on a hub.",
                        "Such names are owner/name, or owner/name@revision.")


def _hub_of(text: str) -> tuple[Hub, str]:
    for hub, page in _PAGES:
        if found := page.fullmatch(text):
            parts = found[1].split("/")
            at = f"@{'/'.join(parts[3:])}" if parts[2:3] == ["tree"] and parts[3:] else ""
            return ("ms" if hub == "ms" else "hf"), "/".join(parts[:2]) + at
    if text.startswith("ms:"):
        return "ms", text[3:]
    return "hf", text.removeprefix("hf:")


def _fine_repo(repo: str) -> bool:
    return bool(_REPO.fullmatch(repo)) and ".." not in repo and "--" not in repo


def _fine_revision(revision: str) -> bool:
    return bool(_REVISION.fullmatch(revision)) and ".." not in revision
