"""Whether a run may be deleted."""

from __future__ import annotations

from app.runs import ACTIVE, RunError, RunState
from app.store import Writer

_NAMED = 5


def check_deletable(writer: Writer, run_id: str) -> None:
    """Refuse to delete what is still needed.

    Raises:
        RunError: There is no such run ('unknown_run'), it is active ('active'), or other runs
            have its model as their base ('needed').
    """
    state = writer.record(run_id).run.state
    if state in ACTIVE:
        raise RunError("active", f"The run '{run_id}' is {state} and cannot be deleted.",
                       "Stop it first.")
    upon = sorted(record.run.id for state in RunState for record in writer.records(state)
                  if record.run.model == run_id)
    if upon:
        rest = f" and {len(upon) - _NAMED:,} more" if len(upon) > _NAMED else ""
        raise RunError("needed", f"The run '{run_id}' is the base of {', '.join(upon[:_NAMED])}"
                       f"{rest} and cannot be deleted.", "Delete those first.")
