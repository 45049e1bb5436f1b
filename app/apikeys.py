"""Keys for programs: what each may do, who made it, when it was last used; only digests are kept.

A key is 256 random bits. A digest of such a key cannot be searched for, however fast the digest
is: SHA-256 is enough here. Slow hashes such as argon2 protect what people make up, and would cost
every request some 50 ms.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from app.home import Home
from app.recordfile import Record, RecordError, RecordFile
from trainer.contract.files import read_json, write_atomic

Scope = Literal["chat", "tuning", "read"]
SCOPES: dict[Scope, str] = {
    "chat": "ask models at /v1",
    "tuning": "upload files and train through OpenAI's fine-tuning API at /v1",
    "read": "read (GET) what /api shows",
}
DEFAULT_SCOPES: tuple[Scope, ...] = ("chat",)
# Begins like OpenAI's: clients that look at a key take it, and logs hide it (contract/redact.py).
PREFIX = "sk-fst-"
SAVE_EVERY_S = 30.0
_TUNING_PATHS = ("/v1/files", "/v1/fine_tuning")
# Whoever may make keys and endpoints is the admin, who signs in with the token.
_ADMIN_PATHS = ("/api/keys", "/api/endpoints", "/api/audit")


@dataclass(frozen=True)
class Key:
    """A key without its secret.

    Attributes:
        id: What it is revoked by.
        name: What people call it.
        scopes: What it may do.
        digest: SHA-256 of the secret.
        hint: The secret's last four characters.
        created_at: Unix seconds.
        created_by: Who made it.
        revoked_at: Unix seconds, or None while it is good.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    digest: str = field(repr=False)
    hint: str
    created_at: float
    created_by: str
    revoked_at: float | None = None

    def document(self, used_at: float | None) -> dict[str, Any]:
        """Return what may be shown; ``used_at`` are the Unix seconds of the last use."""
        return {"id": self.id, "name": self.name, "scopes": list(self.scopes), "hint": self.hint,
                "created_at": self.created_at, "created_by": self.created_by,
                "last_used_at": used_at, "revoked_at": self.revoked_at}


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def enough_scopes(method: str, path: str) -> frozenset[Scope]:
    """Return the scopes of which one lets a request in; none when no key does."""
    reads = method in {"GET", "HEAD"}
    if path.startswith("/v1/"):
        if path.startswith(_TUNING_PATHS):
            return frozenset({"tuning"})
        is_list = reads and path.startswith("/v1/models")
        return frozenset(SCOPES) if is_list else frozenset({"chat"})
    if reads and path.startswith("/api/") and not path.startswith(_ADMIN_PATHS):
        return frozenset({"read"})
    return frozenset()


class KeyRing:
    """The keys of a home; safe to use from several threads and processes."""

    def __init__(self, home: Home) -> None:
        """Look at nothing yet."""
        self._file = RecordFile(home, "keys.json")
        self._parsed: tuple[list[Record] | None, list[Key]] = (None, [])
        self._used: dict[str, float] = {}
        self._saved_at = time.monotonic()

    def create(self, name: str, scopes: Sequence[str] = DEFAULT_SCOPES, *,
               who: str = "local") -> tuple[Key, str]:
        """Make a key.

        Returns:
            (key, secret); the secret is kept nowhere, so show it now.

        Raises:
            RecordError: The name is taken or no name, or a scope is unknown.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._file.changing("create_key", name, who) as records:
            key = Key(id=f"key_{secrets.token_hex(4)}", name=_good_name(name, self.all()),
                      scopes=_good_scopes(scopes), digest=digest_of(secret), hint=secret[-4:],
                      created_at=time.time(), created_by=who)
            records.append({**vars(key), "scopes": list(key.scopes)})
        return key, secret

    def revoke(self, which: str, *, who: str = "local") -> Key:
        """Let a key open nothing from now on.

        Args:
            which: Its id, or its name.
            who: Who asks.

        Raises:
            RecordError: No key that is good has that id or name ('unknown_key').
        """
        with self._file.changing("revoke_key", which, who) as records:
            for record in records:
                if which in (record["id"], record["name"]) and record["revoked_at"] is None:
                    record["revoked_at"] = time.time()
                    return _parse(record)
            raise RecordError("unknown_key", f"There is no key '{which}' to revoke.",
                              "List them with `finestra keys list`.")

    def all(self) -> list[Key]:
        """Return every key that was ever made, oldest first; RecordError for a damaged file."""
        records = self._file.read()
        if self._parsed[0] is not records:
            self._parsed = (records, [_parse(record) for record in records])
        return self._parsed[1]

    @property
    def asked(self) -> bool:
        """Tell whether /v1 wants a key on a studio without a login: once any was ever made.

        A revoked key counts too, or revoking the last one would let it in again; so does a file
        that cannot be read.
        """
        try:
            return bool(self.all())
        except (RecordError, OSError):
            return True

    def find(self, secret: str) -> Key | None:
        """Return the good key of a secret and note that it was used; None when there is none."""
        digest, found = digest_of(secret), None
        try:
            for key in self.all():
                if hmac.compare_digest(key.digest, digest) and key.revoked_at is None:
                    found = key
        except (RecordError, OSError):
            return None
        if found is not None:
            self._used[found.id] = time.time()
        return found

    def last_used(self) -> dict[str, float]:
        """Return the Unix seconds of each key's last use, as far as is known here."""
        kept = read_json(self._file.used_path())
        found = {str(name): float(at) for name, at in kept.items()
                 if isinstance(at, int | float)} if isinstance(kept, dict) else {}
        return {**found, **self._used}

    def documents(self) -> list[dict[str, Any]]:
        """Return all keys as they may be shown."""
        used = self.last_used()
        return [key.document(used.get(key.id)) for key in self.all()]

    def save_use(self, *, now: bool = False) -> None:
        """Write down when keys were used, at most every 30 s unless ``now``."""
        if not self._used or (not now and time.monotonic() - self._saved_at < SAVE_EVERY_S):
            return
        self._saved_at = time.monotonic()
        with suppress(OSError):  # a full disk must not cost more than this note
            write_atomic(self._file.used_path(), json.dumps(self.last_used()), mode=0o600)


def _parse(record: Record) -> Key:
    try:
        return Key(**{**record, "scopes": tuple(record["scopes"])})
    except (TypeError, KeyError):
        raise RecordError("damaged_file", "'keys.json' in the home folder cannot be read.",
                          "Restore it from a backup, or delete it and make new keys.") from None


def _good_name(name: str, known: Sequence[Key]) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 64 or not clean.isprintable():
        raise RecordError("bad_name", "A key's name has 1 to 64 printable characters.",
                          "Call it after the program that will use it.")
    if any(key.name == clean and key.revoked_at is None for key in known):
        raise RecordError("key_exists", f"There is a key '{clean}' already.",
                          "Choose another name, or revoke that key first.")
    return clean


def _good_scopes(scopes: Sequence[str]) -> tuple[Scope, ...]:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise RecordError("bad_scope", f"There is no scope '{unknown[0][:80]}'." if unknown
                          else "A key without a scope opens nothing.",
                          f"Choose of {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in scopes)
