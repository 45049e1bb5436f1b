"""Whether a run may be deleted."""

from __future__ import annotations

from app.runs import ACTIVE, ENDED, Run, RunError, RunState
from app.store import Writer
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.problems import ConfigError
from trainer.contract.rundir import RunDir

_NAMED = 5


def check_deletable(writer: Writer, run_id: str) -> None:
    """Refuse to delete what is still needed.

    Raises:
        RunError: There is no such run ('unknown_run'), it is active ('active'), or other runs
            have its model as their base, or are going to evaluate it ('needed').
    """
    state = writer.record(run_id).run.state
    if state in ACTIVE:
        raise RunError("active", f"The run '{run_id}' is {state} and cannot be deleted.",
                       "Stop it first.")
    asked = [record.run for state in RunState if state not in ENDED
             for record in writer.records(state) if run_id in evaluated(record.run)]
    if asked:
        raise RunError("needed", f"The run '{run_id}' is evaluated by {asked[0].id} and cannot be "
                       "deleted.", "Stop that first; what it has found stays.")
    upon = sorted(record.run.id for state in RunState for record in writer.records(state)
                  if record.run.model == run_id and record.run.objective != "evaluate")
    if upon:
        rest = f" and {len(upon) - _NAMED:,} more" if len(upon) > _NAMED else ""
        raise RunError("needed", f"The run '{run_id}' is the base of {', '.join(upon[:_NAMED])}"
                       f"{rest} and cannot be deleted.", "Delete those first.")


def evaluated(run: Run) -> set[str]:
    """Return what an evaluation asks, by the names of runs; nothing for other kinds of run."""
    if run.objective != "evaluate":
        return set()
    try:
        config = RunDir(run.dir).read_any()
    except (OSError, ConfigError):
        return set()
    assert isinstance(config, EvaluateConfig)
    named = [*config.models, config.judge.model, *(use.model or "" for use in config.metrics)]
    return {name.partition("/")[0] for name in named} - {""}
