"""A small server that answers as the Hugging Face hub's and as ModelScope's HTTP API do."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass
class Stub:
    """What the server holds and what it was asked.

    ``repos``: files by path, by "repo" or "repo@revision". ``failing``: a status for every
    address that holds a text. ``damaged``: paths that arrive with another content.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    failing: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    cut_after: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return (commit, files) of a repository at a branch, tag or commit."""
        for key in (f"{repo}@{revision}", repo):
            if key in self.repos:
                commit = self.commits.get(key, COMMIT)
                if key == repo and revision not in ("main", "master", "", commit):
                    continue
                return commit, self.repos[key]
        return next(((commit, self.repos[key]) for key, commit in self.commits.items()
                     if key.split("@")[0] == repo and commit == revision), None)

    def downloads(self) -> list[str]:
        """Return which files were asked for."""
        return [path for method, path, _ in self.asked if method == "GET"
                and ("/resolve/" in path or "FilePath=" in path)]


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _siblings(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Describe the files; those that end in .parquet are kept in LFS."""
    found = []
    for path, content in files.items():
        item: dict[str, Any] = {"rfilename": path, "size": len(content),
                                "blobId": git_sha1(content)}
        if path.endswith(".parquet"):
            item["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                           "pointerSize": 130}
            item["blobId"] = git_sha1(b"a pointer")
        found.append(item)
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.stub.asked.append((self.command, self.path, dict(self.headers)))
        for text, (status, headers) in self.stub.failing.items():
            if text in self.path:
                self._send(status, b"{}", headers)
                return
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if path.startswith("/api/v1/datasets/"):
            self._modelscope(path.removeprefix("/api/v1/datasets/"), query)
        elif "/tree/" in path:
            repo, _, revision = path.removeprefix("/api/datasets/").partition("/tree/")
            _, files = self.stub.files(repo, revision) or ("", {})
            self._json([{"type": "file", "path": item["rfilename"], "size": item["size"],
                         "oid": item["blobId"]} for item in _siblings(files)])
        elif path.startswith("/api/datasets/"):
            repo, _, revision = path.removeprefix("/api/datasets/").partition("/revision/")
            self._info(repo, revision or "main")
        elif path.startswith("/datasets/"):
            repo, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._file(repo, revision, name)
        else:
            self._send(404, b"{}")

    def _info(self, repo: str, revision: str) -> None:
        found = self.stub.files(repo, revision)
        if found is None:
            code = "RevisionNotFound" if repo in self.stub.repos else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": code})
            return
        commit, files = found
        self._json({"id": repo, "sha": commit, "siblings": _siblings(files), "private": False,
                    "downloads": 0, "likes": 0, "tags": []})

    def _file(self, repo: str, revision: str, name: str) -> None:
        found = self.stub.files(repo, revision)
        if found is None or name not in found[1]:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        commit, files = found
        etag = hashlib.sha256(files[name]).hexdigest() if name.endswith(".parquet") \
            else git_sha1(files[name])
        self._content(name, files[name], {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})

    def _content(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        if name in self.stub.damaged:
            content = bytes(byte ^ 1 for byte in content)
        start = 0
        if (asked := self.headers.get("Range", "")).startswith("bytes="):
            start = int(asked.removeprefix("bytes=").split("-")[0])
        body = content[start:]
        headers = {**headers, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.stub.cut_after.pop(name, None) if self.command == "GET" else None
        self._send(206 if start else 200, body, headers, cut)

    def _modelscope(self, path: str, query: dict[str, str]) -> None:
        if path.endswith("/repo/tree"):
            number = int(path.split("/")[0])
            self._tree(list(self.stub.repos)[number - 1], query)
        elif path.endswith("/repo"):
            found = self.stub.files(path.removesuffix("/repo"), query["Revision"])
            if found is None or query["FilePath"] not in found[1]:
                self._send(404, b"{}")
                return
            self._content(query["FilePath"], found[1][query["FilePath"]], {})
        elif path in self.stub.repos:
            self._json({"Code": 200, "Data": {"Id": list(self.stub.repos).index(path) + 1}})
        else:
            self._json({"Code": 10010205001, "Message": "not found", "Data": None}, 404)

    def _tree(self, repo: str, query: dict[str, str]) -> None:
        found = self.stub.files(repo, query["Revision"])
        if found is None:
            self._json({"Code": 404, "Message": "no such revision"}, 404)
            return
        root = query["Root"].strip("/")
        inside = {path: content for path, content in found[1].items()
                  if not root or path.startswith(f"{root}/")}
        items = [{"Path": path, "Type": "blob", "Size": len(content),
                  "Sha256": hashlib.sha256(content).hexdigest()}
                 for path, content in inside.items()]
        size, page = int(query["PageSize"]), int(query["PageNumber"])
        self._json({"Code": 200, "Data": {"Files": items[size * (page - 1):size * page]}})

    def _json(self, document: Any, status: int = 200) -> None:
        self._send(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None,
              cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave in the middle: they are meant to."""


_S = TypeVar("_S", bound=Stub)


def hub_stub() -> AbstractContextManager[Stub]:
    """Serve datasets on a free port of 127.0.0.1 until the block ends."""
    return serving(Stub(), _Handler)


@contextmanager
def serving(stub: _S, kind: type[_Handler]) -> Iterator[_S]:
    """Answer as a kind of handler does on a free port of 127.0.0.1 until the block ends."""
    handler = type("Handler", (kind,), {"stub": stub})
    with _Server(("127.0.0.1", 0), handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
