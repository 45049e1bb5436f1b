"""A job as OpenAI's clients ask for it, as the values of a run's config."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.serving.openai_errors import ApiError
from app.tuning.rows import Kind
from trainer.contract.config import RunConfig

Auto = Literal["auto"]
MethodName = Literal["supervised", "dpo", "reinforcement"]
KINDS: dict[MethodName, Kind] = {"supervised": "chat", "dpo": "preference",
                                 "reinforcement": "prompts"}
OBJECTIVES: dict[MethodName, str] = {"supervised": "sft", "dpo": "dpo", "reinforcement": "grpo"}
_NEEDS: dict[Kind, str] = {
    "chat": "conversations that end with the assistant ('messages')",
    "preference": "'input', 'preferred_output' and 'non_preferred_output'",
    "prompts": "conversations that end with the user ('messages'), and what the grader compares"}
_M = TypeVar("_M", bound=BaseModel)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Hyperparameters(_Asked):
    """What can be set; 'auto' leaves it to the studio."""

    n_epochs: Annotated[int, Field(ge=1, le=10_000, strict=True)] | Auto = "auto"
    batch_size: Annotated[int, Field(ge=1, le=65_536, strict=True)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=1000, strict=True)] | Auto = "auto"
    beta: Annotated[float, Field(gt=0, le=100, strict=True)] | Auto = "auto"
    eval_interval: Annotated[int, Field(ge=1, strict=True)] | Auto = "auto"
    # What is not done here may only be left as it is.
    compute_multiplier: Auto = "auto"
    eval_samples: Auto = "auto"
    reasoning_effort: Literal["default"] | None = None


class Tuned(_Asked):
    """A method with its settings."""

    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)
    grader: dict[str, Any] | None = None
    response_format: None = None


class Method(_Asked):
    """Which method, and how."""

    type: MethodName = "supervised"
    supervised: Tuned | None = None
    dpo: Tuned | None = None
    reinforcement: Tuned | None = None


class JobRequest(_Asked):
    """The body of POST /v1/fine_tuning/jobs."""

    model: Annotated[str, Field(min_length=1, max_length=4096)]
    training_file: Annotated[str, Field(max_length=200)]
    validation_file: Annotated[str, Field(max_length=200)] | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    metadata: Annotated[dict[Annotated[str, Field(max_length=64)],
                             Annotated[str, Field(max_length=512)]],
                        Field(max_length=16)] | None = None
    method: Method = Field(default_factory=Method)
    hyperparameters: Hyperparameters | None = None
    integrations: list[Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _nulls(cls, values: Any) -> Any:
        """Take null for what is left out, as OpenAI does."""
        return ({name: value for name, value in values.items() if value is not None}
                if isinstance(values, dict) else values)

    @property
    def tuned(self) -> Tuned:
        """The settings of the method that was chosen; the old place of the numbers counts too."""
        found: Tuned = getattr(self.method, self.method.type) or Tuned()
        if self.hyperparameters is not None and not found.hyperparameters.model_fields_set:
            return found.model_copy(update={"hyperparameters": self.hyperparameters})
        return found


def read_request(body: Any) -> JobRequest:
    """Check a body; ApiError 400 names the first field that is wrong."""
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_json", "The body is not a JSON object.")
    asked = parse_as(JobRequest, body)
    if asked.integrations:
        raise _unsupported("integrations", "Integrations are not done here. Leave them out.")
    for name in KINDS:
        if name != asked.method.type and getattr(asked.method, name) is not None:
            raise _unsupported(f"method.{name}", f"The method is '{asked.method.type}': settings "
                               f"of '{name}' have no effect. Leave them out.")
    given = asked.tuned.hyperparameters.model_fields_set
    beta = asked.tuned.hyperparameters.beta
    if asked.method.type != "dpo" and "beta" in given and beta != "auto":
        raise _unsupported("hyperparameters.beta", "beta belongs to the method 'dpo'.")
    if asked.method.type != "reinforcement" and asked.tuned.grader is not None:
        raise _unsupported(f"method.{asked.method.type}.grader",
                           "A grader belongs to the method 'reinforcement'.")
    return asked


def _unsupported(param: str, message: str) -> ApiError:
    return ApiError(400, "unsupported_parameter", message, param)


def parse_as(model: type[_M], body: Any) -> _M:
    """Read a body; ApiError 400 names the first field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        # Of a value that may be 'auto' too, what the number lacks says more.
        items = error.errors(include_url=False)
        first = next((one for one in items if one["type"] != "literal_error"), items[0])
        kinds = {"int", "float", "constrained-int", "constrained-float", "dict"}
        path = ".".join(str(part) for part in first["loc"]
                        if str(part) not in kinds and not str(part).startswith("literal["))
        code = {"missing": "missing_required_parameter",
                "extra_forbidden": "unsupported_parameter"}.get(first["type"], "invalid_value")
        raise ApiError(400, code, f"{path or 'The body'}: {first['msg']}.", path or None) from None


def require_kind(kind: Kind, method: MethodName, param: str) -> None:
    """Refuse a file whose rows are for another method; ApiError 400."""
    wanted = KINDS[method]
    if kind != wanted:
        fitting = next(name for name, one in KINDS.items() if one == kind)
        raise ApiError(400, "invalid_file", f"The method '{method}' reads {_NEEDS[wanted]}; the "
                       f"rows of this file are for '{fitting}'.", param)


def values_of(asked: JobRequest, train: str, evaluation: str | None,
              reward: dict[str, Any] | None) -> dict[str, Any]:
    """Return the config of a job; what is not said has the studio's defaults.

    Args:
        asked: The request.
        train: Path of the training data.
        evaluation: Path of the evaluation data.
        reward: Of 'reinforcement': what scores an answer.
    """
    numbers, defaults = asked.tuned.hyperparameters, RunConfig().training
    training: dict[str, Any] = {}
    if numbers.n_epochs != "auto":
        training["num_train_epochs"] = numbers.n_epochs
    if numbers.batch_size != "auto":
        training["per_device_train_batch_size"] = numbers.batch_size
    if numbers.learning_rate_multiplier != "auto":
        training["learning_rate"] = defaults.learning_rate * numbers.learning_rate_multiplier
    if numbers.eval_interval != "auto":
        training["eval_steps"] = numbers.eval_interval
    if asked.seed is not None:
        training["seed"] = asked.seed
    values: dict[str, Any] = {
        "name": asked.suffix or f"fine-tune {asked.method.type}",
        "objective": OBJECTIVES[asked.method.type], "model": {"name_or_path": asked.model},
        "data": {"train": [train], "eval": [evaluation] if evaluation else []},
        "training": training}
    if numbers.beta != "auto":
        values["dpo"] = {"beta": numbers.beta}
    if reward is not None:
        values["rollout"] = {"rewards": [reward]}
    return values
