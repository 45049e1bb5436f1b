"""Answers as a file that grows line by line; a later attempt goes on after its last whole line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from trainer.contract.files import write_atomic
from trainer.evaluation.seam import Ask, Said
from trainer.scoring.predictions import Likelihood

VERSION = 1
Key = tuple[str, int]


def line_of(value: Mapping[str, Any]) -> bytes:
    """Return a line of JSON; half characters, which UTF-8 does not have, are escaped."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value).encode("ascii") + b"\n"


def mark_of(ask: Ask) -> str:
    """Return what changes when a row does."""
    values = asdict(ask)
    return hashlib.sha256(json.dumps(values).encode("ascii")).hexdigest()[:16]


class Store:
    """The answers of one model, by (dataset, row).

    ``dropped`` answers of the file are of rows that have changed since, ``set_aside`` is the name
    of the file that holds those of another model or other settings.
    """

    def __init__(self, path: Path, fingerprint: str, marks: Mapping[Key, str]) -> None:
        """Read what is there; see ``add``.

        Args:
            path: The file.
            fingerprint: Of the model and of how it is asked.
            marks: Of each row that is asked, as ``mark_of``.

        Raises:
            OSError: The file cannot be read or written.
        """
        self._marks = marks
        self.answers: dict[Key, Said] = {}
        self.dropped, self.set_aside = 0, ""
        header = line_of({"version": VERSION, "fingerprint": fingerprint})
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        if lines and lines[0] != header:
            self.set_aside, lines = _set_aside(path), []
        kept = [line for line in lines[1:] if self._take(line)]
        if not lines or len(kept) < len(lines) - 1:
            write_atomic(path, b"".join([header, *kept]))
        self.kept = len(self.answers)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _take(self, line: bytes) -> bool:
        """Read a line; False when it is torn, of a row that changed, or of one that was read."""
        try:
            values = json.loads(line)
            key = (str(values["dataset"]), int(values["row"]))
            said = _said(values)
        except (ValueError, KeyError, TypeError):
            return False
        if self._marks.get(key) != values.get("asked"):
            self.dropped += 1
            return False
        if key in self.answers or not line.endswith(b"\n"):
            return False
        self.answers[key] = said
        return True

    def left(self, asks: Sequence[Ask]) -> list[Ask]:
        """Return the rows that have no answer yet."""
        return [ask for ask in asks if ask.key not in self.answers]

    def add(self, ask: Ask, said: Said) -> None:
        """Write an answer down; OSError when the disk is full."""
        values = {"dataset": ask.dataset, "row": ask.row, "asked": self._marks[ask.key],
                  **{name: value for name, value in asdict(said).items()
                     if value not in ("", None, (), 0)}}
        line = line_of(values)
        written = os.write(self._file, line)
        while written < len(line):
            written += os.write(self._file, line[written:])
        self.answers[ask.key] = said

    def close(self) -> None:
        """Make it durable."""
        os.fsync(self._file)
        os.close(self._file)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def _said(values: Mapping[str, Any]) -> Said:
    likelihood, calls = values.get("likelihood"), values.get("calls")
    return Said(
        text=str(values.get("text", "")), finish_reason=str(values.get("finish_reason", "")),
        tokens=int(values.get("tokens", 0)), prompt_tokens=int(values.get("prompt_tokens", 0)),
        calls=None if calls is None else tuple(calls),
        likelihood=Likelihood(tuple(likelihood["logprobs"]), tuple(likelihood["likeliest"]),
                              int(likelihood["n_bytes"])) if likelihood else None,
        choices=tuple(values.get("choices", ())), error=str(values.get("error", "")))


def _set_aside(path: Path) -> str:
    number = 1
    while (other := path.with_name(f"{path.stem}.old-{number}{path.suffix}")).exists():
        number += 1
    path.rename(other)
    return other.name
