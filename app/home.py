"""Home: every path under FINESTRA_HOME in one class."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.contract.files import read_json, write_json
from trainer.contract.redact import redact

SECRETS = ("HF_TOKEN", "SWANLAB_API_KEY")


class HomeError(ValueError):
    """The home folder cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Home:
    """The folder that holds runs, index, data and secrets."""

    root: Path

    @classmethod
    def open(cls, root: Path | None = None) -> Home:
        """Take ``root``, else FINESTRA_HOME, else ~/.finestra, and make its folders (0700).

        Raises:
            HomeError: The folder cannot be made or written, or is that of nobody here ('~ann').
        """
        named = root or os.environ.get("FINESTRA_HOME") or Path.home() / ".finestra"
        expanded = os.path.expanduser(named)
        if expanded.startswith("~"):
            raise HomeError(f"The home folder '{named}' begins with a user that this machine does "
                            "not have. Name another with --home or FINESTRA_HOME.")
        home = cls(Path(expanded).resolve())
        try:
            for folder in (home.root, home.runs, home.data, home.models, home.tmp, home.trash):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(f"The home folder '{home.root}' cannot be used: {error.strerror}. "
                            "Name another with --home or FINESTRA_HOME.") from None
        return home

    @property
    def runs(self) -> Path:
        """Run folders."""
        return self.root / "runs"

    @property
    def data(self) -> Path:
        """Datasets that were added, and their registry."""
        return self.root / "data"

    @property
    def models(self) -> Path:
        """Model folders that pages may name."""
        return self.root / "models"

    @property
    def db(self) -> Path:
        """The index over the run folders."""
        return self.root / "finestra.db"

    @property
    def lock(self) -> Path:
        """Held by the one HTTP server of this home."""
        return self.root / "server.lock"

    @property
    def secrets(self) -> Path:
        """Tokens of hubs and trackers, 0600."""
        return self.root / "secrets.json"

    @property
    def audit(self) -> Path:
        """Who did what; only ever appended to."""
        return self.root / "audit.jsonl"

    @property
    def tmp(self) -> Path:
        """Unfinished uploads."""
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        """Deleted runs on their way out."""
        return self.root / "trash"

    def read_secrets(self) -> dict[str, str]:
        """Return the known secrets; only names in SECRETS count."""
        values = read_json(self.secrets)
        if not isinstance(values, dict):
            return {}
        return {k: v for k, v in values.items() if k in SECRETS and isinstance(v, str) and v}

    def write_secrets(self, values: dict[str, str]) -> None:
        """Replace the secrets file (0600)."""
        write_json(self.secrets, values, mode=0o600)

    def append_audit(self, action: str, subject: str, who: str, *, failure: str = "",
                     detail: str = "") -> None:
        """Append one line to the audit log in one write.

        Args:
            action: What was done, such as 'create_key'.
            subject: What it was done to: a run's id, a name.
            who: Who did it.
            failure: Why it failed, '' when it did not.
            detail: More about what was done.
        """
        record = {"time": time.time(), "action": action, "run": subject[:200], "who": who,
                  "ok": not failure, "detail": redact(failure or detail)[:500],
                  "id": secrets.token_hex(4)}
        line = json.dumps(record, ensure_ascii=False) + "\n"
        handle = os.open(self.audit, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line.encode("utf-8"))
        finally:
            os.close(handle)

    @contextmanager
    def audited(self, action: str, subject: str, who: str) -> Iterator[dict[str, str]]:
        """Leave exactly one audit line, also when the block fails.

        Yields:
            What the line will name as 'run', and a 'detail'; the block may change both.
        """
        note = {"run": subject, "detail": ""}
        try:
            yield note
        except BaseException as error:
            self.append_audit(action, note["run"], who, failure=f"{type(error).__name__}: {error}")
            raise
        self.append_audit(action, note["run"], who, detail=note["detail"])
