"""What a client may send, field by field; the names are OpenAI's and vLLM's."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
)

from trainer.serving.failures import Refused
from trainer.serving.picking import Sampling

MAX_ANSWERS = 16
MAX_STOPS = 16
_SAMPLED = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
            "frequency_penalty", "seed")
_REASONS = {"chat_template": "A chat template comes from the run or the tokenizer, never from a "
                             "request."}
Token = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]
# What a chat template may be told: plain values, which say nothing as a program.
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._-]{0,64}$")]
Plain = StrictBool | StrictInt | StrictFloat | Word | None


class Wire(BaseModel):
    """A document of a request: what is not known is refused, as OpenAI does."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class StreamOptions(Wire):
    """What a stream tells besides."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Sampled(Wire):
    """What both ways to ask have in common.

    The fields from ``user`` on are taken and change nothing.
    """

    model: str = ""
    max_tokens: int | None = Field(None, ge=1)
    temperature: Number | None = Field(None, ge=0)
    top_p: Number | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1)
    min_p: Number | None = Field(None, ge=0, le=1)
    repetition_penalty: Number | None = Field(None, gt=0)
    presence_penalty: Number | None = Field(None, ge=-2, le=2)
    frequency_penalty: Number | None = Field(None, ge=-2, le=2)
    logit_bias: dict[Token, Number] | None = None
    seed: int | None = None
    n: int | None = Field(None, ge=1, le=MAX_ANSWERS)
    stop: str | list[str] | None = None
    stop_token_ids: list[Token] | None = None
    ignore_eos: bool = False
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool | None = False
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None

    def sampling(self, defaults: Sampling, vocabulary: int) -> Sampling:
        """Return how to draw; what is left out has the model's defaults.

        Raises:
            Refused: A bias is for a token that there is not.
        """
        given = {name: value for name in _SAMPLED
                 if (value := getattr(self, name, None)) is not None}
        if "top_k" in given:
            given["top_k"] = max(0, given["top_k"])
        bias = self.logit_bias or {}
        if any(token >= vocabulary for token in bias):
            raise Refused(f"A bias is for a token beyond the {vocabulary:,} that the model has.",
                          code="invalid_value", param="logit_bias")
        return replace(defaults, **given, logit_bias=bias)

    def stops(self) -> tuple[str, ...]:
        """Return the texts that end an answer; Refused when one is empty or there are too many."""
        found = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        if len(found) > MAX_STOPS or not all(found):
            raise Refused(f"'stop' holds up to {MAX_STOPS} texts that are not empty.",
                          code="invalid_value", param="stop")
        return found

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def answers(self) -> int:
        """How many answers each prompt gets."""
        return self.n or 1


class JsonSchema(BaseModel):
    """The schema that an answer has to follow."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: str = ""
    description: str = ""
    definition: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    """The form that an answer has to have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(Sampled):
    """``POST /v1/chat/completions``."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    chat_template_kwargs: dict[Name, Plain] | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: None = None
    modalities: list[Literal["text"]] | None = None

    def wanted_logprobs(self) -> int | None:
        """Return how many of the likeliest tokens are told of, None for no log-probability."""
        if self.top_logprobs and not self.logprobs:
            raise Refused("'top_logprobs' needs 'logprobs' to be true.", code="invalid_value",
                          param="top_logprobs")
        return (self.top_logprobs or 0) if self.logprobs else None

    def offers_tools(self) -> bool:
        """Tell whether tools may be called; Refused when one would have to be."""
        if self.tool_choice not in (None, "auto", "none"):
            raise Refused("This engine cannot force a tool call: 'tool_choice' is 'auto' or "
                          "'none'.", code="unsupported_value", param="tool_choice")
        return bool(self.tools) and self.tool_choice != "none"


class CompletionRequest(Sampled):
    """``POST /v1/completions``: a text goes on, or is only looked at (``max_tokens`` 0)."""

    prompt: str | list[str] | list[Token] | list[list[Token]]
    max_tokens: int | None = Field(None, ge=0)
    logprobs: int | None = Field(None, ge=0, le=20)
    prompt_logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool | None = False
    add_special_tokens: bool = True
    suffix: None = None
    best_of: int | None = None
    response_format: ResponseFormat | None = None

    def prompt_top(self) -> int | None:
        """Return how many of the likeliest tokens to tell of at each place of the prompt.

        None tells nothing of it. As with vLLM, ``echo`` with ``logprobs`` tells of the prompt too.

        Raises:
            Refused: Nothing is asked for, or the prompt is to be told of in a stream.
        """
        if self.max_tokens == 0 and not self.echo and self.prompt_logprobs is None:
            raise Refused("'max_tokens' 0 asks for nothing: it needs 'echo' or 'prompt_logprobs'.",
                          code="invalid_value", param="max_tokens")
        asked = [one for one in (self.prompt_logprobs, self.logprobs if self.echo else None)
                 if one is not None]
        if self.stream and (asked or self.echo):
            raise Refused("This engine tells of a prompt in whole answers only: leave out "
                          "'stream', or 'echo' and 'prompt_logprobs'.",
                          code="unsupported_value", param="stream")
        return max(asked) if asked else None


class EmbeddingRequest(Wire):
    """``POST /v1/embeddings``."""

    model: str = ""
    input: str | list[str] | list[Token] | list[list[Token]]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: None = None
    user: Any = None


class LoadAdapter(Wire):
    """``POST /v1/load_lora_adapter``, as vLLM has it."""

    lora_name: str = Field(min_length=1, max_length=256)
    lora_path: str = Field(min_length=1, max_length=4096)


class UnloadAdapter(Wire):
    """``POST /v1/unload_lora_adapter``, as vLLM has it."""

    lora_name: str
    lora_int_id: Any = None


Kind = TypeVar("Kind", bound=BaseModel)


def read(kind: type[Kind], body: bytes) -> Kind:
    """Read a request.

    Raises:
        Refused: It is no JSON, or a field is wrong or unknown.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    place = [str(part) for part in first["loc"]]
    param = place[0] if place else None
    if first["type"] == "json_invalid":
        raise Refused(f"The request is no JSON: {first['msg']}.", code="invalid_json")
    if first["type"] == "extra_forbidden":
        why = _REASONS.get(place[-1], "This engine does not know it.")
        raise Refused(f"Unrecognized request argument supplied: {'.'.join(place)}. {why}",
                      code="unknown_parameter", param=param)
    if first["type"] == "missing":
        raise Refused(f"You must provide '{'.'.join(place)}'.", code="missing_parameter",
                      param=param)
    raise Refused(f"'{'.'.join(place)}': {first['msg']}.", code="invalid_value", param=param)
