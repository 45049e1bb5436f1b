"""Signing in: one token, a session cookie that is derived from it, and a brake on guessing."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlencode

from trainer.contract.rundir import is_safe_name

SHORTEST_TOKEN = 16
SESSION_S = 30 * 24 * 3600
NEXT_PATHS = ("/", "/train", "/run")


class TooManyFailures(ValueError):
    """Wrong tokens came too fast; ``wait_s`` tells for how long none is looked at."""

    def __init__(self, wait_s: float) -> None:
        """Keep how long to wait, in seconds."""
        super().__init__(f"Too many wrong tokens. Try again in {wait_s:.0f} s.")
        self.wait_s = wait_s


class Brake:
    """Counts failures of each client in a sliding window; memory is bounded.

    Args:
        limit: Failures a client may have in the window.
        total: Failures that all clients together may have.
        window_s: Length of the window in seconds.
        clock: Seconds that never jump back.
    """

    def __init__(self, limit: int = 10, *, total: int = 200, window_s: float = 60.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._total, self._window_s, self._clock = limit, total, window_s, clock
        self._failures: deque[tuple[float, str]] = deque(maxlen=total)

    def check(self, client: str) -> None:
        """Raise TooManyFailures while the client, or everybody, has failed too often."""
        now = self._clock()
        while self._failures and now - self._failures[0][0] > self._window_s:
            self._failures.popleft()
        own = [at for at, who in self._failures if who == client]
        if len(own) >= self._limit or len(self._failures) >= self._total:
            first = own[0] if len(own) >= self._limit else self._failures[0][0]
            raise TooManyFailures(max(1.0, self._window_s - (now - first)))

    def failed(self, client: str) -> None:
        """Note one wrong token."""
        self._failures.append((self._clock(), client))


class Login:
    """Who may come in: whoever shows the token, or a cookie that was made from it.

    The cookie is ``issued.mac`` with an HMAC-SHA256 under the token, so the token itself is
    never stored in a browser and no session table is needed.
    """

    def __init__(self, token: str, *, brake: Brake | None = None,
                 clock: Callable[[], float] = time.time) -> None:
        """Keep the token; ValueError when it is too short to keep anybody out."""
        if len(token) < SHORTEST_TOKEN:
            raise ValueError(f"The token has {len(token)} characters, at least "
                             f"{SHORTEST_TOKEN} are needed.")
        self._token = token.encode("utf-8")
        self._clock = clock
        self.brake = brake or Brake()
        # Cookies ignore ports: two studios on one machine need two names.
        self.cookie = f"finestra_{hashlib.sha256(b'cookie ' + self._token).hexdigest()[:8]}"

    def accepts(self, token: str, client: str) -> bool:
        """Compare a token in constant time; TooManyFailures after many wrong ones."""
        self.brake.check(client)
        if hmac.compare_digest(token.encode("utf-8"), self._token):
            return True
        self.brake.failed(client)
        return False

    def _mac(self, issued: str) -> str:
        text = f"finestra session {issued}".encode()
        return hmac.new(self._token, text, hashlib.sha256).hexdigest()

    def session(self) -> str:
        """Make the value of a session cookie."""
        issued = str(int(self._clock()))
        return f"{issued}.{self._mac(issued)}"

    def knows(self, session: str) -> bool:
        """Tell whether a cookie's value was made here and is not too old."""
        issued, _, mac = session.partition(".")
        if not (issued.isascii() and issued.isdecimal() and len(issued) < 16):
            return False
        fresh = 0 <= self._clock() - int(issued) + 60 <= SESSION_S
        return hmac.compare_digest(mac.encode("utf-8"), self._mac(issued).encode()) and fresh


def read_cookie(header: str, name: str) -> str:
    """Return one cookie of a Cookie header, or ''."""
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value.strip('"')
    return ""


def safe_next(path: str, run_id: str = "") -> str:
    """Return where to go after signing in: one of NEXT_PATHS, with a run's id when it is one."""
    if path not in NEXT_PATHS:
        return "/"
    if path == "/run" and is_safe_name(run_id):
        return "/run?" + urlencode({"id": run_id})
    return path if path != "/run" else "/"
