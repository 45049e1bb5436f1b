"""Where copies of hub datasets lie, and what each of them is a copy of.

``<data>/.hub/<hub>/<owner--name>/<key>/meta.json`` is written last; the files are beside it in
``rows/``. The key is ours: no name of the hub's ever becomes part of a path unchecked (rule R5).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trainer.contract.files import fsync_folder, locked, read_json, write_json
from trainer.data.catalog.hub_names import HubId

FOLDER = ".hub"
GIVEN_UP_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Wanted:
    """What is asked of a hub: a dataset at a revision, and which part of it."""

    id: HubId
    subset: str | None = None
    split: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        """Name it for people: ``owner/name, subset main, split test``."""
        parts = [f"{key} {value}" for key, value in
                 (("subset", self.subset), ("split", self.split), ("folder", self.folder)) if value]
        return ", ".join([str(self.id), *parts])


@dataclass(frozen=True)
class Copy:
    """A copy that lies here. ``path`` is its file, or the folder of its shards."""

    path: Path
    commit: str
    fetched_at: float


class HubStore:
    """The copies under one data folder."""

    def __init__(self, data: Path) -> None:
        """Look at ``<data>/.hub``; it need not exist."""
        self._root = data / FOLDER

    def _repo(self, wanted: Wanted) -> Path:
        return self._root / wanted.id.hub / wanted.id.folder

    def find(self, wanted: Wanted) -> Copy | None:
        """Return the newest copy of what is wanted, or None."""
        found = [copy for meta, copy in self._copies(self._repo(wanted)) if _answers(meta, wanted)]
        return max(found, key=lambda copy: copy.fetched_at, default=None)

    def _copies(self, repo: Path) -> Iterator[tuple[dict[str, Any], Copy]]:
        for path in sorted(repo.glob("*/meta.json")) if repo.is_dir() else []:
            meta = read_json(path)
            if isinstance(meta, dict) and (rows := _rows(path.parent)):
                yield meta, Copy(rows, str(meta.get("commit", "")),
                                 float(meta.get("fetched_at", 0)))

    @contextmanager
    def locked(self, wanted: Wanted) -> Iterator[None]:
        """Let one process at a time fetch from a repository."""
        repo = self._repo(wanted)
        repo.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(repo / ".lock"):
            yield

    def workplace(self, wanted: Wanted, commit: str) -> Path:
        """Return a folder for a download; the same one after an interruption.

        Those of downloads that were given up long ago are deleted.
        """
        for old in self._repo(wanted).glob("*.part"):
            if time.time() - old.stat().st_mtime > GIVEN_UP_S:
                shutil.rmtree(old, ignore_errors=True)
        folder = self._repo(wanted) / f"{_key(wanted, commit)}.part"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def keep(self, wanted: Wanted, meta: dict[str, Any],
             files: Sequence[tuple[str, Path]]) -> Copy:
        """Move files into place and say what they are; all of them or none.

        Args:
            wanted: What was asked for.
            meta: What to remember; ``commit`` and ``fetched_at`` have to be in it.
            files: (path in the repository, where it lies now), in order.
        """
        folder = self._repo(wanted) / _key(wanted, str(meta["commit"]))
        made = folder.with_suffix(".new")
        shutil.rmtree(made, ignore_errors=True)
        (made / "rows").mkdir(mode=0o700, parents=True)
        for name, (_, path) in zip(_plain_names([name for name, _ in files]), files, strict=True):
            os.replace(path, made / "rows" / name)
        write_json(made / "meta.json", {"hub": wanted.id.hub, "repo": wanted.id.repo,
                                        **_asked(wanted), **meta})
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)
        fsync_folder(folder.parent)
        rows = _rows(folder)
        assert rows is not None, "files were just put there"
        return Copy(rows, str(meta["commit"]), float(meta["fetched_at"]))

    def remove(self, wanted: Wanted) -> None:
        """Delete every copy of what is wanted."""
        if not self._repo(wanted).is_dir():
            return
        with self.locked(wanted):
            for path in list(self._repo(wanted).glob("*/meta.json")):
                meta = read_json(path)
                if isinstance(meta, dict) and _answers(meta, wanted):
                    shutil.rmtree(path.parent)


def _asked(wanted: Wanted) -> dict[str, str | None]:
    return {"revision": wanted.id.revision, "subset": wanted.subset, "split": wanted.split,
            "folder": wanted.folder}


def _answers(meta: dict[str, Any], wanted: Wanted) -> bool:
    """Tell whether a copy is of what is wanted; a commit also answers to its own name."""
    asked = {**_asked(wanted)}
    revision = asked.pop("revision")
    same = all(value == meta.get(key) or (key == "split" and value is None and
                                          meta.get("chosen_split") == "train")
               or (value is not None and value == meta.get(f"chosen_{key}"))
               for key, value in asked.items())
    return same and (revision == meta.get("revision") or revision == meta.get("commit"))


def _key(wanted: Wanted, commit: str) -> str:
    text = json.dumps([asdict(wanted), commit], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _rows(folder: Path) -> Path | None:
    """Return the only file of a copy, or its folder when there are several."""
    rows = folder / "rows"
    files = sorted(rows.iterdir()) if rows.is_dir() else []
    return None if not files else files[0] if len(files) == 1 else rows


def _plain_names(paths: Sequence[str]) -> list[str]:
    """Return file names of our choice that sort as the paths do: the last part of each path.

    Names that occur twice, that do not sort so or are odd get a number before them.
    """
    names = [PurePosixPath(path).name for path in paths]
    fine = all(name and not name.startswith((".", "_")) and len(name) < 200
               and all(c.isalnum() or c in "._-+= ()," for c in name) for name in names)
    if fine and names == sorted(set(names)):
        return names
    return [f"{number:05d}-{_safe(name)}" for number, name in enumerate(names)]


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[-120:]
