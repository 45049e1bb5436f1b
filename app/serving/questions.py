"""What a client asks at /v1, and what of it may reach an engine.

Chat templates are programs, addresses would be fetched by the engine, tensors are unpickled there:
a question that carries one is refused, not trimmed, so that nobody wonders about an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from app.serving.openai_errors import ApiError

# The field that a question cannot do without.
NEEDED = {"/chat/completions": "messages", "/completions": "prompt", "/embeddings": "input"}
_REFUSED = {
    "chat_template": "a chat template is a program, and the model's own is used",
    "prompt_embeds": "tensors in a question are not unpacked",
    "logits_processors": "it names a program",
    "mm_processor_kwargs": "it sets options of the engine's own code",
    "media_io_kwargs": "it sets options of the engine's own code",
    "kv_transfer_params": "it sends the engine to other machines",
}
# Parameters of apply_chat_template; everything else is a variable that the template may read.
_NO_VARIABLES = frozenset({
    "chat_template", "conversation", "messages", "tools", "documents", "add_generation_prompt",
    "continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors",
    "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "tokenizer"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9 ._-]{0,64}")
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Question:
    """A question that may be passed on.

    Attributes:
        path: '/chat/completions', '/completions' or '/embeddings'.
        name: The model as the client calls it.
        stream: Whether the answer comes piece by piece.
        body: The whole question.
    """

    path: str
    name: str
    stream: bool
    body: dict[str, Any]

    @property
    def wants_likelihoods(self) -> bool:
        """Whether it asks how likely its own text is."""
        told = self.body.get("echo") and self.body.get("logprobs") is not None
        return bool(told) or self.body.get("prompt_logprobs") is not None

    def to(self, model: str) -> bytes:
        """Return the question for a server that calls the model so."""
        return orjson.dumps({**self.body, "model": model})


def read_question(path: str, raw: bytes) -> Question:
    """Read and check the body of a request.

    Args:
        path: A key of NEEDED.
        raw: The body.

    Raises:
        ApiError: 400 with the field that is wrong.
    """
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        raise ApiError(400, "invalid_json", f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_json", "The body is not a JSON object.")
    name, stream = body.get("model"), body.get("stream")
    if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_NAME:
        raise _wrong("model", "'model' names the model to ask; GET /v1/models lists them.")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong("stream", "'stream' is true or false.")
    _check_content(path, body)
    _check_refused(body)
    _check_variables(body.get("chat_template_kwargs"))
    return Question(path, name, bool(stream), body)


def _wrong(param: str, message: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, code, message, param)


def _check_content(path: str, body: dict[str, Any]) -> None:
    needed, content = NEEDED[path], body.get(NEEDED[path])
    if content is None or content in ("", []):
        raise _wrong(needed, f"'{needed}' is missing or empty.", "missing_required_parameter")
    if needed != "messages":
        return
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise _wrong("messages", "'messages' is a list of objects with 'role' and 'content'.")


def _check_refused(body: dict[str, Any]) -> None:
    for field, reason in _REFUSED.items():
        if body.get(field) is not None:
            raise _wrong(field, f"'{field}' is not accepted here: {reason}.",
                         "unsupported_parameter")
    # Any endpoint may be given messages: vLLM's /embeddings reads them too.
    messages = body.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        for kind, value in _parts(message.get("content") if isinstance(message, dict) else None):
            if kind.endswith("_embeds"):
                raise _wrong(f"messages.{number}", f"'{kind}' is not accepted here: tensors in a "
                             "question are not unpacked.", "unsupported_parameter")
            if (kind == "url" or kind.endswith("_url")) and not _is_data(value):
                raise _wrong(f"messages.{number}", "Addresses in messages are not fetched. Send "
                             "the picture itself: data:image/png;base64,...", "url_not_allowed")


def _parts(content: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every (key, value) in the parts of a message, and ('...', None) for their types."""
    if depth > 8:
        raise _wrong("messages", "A message is nested too deeply.")
    if isinstance(content, list):
        for part in content:
            yield from _parts(part, depth + 1)
    elif isinstance(content, dict):
        if isinstance(kind := content.get("type"), str) and kind.endswith("_embeds"):
            yield kind, None
        for key, value in content.items():
            yield key, value
            yield from _parts(value, depth + 1)


def _is_data(value: Any) -> bool:
    """Tell whether what stands where an address may stand holds none; inner ones come later."""
    return value is None or isinstance(value, dict | list) or (
        isinstance(value, str) and value[:5].lower() == "data:")


def _check_variables(variables: Any) -> None:
    """Let only plain values through to the template, such as ``enable_thinking: false``."""
    if variables is None:
        return
    if not isinstance(variables, dict):
        raise _wrong("chat_template_kwargs", "'chat_template_kwargs' is an object.")
    for name, value in variables.items():
        plain = value is None or isinstance(value, bool | int | float) or (
            isinstance(value, str) and _WORD.fullmatch(value))
        if name in _NO_VARIABLES or not _VARIABLE.fullmatch(name) or not plain:
            raise _wrong("chat_template_kwargs", f"'{name[:64]}' is not accepted in "
                         "'chat_template_kwargs': only plain values that the template reads, "
                         "such as enable_thinking.", "unsupported_parameter")
