"""What the System page and its REST routes show and do: engines, checks, the audit log's end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from app.doctor import Check, examine
from app.home import Home
from app.serving.engines.training import Conflict
from trainer.engines.kinds import Availability

CHECKS_FRESH_S = 30.0
AUDIT_BYTES = 65_536


class Engines(Protocol):
    """What is asked of the engines of this server."""

    def kinds(self) -> list[Availability]:
        """Return every kind of engine, whether it is installed and what installs it; slow."""
        ...

    def status(self) -> list[Mapping[str, Any]]:
        """Return the engines that run, then those that ended last with their last lines."""
        ...

    def conflicts(self) -> Sequence[Conflict]:
        """Return the runs that want a GPU whose engine is answering."""
        ...

    def unload(self, engine_id: str, *, force: bool = False) -> None:
        """Let an engine go; EngineError when it answers and ``force`` is False."""
        ...

    def restart(self, engine_id: str, *, force: bool = False) -> str:
        """Start an engine anew and return its new id."""
        ...


class SystemDesk:
    """Looks at what takes long (packages, interpreters) at most twice a minute; thread-safe."""

    def __init__(self, home: Home, engines: Engines, *,
                 look: Callable[[], list[Check]] = examine) -> None:
        """Take what is looked after; ``look`` is another way to check (tests)."""
        self.home, self.engines, self._look = home, engines, look
        self._seen: tuple[float, list[Check], list[Availability]] = (float("-inf"), [], [])
        self._lock = threading.Lock()

    def checks(self) -> tuple[list[Check], list[Availability]]:
        """Return what ``finestra doctor`` finds, and the kinds of engines."""
        with self._lock:
            if time.monotonic() - self._seen[0] > CHECKS_FRESH_S:
                self._seen = (time.monotonic(), self._look(), self.engines.kinds())
            return self._seen[1], self._seen[2]

    def engines_document(self) -> dict[str, Any]:
        """Return the engines, the kinds there are, and who has to choose between what."""
        _, kinds = self.checks()
        conflicts = [{"run": one.run, "engine": one.engine, "model": one.model,
                      "device": one.device, "message": one.message}
                     for one in self.engines.conflicts()]
        return {"engines": [dict(one) for one in self.engines.status()],
                "kinds": [kind.document() for kind in kinds], "conflicts": conflicts}

    def unload(self, engine_id: str, *, force: bool = False, who: str = "local") -> None:
        """Let an engine go; takes time.

        Raises:
            EngineError: There is none of that id, or it is answering and ``force`` is False.
        """
        with self.home.audited("unload_engine", engine_id, who):
            self.engines.unload(engine_id, force=force)

    def restart(self, engine_id: str, *, force: bool = False, who: str = "local") -> str:
        """Start an engine anew and return its new id; takes time. Raises as ``unload``."""
        with self.home.audited("restart_engine", engine_id, who):
            return self.engines.restart(engine_id, force=force)

    def audit(self, last: int = 50) -> list[dict[str, Any]]:
        """Return the newest lines of the audit log, the newest first."""
        try:
            with self.home.audit.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(0, end - AUDIT_BYTES))
                lines = file.read().splitlines()[1 if end > AUDIT_BYTES else 0:]
        except FileNotFoundError:
            return []
        return [found for line in reversed(lines[-last:])
                if isinstance(found := _parsed(line), dict)]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
