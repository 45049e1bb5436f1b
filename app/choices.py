"""What was chosen automatically for a run, as preflight tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A value that was chosen automatically, and why."""

    field: str
    value: str
    reason: str

    def document(self) -> dict[str, str]:
        """Return the choice as scripts see it."""
        return {"field": self.field, "value": self.value, "reason": self.reason}
