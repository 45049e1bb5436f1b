"""ModelScope's datasets through its HTTP API.

``MODELSCOPE_ENDPOINT`` (or ``MODELSCOPE_DOMAIN``, as its own client has it) names a mirror,
``MODELSCOPE_API_TOKEN`` lets private datasets in. HF_HUB_OFFLINE keeps this off the network too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    import ssl

    import httpx

DEFAULT_DOMAIN = "www.modelscope.cn"
DEFAULT_REVISION = "master"
PAGE = 200
MAX_FILES = 100_000


def endpoint() -> str:
    """Return where ModelScope is asked."""
    domain = os.environ.get("MODELSCOPE_DOMAIN") or DEFAULT_DOMAIN
    return (os.environ.get("MODELSCOPE_ENDPOINT") or f"https://{domain}").rstrip("/")


def allowed() -> dict[str, str]:
    """Return the headers that let private repositories in."""
    token = os.environ.get("MODELSCOPE_API_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}",
            "Cookie": f"m_session_id={token}"} if token else {}


def _is_offline() -> bool:
    return (os.environ.get("HF_HUB_OFFLINE") or "0").upper() in ("1", "ON", "YES", "TRUE")


class MsRemote:
    """One dataset on ModelScope."""

    def __init__(self, wanted: HubId) -> None:
        """Look at one repository; nothing is asked yet."""
        self._wanted, self._endpoint = wanted, endpoint()
        self._revision = wanted.revision or DEFAULT_REVISION
        self._base = f"{self._endpoint}/api/v1/datasets/{wanted.repo}"

    def listing(self) -> Listing:
        """Return the repository's files; the commit is a hash of the list."""
        with self._client() as client:
            info = self._data(client, self._base, {})
            number = str(info.get("Id") or "")
            tree = f"{self._endpoint}/api/v1/datasets/{number}/repo/tree" if number.isalnum() \
                else f"{self._base}/repo/tree"
            files = tuple(sorted(self._files(client, tree), key=lambda file: file.path))
        return listing_of(files)

    def _files(self, client: httpx.Client, tree: str) -> Iterator[RemoteFile]:
        """Walk the pages of the list; a folder that came without its files is asked for."""
        waiting, seen, count = ["/"], {"/"}, 0
        while waiting:
            items = list(self._pages(client, tree, waiting.pop()))
            for item in items:
                path = str(item.get("Path") or "").lstrip("/")
                if item.get("Type") != "tree":
                    count += 1
                    yield file_of(item)
                elif path not in seen and not any(
                        str(other.get("Path") or "").lstrip("/").startswith(f"{path}/")
                        for other in items):
                    seen.add(path)
                    waiting.append(path)
            if count > MAX_FILES:
                raise odd_answer(self._wanted, self._endpoint, f"more than {MAX_FILES:,} files")

    def _pages(self, client: httpx.Client, tree: str, root: str) -> Iterator[dict[str, Any]]:
        for page in range(1, MAX_FILES // PAGE + 2):
            data = self._data(client, tree, {
                "Revision": self._revision, "Root": root, "Recursive": "True",
                "PageNumber": str(page), "PageSize": str(PAGE)})
            found = data.get("Files")
            items = [item for item in (found if isinstance(found, list) else [])
                     if isinstance(item, dict)]
            yield from items
            if len(items) < PAGE:
                return

    def download(self, file: RemoteFile, commit: str, folder: Path, advance: Advance) -> Path:
        """Download one file; a partial one is gone on with."""
        name = hashlib.sha256(f"{commit}/{file.path}".encode()).hexdigest()[:32]
        path = folder / f"{name}.incomplete"
        have = path.stat().st_size if path.exists() else 0
        if file.size == have > 0:
            advance(have)
            return path
        headers = {"Range": f"bytes={have}-"} if have else {}
        query = {"Source": "SDK", "Revision": self._revision, "FilePath": file.path,
                 "View": "False"}
        with self._client() as client, client.stream("GET", f"{self._base}/repo", params=query,
                                                     headers=headers) as answer:
            self._check(answer)
            again = answer.status_code == 206
            advance(have if again else 0)
            with path.open("ab" if again else "wb") as out:
                for block in answer.iter_bytes():
                    out.write(block)
                    advance(len(block))
        return path

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        """Read once: hundreds of files are hundreds of clients."""
        import httpx

        return httpx.create_ssl_context()

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        """Open a client; what it raises becomes an error for people."""
        import httpx

        if _is_offline():
            raise offline(self._wanted)
        headers = {"User-Agent": "finestra", "Accept-Encoding": "identity", **allowed()}
        try:
            with httpx.Client(headers=headers, timeout=30, follow_redirects=True,
                              max_redirects=5, verify=self._certificates) as client:
                yield client
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(self._wanted, self._endpoint, type(error).__name__) from None

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code >= 400:
            raise refused(self._wanted, answer.status_code,
                          wait_s=answer.headers.get("Retry-After", ""))

    def _data(self, client: httpx.Client, url: str, query: dict[str, str]) -> dict[str, Any]:
        """Return 'Data' of an answer; its own code counts as the status where it has one."""
        answer = client.get(url, params=query)
        self._check(answer)
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise odd_answer(self._wanted, self._endpoint, "it is not JSON")
        code = document.get("Code")
        if isinstance(code, int) and code not in (0, 200):
            raise refused(self._wanted, code if 400 <= code < 600 else 404)
        data = document.get("Data")
        return data if isinstance(data, dict) else {}


def listing_of(files: tuple[RemoteFile, ...]) -> Listing:
    """Return a list of files with a hash of it for its commit, which ModelScope names none of."""
    text = json.dumps([[file.path, file.size, file.sha256] for file in files])
    return Listing(f"list-{hashlib.sha256(text.encode()).hexdigest()[:40]}", files)


def file_of(item: dict[str, Any]) -> RemoteFile:
    """Make ours of ModelScope's description of a file."""
    size = item.get("Size")
    return RemoteFile(str(item.get("Path") or "").lstrip("/"),
                      size if isinstance(size, int) and size >= 0 else -1,
                      str(item.get("Sha256") or ""))
