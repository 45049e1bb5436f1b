"""Models on hubs: which files there are, and where each is fetched.

The Hugging Face hub is asked at HF_ENDPOINT, ModelScope at MODELSCOPE_ENDPOINT, and no other place
(rule R6); HF_HUB_OFFLINE keeps both off the network. Only the files that a trainer reads are taken:
safetensors, tokenizer, configs, card and licence, of the repository's first level.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from trainer.contract.models import ModelError
from trainer.data import DatasetError
from trainer.data.catalog.hub_files import RemoteFile
from trainer.data.catalog.hub_hf import HfRemote
from trainer.data.catalog.hub_names import HubId, parse_hub_id
from trainer.data.catalog.hub_remote import Listing, refused, unreachable
from trainer.data.catalog.modelscope import MsRemote, allowed, file_of, listing_of

# What trainer.model fetches, and what says whose model it is.
WANTED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "README.md", "LICENSE*", "LICENCE*",
          "USE_POLICY.md")
UNWANTED = ("consolidated*", "*.bin.index.json", ".*")
_PAGES = (("", re.compile(r"https://(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)/?")),
          ("ms:", re.compile(r"https://(?:www\.)?modelscope\.(?:cn|ai)/models/([^/?#]+/[^/?#]+)"
                             r"(?:/.*)?")))
# The words of datasets' errors, as they are said of models.
_CODES = {"hub_data_offline": "model_offline", "hub_data_unreachable": "model_unreachable",
          "hub_access": "model_access", "hub_not_found": "model_not_found",
          "hub_busy": "model_busy", "hub_answer": "model_answer", "hub_id": "model_hub_name"}


@dataclass(frozen=True)
class Address:
    """Where one file is fetched, with the headers that let it in."""

    url: str
    headers: dict[str, str]


class ModelRemote(Protocol):
    """One model on a hub."""

    def listing(self) -> Listing:
        """Return its files at one commit; DatasetError when the hub does not give them."""
        ...

    def address(self, file: RemoteFile, commit: str) -> Address:
        """Return where one of them is fetched."""
        ...

    def refused(self, status: int, wait_s: str) -> DatasetError:
        """Return the error for an HTTP status."""
        ...

    def unreachable(self, why: str) -> DatasetError:
        """Return the error for a hub that does not answer."""
        ...


class _Refusing:
    """What is said of a model's hub that refuses a file, or does not answer."""

    _wanted: HubId
    _endpoint: str

    def refused(self, status: int, wait_s: str) -> DatasetError:
        """Return the error for an HTTP status."""
        return refused(self._wanted, status, wait_s=wait_s)

    def unreachable(self, why: str) -> DatasetError:
        """Return the error for a hub that does not answer."""
        return unreachable(self._wanted, self._endpoint, why)


class HfModel(_Refusing, HfRemote):
    """A model on the Hugging Face hub."""

    kind = "model"

    def __init__(self, wanted: HubId, token: str = "") -> None:
        """Look at one repository; nothing is asked yet."""
        from huggingface_hub import get_token

        self._token = token or get_token() or ""
        super().__init__(wanted, self._token or None)

    def address(self, file: RemoteFile, commit: str) -> Address:
        """Return where one file is fetched."""
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return Address(f"{self._endpoint}/{self._wanted.repo}/resolve/{commit}/"
                       f"{quote(file.path)}", token)


class MsModel(_Refusing, MsRemote):
    """A model on ModelScope."""

    def __init__(self, wanted: HubId) -> None:
        """Look at one repository; nothing is asked yet."""
        super().__init__(wanted)
        self._base = f"{self._endpoint}/api/v1/models/{wanted.repo}"

    def listing(self) -> Listing:
        """Return the repository's files; the commit is a hash of the list."""
        with self._client() as client:
            data = self._data(client, f"{self._base}/repo/files",
                              {"Revision": self._revision, "Recursive": "True"})
        items = data.get("Files")
        found = (file_of(item) for item in (items if isinstance(items, list) else [])
                 if isinstance(item, dict) and item.get("Type") != "tree")
        return listing_of(tuple(sorted(found, key=lambda file: file.path)))

    def address(self, file: RemoteFile, commit: str) -> Address:
        """Return where one file is fetched."""
        return Address(f"{self._base}/repo?Revision={quote(self._revision, safe='')}&FilePath="
                       f"{quote(file.path, safe='')}", allowed())


def remote_of(wanted: HubId, token: str = "") -> ModelRemote:
    """Return the model's hub, ready to be asked."""
    return MsModel(wanted) if wanted.hub == "ms" else HfModel(wanted, token)


def parse_model(text: str) -> HubId:
    """Return what a text names on a hub: ``owner/name[@revision]``, ``ms:owner/name``, a page.

    Raises:
        ModelError: It names none.
    """
    text = text.strip()
    for prefix, page in _PAGES:
        if found := page.fullmatch(text):
            text = prefix + found[1]
    found_id = parse_hub_id(text)
    if found_id is None:
        raise ModelError("model_hub_name", f"'{text[:200]}' is not the name of a model on a hub.",
                         "Such names are owner/name, owner/name@revision, or ms:owner/name for "
                         "ModelScope.")
    return found_id


def wanted_files(listing: Listing) -> list[RemoteFile]:
    """Return the files that are fetched, the small ones first.

    Raises:
        ModelError: The repository has no weights in safetensors, or no config.
    """
    kept = [file for file in listing.files if _is_wanted(file.path)]
    names = {file.path for file in kept}
    if not any(name.endswith(".safetensors") for name in names):
        has = next((file.path for file in listing.files if Path(file.path).suffix in (
            ".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5")), "")
        raise ModelError("model_no_weights", "This model has no weights in safetensors"
                         f"{f', only {has[:80]}' if has else ''}.",
                         "Choose one that has, or convert it elsewhere and name the folder.")
    if not names & {"config.json", "adapter_config.json"}:
        raise ModelError("model_no_config", "This repository has no config.json.",
                         "It holds no model in Hugging Face's layout; choose another.")
    return sorted(kept, key=lambda file: (file.path.endswith(".safetensors"), file.path))


def _is_wanted(path: str) -> bool:
    if "/" in path or "\\" in path or not path.isprintable():
        return False
    return any(fnmatchcase(path, pattern) for pattern in WANTED) and not any(
        fnmatchcase(path, pattern) for pattern in UNWANTED)


def as_model_error(error: DatasetError) -> ModelError:
    """Say of a model what a hub's error says of a dataset."""
    return ModelError(_CODES.get(error.code, error.code),
                      error.message.replace(" has no dataset '", " has no model '"), error.advice)
