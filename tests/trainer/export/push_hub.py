"""A small server that takes a model as the Hugging Face hub does: create, LFS, commit."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.app.models_hub import _Models, _sibling
from tests.trainer.data.hub_stub import Stub, serving

TOKEN = "hf_" + "aTokenThatWrites"


@dataclass
class Taking(Stub):
    """What the server took.

    ``objects``: content by SHA-256, there before any commit shows it. ``public``: repositories
    that everybody sees. ``warnings``: of README.md. ``cut``: how many uploads break off.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    cut: int = 0
    made: int = 0

    def count(self, part: str) -> int:
        """Return how many addresses with this part were asked to take something."""
        return sum(method != "GET" and part in path for method, path, _ in self.asked)


class _Taker(_Models):
    stub: Taking

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def _take(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.stub.asked.append((self.command, self.path, dict(self.headers)))
        body = self._body()
        for text, (status, headers) in self.stub.failing.items():
            if text in self.path:
                self._send(status, b"{}", headers)
                return
        if path.startswith("/upload/"):
            self._upload(path.removeprefix("/upload/"), body)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": [{"message": one} for one in
                                                   self.stub.warnings]})
        elif path.endswith("/preupload/main"):
            self._modes(path.split("/preupload/")[0].removeprefix("/api/models/"),
                        json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path == "/verify":
            known = json.loads(body)["oid"] in self.stub.objects
            self._json({}, 200 if known else 404)
        elif path.endswith("/commit/main"):
            self._commit(path.split("/commit/")[0].removeprefix("/api/models/"), body)
        else:
            self._json({}, 404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return parts
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _create(self, wish: dict[str, Any]) -> None:
        repo = f"{wish['organization']}/{wish['name']}"
        if not wish["organization"].startswith("me"):
            self._json({"error": f"You don't have the rights, token {TOKEN}"}, 403)
            return
        if repo in self.stub.repos:
            self._json({"error": "You already created this model repo"}, 409)
            return
        self.stub.repos[repo] = {".gitattributes": b"*.safetensors filter=lfs\n"}
        if wish.get("private") is not True and wish.get("visibility") != "private":
            self.stub.public.add(repo)
        self._json({"url": f"{self.stub.url}/{repo}"})

    def _describe(self, repo: str, revision: str) -> None:
        found = self.stub.repos.get(repo)
        if found is None or self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        self._json({"id": repo, "modelId": repo, "sha": f"{self.stub.made:040x}", "tags": [],
                    "private": repo not in self.stub.public, "downloads": 0, "likes": 0,
                    "siblings": [_sibling(*one) for one in found.items()]})

    def _modes(self, repo: str, wish: dict[str, Any]) -> None:
        there = {path: _sibling(path, content)
                 for path, content in self.stub.repos[repo].items()}

        def oid(path: str) -> str | None:
            one = there.get(path)
            return (one.get("lfs") or {}).get("sha256", one["blobId"]) if one else None

        self._json({"files": [
            {"path": one["path"], "shouldIgnore": False, "oid": oid(one["path"]),
             "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular"}
            for one in wish["files"]]})

    def _batch(self, wish: dict[str, Any]) -> None:
        def answer(one: dict[str, Any]) -> dict[str, Any]:
            if one["oid"] in self.stub.objects:
                return one
            return {**one, "actions": {"upload": {"href": f"{self.stub.url}/upload/{one['oid']}"},
                                       "verify": {"href": f"{self.stub.url}/verify"}}}

        self._json({"transfer": "basic", "objects": [answer(one) for one in wish["objects"]]})

    def _upload(self, oid: str, body: bytes) -> None:
        if self.stub.cut:
            self.stub.cut -= 1
            self.close_connection = True
            return
        assert hashlib.sha256(body).hexdigest() == oid
        self.stub.objects[oid] = body
        self._json({})

    def _commit(self, repo: str, body: bytes) -> None:
        for line in body.decode().splitlines():
            kind, value = json.loads(line)["key"], json.loads(line)["value"]
            if kind == "file":
                self.stub.repos[repo][value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                self.stub.repos[repo][value["path"]] = self.stub.objects[value["oid"]]
        self.stub.made += 1
        oid = f"{self.stub.made:040x}"
        self._json({"commitUrl": f"{self.stub.url}/{repo}/commit/{oid}", "commitOid": oid,
                    "pullRequestUrl": None})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None,
              cut: int | None = None) -> None:
        super()._send(status, body, headers, cut)
        if self.command in {"POST", "PUT"}:
            self.wfile.write(body)


def taking_hub() -> AbstractContextManager[Taking]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    return serving(Taking(), _Taker)
