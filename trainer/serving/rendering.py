"""Conversations as the tokens of a prompt: the run's or the tokenizer's template, no other."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.contract.files import read_json, write_json
from trainer.contract.models import ModelError
from trainer.contract.places import template_names
from trainer.data.children.workers import DataWorker
from trainer.data.reading.rows import DatasetError, RowError
from trainer.data.shapes.toolcalls import parse_calls
from trainer.data.templates.library import library
from trainer.data.templates.sandbox import TemplateError
from trainer.data.templates.special_tokens import read_source
from trainer.prompts import Prompter, Template
from trainer.serving.failures import Refused

_LINKED = ("tokenizer.json", "special_tokens_map.json", "generation_config.json", "config.json")
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant",
          "tool": "tool"}
_KEPT = ("name", "tool_call_id", "reasoning_content")


class Rendering:
    """One chat template on the served tokenizer.

    ``problem`` says why there is none: then only plain text can be continued.
    """

    def __init__(self, prompter: Prompter) -> None:
        """Describe the template; starts the worker when it is the first."""
        self._prompter = prompter
        self.problem: Refused | None = None
        self.template: Template
        try:
            self.template = prompter.describe()
        except (TemplateError, DatasetError) as error:
            self.template = prompter.describe_if_any()
            self.problem = Refused(f"{error} {error.advice}".strip(), code=error.code)

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        return self.template.eos_ids

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The texts that end an answer, where these are no tokens."""
        return self.template.stop_strings

    def encode(self, messages: Sequence[Mapping[str, Any]],
               tools: Sequence[Mapping[str, Any]] | None,
               values: Mapping[str, Any] | None = None) -> list[int]:
        """Return a conversation's tokens, up to where the assistant begins.

        ``values`` are plain ones that the template may read, such as ``enable_thinking``.

        Raises:
            Refused: There is no template, or it refuses the conversation.
        """
        if self.problem:
            raise self.problem
        turns = [_turn(message, index) for index, message in enumerate(messages)]
        try:
            return self._prompter.encode([{"messages": turns, "tools": tools,
                                           "values": dict(values or {})}])[0]
        except (TemplateError, DatasetError) as error:
            raise Refused(f"{error} {error.advice}".strip(), code=error.code,
                          param="messages") from None


class Renderings:
    """The templates of what is served: the base's own or the one asked for, and the adapters'."""

    def __init__(self, folder: Path, template: str) -> None:
        """Prepare; the worker starts with the first template.

        Args:
            folder: The base model.
            template: 'auto', the name of one that comes with Finestra, a .jinja file, or a folder
                that has one.

        Raises:
            ModelError: There is no such template.
        """
        self._folder, self._asked = folder, template
        self._scratch = Path(tempfile.mkdtemp(prefix="finestra-templates-"))
        self._worker = DataWorker()
        self._known: dict[str, Rendering] = {}
        try:
            self.base = self._of(template)
        except BaseException:
            self.close()
            raise

    def of_adapter(self, folder: Path) -> Rendering:
        """Return the template that an adapter was trained with, where none was asked for.

        Raises:
            ModelError: The adapter comes with another tokenizer than the base's.
        """
        own, ours = folder / "tokenizer.json", self._folder / "tokenizer.json"
        if own.is_file() and own.read_bytes() != ours.read_bytes() \
                and read_json(own) != read_json(ours):
            raise ModelError("adapter_tokenizer", f"The adapter '{folder}' has another tokenizer "
                             "than the base model.", "Serve it on the base it was trained on.")
        if self._asked != "auto" or not read_source(folder):
            return self.base
        return self._of(str(folder))

    def _of(self, name: str) -> Rendering:
        key = name
        if name not in template_names():
            source = self._own() if name == "auto" else _source(Path(name))
            key = self._name_of(source) or f"text:{source}"
        if key not in self._known:
            folder = self._folder if not key.startswith("text:") else self._overlay(key[5:])
            named = "auto" if key.startswith("text:") else key
            self._known[key] = Rendering(Prompter(folder, named, self._worker))
        return self._known[key]

    def _own(self) -> str:
        """Return the base's template, '' also for one that cannot be read: `describe` says why."""
        try:
            return read_source(self._folder)
        except TemplateError:
            return ""

    def _name_of(self, source: str) -> str:
        """Return what a template is known by: its ends are known with it, too."""
        named = next((known.name for known in library() if known.source == source), "")
        return named or ("auto" if source == self._own() else "")

    def _overlay(self, source: str) -> Path:
        """Return a folder with the base's tokenizer and another template."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        for name in _LINKED:
            if (self._folder / name).is_file():
                (folder / name).symlink_to((self._folder / name).resolve())
        config = read_json(self._folder / "tokenizer_config.json") or {}
        config.pop("chat_template", None)
        write_json(folder / "tokenizer_config.json", config)
        (folder / "chat_template.jinja").write_text(source, encoding="utf-8")
        return folder

    def close(self) -> None:
        """End the worker and remove what was laid out for it."""
        self._worker.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Renderings:
        """Return itself; leaving the block closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()


def _source(path: Path) -> str:
    """Return the template in a file or a folder; ModelError when there is none."""
    try:
        source = read_source(path) if path.is_dir() else path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        source = ""
    if not source:
        raise ModelError("unknown_template", f"There is no chat template '{path}'.",
                         "Use 'auto', a .jinja file, a folder that has one, or one of: "
                         f"{', '.join(template_names())}.")
    return source


def _turn(message: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return a message as templates read it; Refused when it cannot be."""
    param = f"messages[{index}]"
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise Refused(f"'{message.get('role')}' is no role; roles are {', '.join(_ROLES)}.",
                      code="invalid_role", param=f"{param}.role")
    turn: dict[str, Any] = {"role": role, "content": _text(message.get("content"), param)}
    turn |= {key: message[key] for key in _KEPT if isinstance(message.get(key), str)}
    if message.get("tool_calls"):
        try:
            turn["tool_calls"] = list(parse_calls(message["tool_calls"], "tool_calls"))
        except RowError as error:
            raise Refused(f"The message {error}.", code="invalid_tool_calls",
                          param=f"{param}.tool_calls") from None
    return turn


def _text(content: Any, param: str) -> str:
    """Return a message's text; its parts are joined by line breaks, as vLLM does."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts = []
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise Refused(f"This engine reads text only, not '{kind}'.",
                          code="unsupported_content", param=f"{param}.content")
        texts.append(text)
    return "\n".join(texts)
