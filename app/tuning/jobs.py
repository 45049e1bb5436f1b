"""Fine-tuning jobs of a studio: made, listed, cancelled. A job is a run; nothing else is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from app.runs import ENDED, Run, RunError, RunState
from app.serving.openai_errors import ApiError
from app.studio import Studio
from app.tuning.files import FileShelf
from app.tuning.graders import reward_of
from app.tuning.job import (
    ABOUT,
    PREFIX,
    checkpoint_document,
    event_documents,
    files_of,
    is_event_of,
    job_document,
    told,
    trained_tokens,
)
from app.tuning.translation import JobRequest, read_request, require_kind, values_of
from trainer.contract import ConfigError, RunConfig
from trainer.contract.files import write_json
from trainer.contract.rundir import RunDir, is_safe_name

Document = dict[str, Any]
_T = TypeVar("_T")
# What a client wrote, by the field of the config that it became.
_FIELDS = {"model": "model", "data.train": "training_file", "data.eval": "validation_file",
           "name": "suffix", "training.seed": "seed", "dpo.beta": "hyperparameters.beta",
           "training.num_train_epochs": "hyperparameters.n_epochs",
           "training.per_device_train_batch_size": "hyperparameters.batch_size",
           "training.learning_rate": "hyperparameters.learning_rate_multiplier",
           "rollout.rewards": "method.reinforcement.grader"}


class Jobs:
    """The jobs of a studio; safe to use from several threads."""

    def __init__(self, studio: Studio, files: FileShelf) -> None:
        """Look at nothing yet."""
        self._studio, self._files = studio, files
        self._configs: dict[str, RunConfig | None] = {}

    def create(self, body: Any, *, owner: str, key: str | None = None) -> Document:
        """Check a request and queue its run.

        Args:
            body: The request, as it came.
            owner: Who asks.
            key: The same Idempotency-Key of the same owner makes one job.

        Raises:
            ApiError: 400 with the reason, or 404 for an unknown model.
        """
        asked = read_request(body)
        if asked.model not in self._studio.models():
            raise ApiError(404, "model_not_found", f"There is no model '{asked.model[:100]}' to "
                           "start from. GET /v1/models lists them.", "model")
        reward, field = (reward_of(asked.tuned.grader)
                         if asked.method.type == "reinforcement" else (None, ""))
        train = self._data(asked, asked.training_file, "training_file", field)
        evaluation = (self._data(asked, asked.validation_file, "validation_file", field)
                      if asked.validation_file else None)
        try:
            run = self._studio.create(values_of(asked, train, evaluation, reward), owner=owner,
                                      idempotency_key=key and f"openai:{key}", origin="web")
        except ConfigError as error:
            raise _refusal(error) from None
        about = Path(run.dir) / ABOUT
        if not about.is_file():
            write_json(about, _kept(asked), mode=0o600)
        return self.document(run)

    def _data(self, asked: JobRequest, file_id: str, param: str, field: str) -> str:
        """Return the path of the data that a run reads of a file."""
        try:
            found = self._files.get(file_id, param)
        except ApiError as error:
            # OpenAI says 400 here: the address is right, the body is not.
            raise ApiError(400, error.code, str(error), param) from None
        require_kind(found.kind, asked.method.type, param)
        return str(self._files.dataset(found, field))

    def _config(self, run: Run) -> RunConfig | None:
        """Return the config of a job's run, which never changes; None for any other run."""
        if run.id not in self._configs:
            folder, found = RunDir(run.dir), None
            with suppress(OSError, ConfigError):
                if "/openai/file-" in folder.config.read_text(encoding="utf-8"):
                    config = folder.read_config()
                    found = config if files_of(config)[0] else None
            self._configs[run.id] = found
        return self._configs[run.id]

    def run(self, job_id: str) -> Run:
        """Return the run of a job; ApiError 404 when there is none of that id."""
        run_id = job_id.removeprefix(PREFIX)
        with suppress(RunError):
            if job_id.startswith(PREFIX) and is_safe_name(run_id):
                run = self._studio.run(run_id)
                if self._config(run) is not None:
                    return run
        raise ApiError(404, "job_not_found", f"There is no fine-tuning job '{job_id[:100]}'.",
                       "fine_tuning_job_id")

    def document(self, run: Run) -> Document:
        """Return a job as it is now."""
        config = self._config(run)
        assert config is not None
        data = self._studio.data_events(run.id) if run.state in ENDED else []
        return job_document(run, config, trained_tokens(run, config, data))

    def listed(self, after: str | None, limit: int, wanted: dict[str, str]) -> Document:
        """Return a page of the jobs, newest first.

        Args:
            after: The id of the last job of the page before.
            limit: At most so many.
            wanted: Metadata that they must have.
        """
        runs = [run for run in self._studio.runs() if self._config(run) is not None]
        found = (self.document(run) for run in _beyond(runs, after, lambda run: PREFIX + run.id))
        return page((one for one in found if wanted.items() <= (one["metadata"] or {}).items()),
                    limit)

    def cancel(self, job_id: str, *, who: str) -> Document:
        """Stop a job; again has no effect. ApiError 400 when it has ended in another way."""
        run = self.run(job_id)
        if run.state in ENDED - {RunState.STOPPED}:
            raise ApiError(400, "job_ended", f"The job '{job_id}' has {run.state} already.")
        if run.state not in ENDED:
            with suppress(RunError):  # it has just ended: what it is now is said below
                run = self._studio.stop(run.id, who=who)
        return self.document(self.run(job_id))

    def events(self, job_id: str, after: str | None, limit: int) -> Document:
        """Return a page of what a job has said, newest first."""
        run = self.run(job_id)
        if after and not is_event_of(run, after):
            raise ApiError(400, "invalid_value", f"The job has no event '{after[:120]}'.", "after")
        return page(event_documents(run, after), limit)

    def checkpoints(self, job_id: str, after: str | None, limit: int) -> Document:
        """Return a page of a job's committed checkpoints, newest first."""
        run = self.run(job_id)
        found = [info for info in self._studio.checkpoints(run.id) if not info.problem]
        self._studio.ingest(run.id)
        series = {name: dict(points) for name, points in self._studio.series(run.id).items()}
        known = [one for info in found if (one := checkpoint_document(run, info, series))]
        return page(_beyond(known, after, lambda one: str(one["id"])), limit)

    def users(self, file_id: str) -> list[str]:
        """Return the jobs that read a file and have not ended."""
        return [PREFIX + run.id for run in self._studio.runs() if run.state not in ENDED
                and (config := self._config(run)) is not None and file_id in files_of(config)]


def _kept(asked: JobRequest) -> Document:
    numbers = asked.tuned.hyperparameters
    wanted = {"n_epochs", "batch_size", "learning_rate_multiplier"}
    wanted |= {"beta"} if asked.method.type == "dpo" else set()
    return {"metadata": asked.metadata, "suffix": asked.suffix, "grader": asked.tuned.grader,
            "hyperparameters": numbers.model_dump(include=wanted)}


def _refusal(error: ConfigError) -> ApiError:
    """Return the first problem, in the words of the request."""
    first = error.problems[0]
    param = next((theirs for ours, theirs in _FIELDS.items()
                  if first.field == ours or first.field.startswith(f"{ours}.")), None)
    return ApiError(400, first.code, told(f"{first.message} {first.advice}"),
                    param or first.field or None)


def _beyond(items: list[_T], after: str | None, name: Callable[[_T], str]) -> list[_T]:
    """Return what follows an item; ApiError 400 when there is none of that id."""
    if not after:
        return items
    for index, item in enumerate(items):
        if name(item) == after:
            return items[index + 1:]
    raise ApiError(400, "invalid_value", f"There is no '{after[:120]}' in this list.", "after")


def page(items: Iterable[Document], limit: int) -> Document:
    """Return the first items as OpenAI writes a list, and whether there are more."""
    found = list(islice(items, limit + 1))
    shown = found[:limit]
    return {"object": "list", "data": shown, "has_more": len(found) > limit,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None}
