"""Whether a base is still the one that a run was trained on; its manifest has the hashes."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from trainer.contract.files import read_json
from trainer.contract.rundir import RunDir
from trainer.data.templates.library import read_template
from trainer.data.templates.special_tokens import read_source
from trainer.engines.errors import EngineError
from trainer.engines.targets import WEIGHTS

_Signature = tuple[int, int, int]


class Hashes:
    """SHA-256 of files; a file that has not changed since is not read again."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[Path, tuple[_Signature, str]] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> str:
        """Return a file's hash as hex, '' when it is gone."""
        try:
            with path.open("rb") as file:
                stat = path.stat()
                signature = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
                with self._lock:
                    known = self._known.get(path)
                if known is None or known[0] != signature:
                    known = (signature, hashlib.file_digest(file, "sha256").hexdigest())
                    with self._lock:
                        self._known[path] = known
        except OSError:
            return ""
        return known[1]


def require_same_base(hashes: Hashes, run: RunDir, base: Path, adapters: tuple[Path, ...],
                      template: str) -> None:
    """Refuse a base whose files are not those that a run's manifest names.

    Args:
        hashes: Of files that were read before.
        run: The run.
        base: The base's folder.
        adapters: What is merged into it first.
        template: The chat template of the run's config.

    Raises:
        EngineError: Weights, tokenizer, adapters or chat template changed ('base_changed').
    """
    manifest = read_json(run.manifest)
    known = manifest if isinstance(manifest, dict) else {}
    before = (known.get("base") or {}).get("sha256") or {}
    places = {f"adapter {number}": folder / WEIGHTS for number, folder in enumerate(adapters, 1)}
    changed = sorted(name for name, digest in before.items()
                     if hashes.of(places.get(name) or base / Path(name).name) != digest)
    trained = known.get("chat_template") or {}
    if trained.get("text") and trained.get("sha256") != _template_hash(base, template):
        changed.append("the chat template")
    if changed:
        raise EngineError("base_changed", f"The base model of the run '{run.id}' is no longer the "
                          f"one it was trained on: {', '.join(changed)} changed.",
                          "Put the old version back, or clone the run and train again.")


def _template_hash(base: Path, template: str) -> str:
    source = read_source(base) if template == "auto" else read_template(template).source
    return hashlib.sha256(source.encode("utf-8")).hexdigest()
