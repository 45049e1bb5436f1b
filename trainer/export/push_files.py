"""Which files of an export are given away, and copying them into another folder.

Only kinds of files that an export has are ever sent; what could run code (pickles, scripts) or lies
elsewhere (links) is refused, and so is a text that holds a known secret.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from trainer.contract.redact import known_secrets
from trainer.export.card import read_licence
from trainer.export.errors import Cancel, ExportError, Progress, require_wanted
from trainer.export.report import Report, require_absent, require_space, whole_folder

_WEIGHTS = ("*.safetensors", "*.gguf", "*.onnx", "*.onnx_data", "*.onnx.data", "tokenizer.model")
_TEXTS = ("*.json", "*.jinja", "*.txt", "*.md", "*.yaml", "*.yml", "Modelfile*", "LICEN[CS]E*",
          "NOTICE*", "USE_POLICY*")
# Pickle's first byte from protocol 2 on, and a zip's, which is what torch.save writes.
_PICKLED = (b"\x80", b"PK\x03\x04")
# A line of the deployment folder's .env that gives a key; its own names versions and folders.
_KEY = re.compile(rb"(?im)^\s*(?:export\s+)?\w*(?:key|token|secret|passw\w*)\s*=\s*\S")
_LARGEST_TEXT = 100_000_000
_SLICE = 1 << 22


@dataclass(frozen=True)
class Sent:
    """One file of an export: where it lies, its name below the folder, its size."""

    path: Path
    name: str
    size: int


def files_to_send(folder: Path) -> list[Sent]:
    """Return the files of a finished export, the small ones first.

    Raises:
        ExportError: The folder is none or not finished ('push_unfinished'), it has a link
            ('push_link'), a file that is no part of an export or may run code ('push_file'), or
            a text that holds a secret ('push_secret').
    """
    if not folder.is_dir() or folder.name.endswith(".partial"):
        raise ExportError("push_unfinished", f"'{folder.name}' is no finished export.",
                          "Wait until it is whole, or export it again.")
    found: list[Sent] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ExportError("push_link", f"'{name}' is a link to somewhere else.",
                              "Put the file itself there, or delete the link.")
        if not path.is_dir():
            _check(path, name)
            found.append(Sent(path, name, path.stat().st_size))
    if not any(_is(file.path, _WEIGHTS) for file in found):
        raise ExportError("push_unfinished", f"'{folder.name}' has no weights.",
                          "Choose the folder of a finished export.")
    return sorted(found, key=lambda file: (_is(file.path, _WEIGHTS), file.name))


def _check(path: Path, name: str) -> None:
    """Refuse a file that is not given away."""
    known_env = path.name == ".env" and (path.parent / "compose.yaml").is_file()
    hidden = any(part.startswith(".") for part in Path(name).parts) and not known_env
    if hidden or not path.is_file() or not (known_env or _is(path, (*_WEIGHTS, *_TEXTS))):
        raise ExportError("push_file", f"'{name}' is no file of an export: nothing that may run "
                          "code or is hidden is given away.", "Move it out of the folder.")
    with path.open("rb") as file:
        head = file.read(4)
    # A safetensors file begins with the length of its header, which may be any byte.
    if not _is(path, ("*.safetensors",)) and head.startswith(_PICKLED):
        raise ExportError("push_file", f"'{name}' is a pickle or an archive, whatever its name "
                          "says.", "Move it out of the folder.")
    if not _is(path, _WEIGHTS) and path.stat().st_size <= _LARGEST_TEXT:
        content = path.read_bytes()
        if (known_env and _KEY.search(content)) or any(
                secret.encode() in content for secret in known_secrets() if len(secret) >= 8):
            raise ExportError("push_secret", f"'{name}' holds one of your keys or tokens.",
                              "Take it out of the file, and consider the key as lost.")


def _is(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path.name, pattern) for pattern in patterns)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing_papers(folder: Path) -> list[str]:
    """Return what a reader of the model will miss: its card, its licence."""
    notes = []
    cards = [path.parent for path in folder.rglob("README.md")
             if not (path.parent / "compose.yaml").is_file()]
    if not cards:
        notes.append("There is no model card (README.md): nobody will know what this is.")
    if not any(read_licence(card) for card in cards) and not any(folder.rglob("LICEN[CS]E*")):
        notes.append("Neither the model card nor a LICENSE file names a licence: find out the "
                     "base's terms before you pass this on.")
    return notes


def push_to_folder(folder: Path, target: Path, *, progress: Progress | None = None,
                   cancelled: Cancel | None = None) -> Report:
    """Copy a finished export to another folder or disk; each copy is read again and compared.

    Args:
        folder: The export.
        target: The folder to end up in; it must not exist.
        progress: Told after each slice.
        cancelled: Asked before each slice.

    Raises:
        ExportError: As ``files_to_send``; a copy is not what was read ('copy_damaged'),
            'target_exists', 'disk_full' or 'cancelled'. Nothing is left behind.
        OSError: It cannot be written.
    """
    files = files_to_send(folder)
    require_absent(target)
    if target.resolve().is_relative_to(folder.resolve()):
        raise ExportError("target_inside", "An export cannot be copied into itself.",
                          "Choose a folder outside.")
    total = sum(file.size for file in files)
    require_space(target.parent, total)
    done = 0

    def tell(count: int, name: str) -> None:
        nonlocal done
        require_wanted(cancelled)
        done += count
        if progress:
            progress(done, total, name)

    with whole_folder(target) as partial:
        for file in files:
            _copy(file, partial / file.name, tell)
    return Report(target, total, missing_papers(folder))


def _copy(file: Sent, target: Path, tell: Callable[[int, str], None]) -> None:
    """Copy one file, then read the copy again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    read = hashlib.sha256()
    with file.path.open("rb") as source, target.open("wb") as copy:
        while part := source.read(_SLICE):
            tell(len(part), file.name)
            read.update(part)
            copy.write(part)
        copy.flush()
        os.fsync(copy.fileno())
    tell(0, file.name)
    if read.hexdigest() != sha256_of(target):
        raise ExportError("copy_damaged", f"The copy of '{file.name}' is not what was written: the "
                          "disk or the network folder loses data.", "Check the disk; try another.")
