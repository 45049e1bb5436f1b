"""A small server that answers as the hubs do for models, on top of the one for datasets."""

from __future__ import annotations

import hashlib
import json
import struct
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.trainer.data.hub_stub import Stub, _Handler, git_sha1, serving


def safetensors(bytes_of_weights: int = 4096) -> bytes:
    """A whole safetensors file with one linear layer of bf16."""
    rows = bytes_of_weights // 2 // 64
    header = json.dumps({"model.layers.0.self_attn.q_proj.weight": {
        "dtype": "BF16", "shape": [rows, 64], "data_offsets": [0, rows * 128]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(256)) * (rows * 128 // 256)


def a_model(weights: int = 4096) -> dict[str, bytes]:
    """The files of a small model, and some that are not fetched."""
    return {"README.md": b"---\nlicense: mit\n---\n# A model\n",
            "config.json": json.dumps({"model_type": "qwen3", "hidden_size": 64,
                                       "num_hidden_layers": 1}).encode(),
            "tokenizer.json": b"{}", "tokenizer_config.json": b'{"chat_template": "{{ x }}"}',
            "model.safetensors": safetensors(weights), "pytorch_model.bin": b"no",
            "original/model.safetensors": b"no", "modeling_x.py": b"no", ".gitattributes": b"x"}


def write_model(folder: Path, **changes: bytes) -> Path:
    """Write a small model into a folder."""
    folder.mkdir(parents=True)
    kept = {name: content for name, content in {**a_model(), **changes}.items()
            if "/" not in name and not name.endswith((".bin", ".py"))}
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    return folder


class _Models(_Handler):
    """Takes the addresses of models; a repository ``...-whole`` never sends a part of a file."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.stub.asked.append((self.command, self.path, dict(self.headers)))
        for text, (status, headers) in self.stub.failing.items():
            if text in self.path:
                self._send(status, b"{}", headers)
                return
        if path.startswith("/api/v1/models/"):
            self._modelscope_model(path.removeprefix("/api/v1/models/"), query)
        elif path.startswith("/api/models/"):
            repo, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._describe(repo, revision or "main")
        elif "/resolve/" in path:
            repo, _, rest = path.strip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            if repo.endswith("-whole"):
                del self.headers["Range"]
            self._file(repo, revision, name)
        else:
            self._send(404, b"{}")

    def _describe(self, repo: str, revision: str) -> None:
        found = self.stub.files(repo, revision)
        if found is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        commit, files = found
        self._json({"id": repo, "modelId": repo, "sha": commit, "private": False, "tags": [],
                    "downloads": 0, "likes": 0, "siblings": [_sibling(*one)
                                                            for one in files.items()]})

    def _modelscope_model(self, path: str, query: dict[str, str]) -> None:
        repo, _, what = path.partition("/repo")
        found = self.stub.files(repo, query.get("Revision", "master"))
        if found is None:
            self._json({"Code": 10010205001, "Message": "not found", "Data": None}, 404)
        elif what == "/files":
            self._json({"Code": 200, "Data": {"Files": [
                {"Path": name, "Type": "blob", "Size": len(content),
                 "Sha256": hashlib.sha256(content).hexdigest()}
                for name, content in found[1].items()]}})
        else:
            self._content(query["FilePath"], found[1][query["FilePath"]], {})


def _sibling(path: str, content: bytes) -> dict[str, Any]:
    if not path.endswith(".safetensors"):
        return {"rfilename": path, "size": len(content), "blobId": git_sha1(content)}
    return {"rfilename": path, "size": len(content), "blobId": git_sha1(b"a pointer"),
            "lfs": {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                    "pointerSize": 130}}


def model_hub() -> AbstractContextManager[Stub]:
    """Serve models on a free port of 127.0.0.1 until the block ends."""
    return serving(Stub(), _Models)
