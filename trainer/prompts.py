"""Chat templates as the trainer uses them: described and rendered in a process with limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.contract.files import read_json
from trainer.data.children.workers import DataWorker
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.sandbox import TemplateError

START_S = 120.0
AT_ONCE = 500
Prompt = Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """A chat template by name ('auto' for the tokenizer's own) and what is known of it.

    ``how`` says how the assistant's words are told apart: marked, rewritten or derived. The tokens
    ``eos_ids`` end an answer, and so do the texts ``stop_strings``, which the tokenizer does not
    know as tokens. A model without a template has ``source`` "".
    """

    name: str
    source: str = ""
    digest: str = ""
    how: str = ""
    reason: str = ""
    eos_ids: tuple[int, ...] = ()
    stop_strings: tuple[str, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether it is the model's own."""
        return self.name == "auto"


class Prompter:
    """One model's tokenizer with one chat template, in a worker process."""

    def __init__(self, folder: Path, name: str = "auto",
                 worker: DataWorker | None = None) -> None:
        """Start nothing yet; without a worker there will be one of its own."""
        self._model = {"model_folder": str(folder), "template": name}
        self._folder, self._name = folder, name
        self._worker = worker or DataWorker()

    def describe(self) -> Template:
        """Say what the template is.

        Raises:
            TemplateError: There is none, or it cannot be used.
            DatasetError: Nothing ends an answer, or the worker cannot work.
        """
        found = self._worker.call("describe", self._model, timeout_s=START_S)
        ids, texts = _ends(self._folder, found["eos_ids"], found["stop_strings"])
        return Template(self._name, found["template_source"], found["digest"], found["how"],
                        found["reason"], ids, texts)

    def describe_if_any(self) -> Template:
        """Say what the template is; a base for plain text needs none."""
        with suppress(TemplateError, DatasetError):
            return self.describe()
        return Template(self._name, eos_ids=_named_ends(self._folder))

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return each prompt's tokens, up to where the assistant begins.

        Args:
            prompts: ``{"messages": [...], "tools": [...] or None}``, with ``values`` where the
                template is told more, such as ``{"enable_thinking": False}``.

        Raises:
            TemplateError: The template refuses one of them.
        """
        return [found["input_ids"] for found in self.render(prompts)]

    def render(self, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        """Return ``{"input_ids", "text"}`` of each prompt; see ``encode``."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(prompts), AT_ONCE):
            some = list(prompts[start:start + AT_ONCE])
            found += self._worker.call("encode_prompts", {**self._model, "prompts": some},
                                       timeout_s=START_S)["prompts"]
        return found

    def close(self) -> None:
        """End the worker; a later call starts another."""
        self._worker.close()

    def __enter__(self) -> Prompter:
        """Return the prompter; leaving the block ends its worker."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the worker."""
        self.close()


def _ends(folder: Path, eos_ids: Sequence[int],
          stops: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return what ends an answer: token ids, and the texts that are no tokens of their own."""
    if not stops:
        return tuple(eos_ids), ()
    added: Any = (read_json(folder / "tokenizer.json") or {}).get("added_tokens") or []
    known = {token.get("content"): token.get("id") for token in added}
    ids = [*eos_ids, *(known[text] for text in stops if text in known)]
    return tuple(dict.fromkeys(ids)), tuple(text for text in stops if text not in known)


def _named_ends(folder: Path) -> tuple[int, ...]:
    """Return the tokens that a model's configs name as an end."""
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        value: Any = (read_json(folder / name) or {}).get("eos_token_id")
        found += value if isinstance(value, list) else [value] if isinstance(value, int) else []
    return tuple(dict.fromkeys(found))
