"""Chat templates: from messages to text, and which characters of it the assistant says.

Templates come with models, so they are strangers' code: they render in a sandbox, and only in
trainer processes. Two things are tracked with characters that no text has (U+FDD0..U+FDEF, see
``sandbox``): what ``{% generation %}`` marks, and special tokens that stand inside a message,
which have to stay text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.files import read_json
from trainer.data.messages import Message
from trainer.data.sandbox import (
    GENERATION,
    LITERAL,
    CompiledTemplate,
    TemplateError,
    compile_template,
    replace_noncharacters,
)

Span = tuple[int, int]
_SPECIAL_NAMES = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token",
                  "mask_token")
_SENTINELS = re.compile("[" + "".join((*GENERATION, *LITERAL)) + "]")


@dataclass(frozen=True)
class Rendered:
    """A conversation as text.

    ``trained``: spans [start, end) in characters of what the assistant says, end-of-turn token
    included, in order. ``literal``: spans that look like special tokens but came from a message.
    """

    text: str
    trained: tuple[Span, ...] = ()
    literal: tuple[Span, ...] = ()


class ChatTemplate:
    """A model's chat template with the special tokens that it may name."""

    def __init__(self, source: str, *, variables: Mapping[str, str] | None = None,
                 special_tokens: Iterable[str] = ()) -> None:
        """Compile a template.

        Args:
            source: The template's text.
            variables: What the template may name, e.g. ``{"bos_token": "<s>"}``.
            special_tokens: Every token that the tokenizer treats as special.

        Raises:
            TemplateError: It does not compile.
        """
        self.source = source
        self.variables = dict(variables or {})
        self._specials = {*special_tokens, *self.variables.values()} - {""}
        longest_first = sorted(self._specials, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._template: CompiledTemplate = compile_template(source)

    @classmethod
    def from_folder(cls, folder: Path) -> ChatTemplate:
        """Read the template of a model: chat_template.jinja, else tokenizer_config.json.

        Raises:
            TemplateError: There is none (``no_chat_template``), or it does not compile.
        """
        config = _object(read_json(folder / "tokenizer_config.json"))
        source = _source(folder, config)
        if not source:
            raise TemplateError("no_chat_template", f"The model in '{folder}' has no chat "
                                "template.", "Choose a chat model, or add chat_template.jinja.")
        named = config | _object(read_json(folder / "special_tokens_map.json"))
        variables = {name: text for name in _SPECIAL_NAMES if (text := _token(named.get(name)))}
        return cls(source, variables=variables, special_tokens=_special_tokens(folder, config))

    @property
    def has_marks(self) -> bool:
        """Whether the template itself marks what the assistant says."""
        return self._template.has_marks

    @property
    def digest(self) -> str:
        """SHA-256 of the template's text, for a run's manifest."""
        return hashlib.sha256(self.source.encode("utf-8")).hexdigest()

    def render(self, messages: Sequence[Message | Mapping[str, Any]],
               tools: Sequence[Mapping[str, Any]] | None = None, *,
               add_generation_prompt: bool = False) -> Rendered:
        """Render a conversation and find what the assistant says in it.

        Args:
            messages: The turns.
            tools: Tools in OpenAI's form.
            add_generation_prompt: End with the beginning of an assistant's turn; then nothing
                is looked for, and ``trained`` is empty.

        Raises:
            TemplateError: The template refuses the conversation, is too large or slow to finish,
                or what the assistant says cannot be told apart.
        """
        turns = [Message.of(message) for message in messages]
        text, marked, literal = self._parse(self._raw(turns, tools, add_generation_prompt))
        whole = Rendered(text, literal=literal)
        if add_generation_prompt or not any(turn.role == "assistant" for turn in turns):
            return whole
        trained = (self._from_marks(whole, marked) if self.has_marks
                   else self._from_prefixes(whole, turns, tools))
        return Rendered(text, trained, literal)

    def render_answer(self, prompt: Sequence[Message], answer: Sequence[Message],
                      tools: Sequence[Mapping[str, Any]] | None = None) -> Rendered:
        """Render a prompt and one answer to it; only the answer is trained.

        The prompt's text is ``text[:trained[0][0]]``: what the model is given when it answers.

        Raises:
            TemplateError: As ``render``, or the prompt does not begin the whole text.
        """
        whole = self.render([*prompt, *answer], tools)
        start = self._turn_start(whole, prompt, tools, is_last=True)
        end = whole.trained[-1][1] if whole.trained else 0
        if end <= start:
            raise TemplateError("not_prefix_consistent", "The chat template shows nothing of the "
                                "assistant's last turn.", "Choose another model or template.")
        return Rendered(whole.text, ((start, end),), whole.literal)

    def _raw(self, turns: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None,
             add_generation_prompt: bool) -> str:
        return self._template.render(
            messages=self._guarded([turn.document() for turn in turns]),
            tools=self._guarded(list(tools)) if tools else None,
            add_generation_prompt=add_generation_prompt, **self.variables)

    def _guarded(self, value: Any) -> Any:
        """Copy messages or tools with special tokens in their texts wrapped as literal."""
        if isinstance(value, str):
            text = replace_noncharacters(value)
            return self._special.sub(f"{LITERAL[0]}\\g<0>{LITERAL[1]}", text)
        if isinstance(value, Mapping):
            return {key: item if key == "role" else self._guarded(item)
                    for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._guarded(item) for item in value]
        return value

    def _parse(self, raw: str) -> tuple[str, tuple[Span, ...], tuple[Span, ...]]:
        """Take the sentinels out of a raw text; return (text, generation spans, literal spans)."""
        parts: list[str] = []
        begun: dict[str, int] = {}
        spans: dict[str, list[Span]] = {GENERATION[0]: [], LITERAL[0]: []}
        length = last = 0
        closes = {GENERATION[1]: GENERATION[0], LITERAL[1]: LITERAL[0]}
        for found in _SENTINELS.finditer(raw):
            parts.append(raw[last:found.start()])
            length += found.start() - last
            last, sentinel = found.end(), found[0]
            if sentinel in spans:
                begun[sentinel] = length
            elif (start := begun.pop(closes[sentinel], None)) is not None and start < length:
                spans[closes[sentinel]].append((start, length))
        text = "".join(parts) + raw[last:]
        return text, tuple(spans[GENERATION[0]]), tuple(spans[LITERAL[0]])

    def _from_marks(self, whole: Rendered, marked: tuple[Span, ...]) -> tuple[Span, ...]:
        """Take the template's own marks, each with an end-of-turn token that follows it."""
        if not marked:
            raise TemplateError("no_marks", "The chat template marks nothing in a conversation "
                                "with an assistant's turn.", "Correct its generation marks.")
        eos = self.variables.get("eos_token", "")
        spans: list[Span] = []
        for start, end in marked:
            ends = not eos or whole.text.endswith(eos, start, end)
            if not ends and whole.text.startswith(eos, end):
                end += len(eos)
            if spans and start <= spans[-1][1]:
                start, end = spans[-1][0], max(end, spans.pop()[1])
            spans.append((start, end))
        return tuple(spans)

    def _from_prefixes(self, whole: Rendered, turns: Sequence[Message],
                       tools: Sequence[Mapping[str, Any]] | None) -> tuple[Span, ...]:
        """Find each assistant turn between what is rendered before it and what ends it."""
        spans: list[Span] = []
        said = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        for index in said:
            start = self._turn_start(whole, turns[:index], tools, is_last=index == said[-1])
            end = self._turn_end(whole, start, turns[:index + 1], tools)
            if spans and start < spans[-1][1]:
                raise _inconsistent(index, "turns overlap")
            spans.append((start, end))
        return tuple(spans)

    def _turn_start(self, whole: Rendered, before: Sequence[Message],
                    tools: Sequence[Mapping[str, Any]] | None, *, is_last: bool) -> int:
        """Return where the assistant begins: after what the model is given, verified.

        Before an earlier turn the header may be shorter than the one that a model is given
        today (which may open a thought, say): then what both begin with is the header.
        """
        prompt, _, literal = self._parse(self._raw(before, tools, True))
        if whole.text.startswith(prompt):
            return len(prompt)
        base, _, _ = self._parse(self._raw(before, tools, False))
        shared = _common(prompt, whole.text)
        edges = [m.end() for m in self._special.finditer(prompt, 0, shared)
                 if m.span() not in literal]
        edge = max([prompt.rfind("\n", 0, shared) + 1, *edges])
        if is_last or edge <= len(base) or not whole.text.startswith(base):
            raise _inconsistent(len(before), "the text before it changes with what comes after it")
        return edge

    def _turn_end(self, whole: Rendered, start: int, upto: Sequence[Message],
                  tools: Sequence[Mapping[str, Any]] | None) -> int:
        """Return where an assistant's turn ends: after its end-of-turn token if it has one.

        That is the last special token that stands both in the conversation so far and in the
        whole one, after what is said; where a template shows earlier turns differently, the
        first token of that kind.
        """
        index = len(upto) - 1
        text, _, literal = self._parse(self._raw(upto, tools, False))
        closing = [m for m in self._special.finditer(text, start) if m.span() not in literal]
        if not closing:
            if not whole.text.startswith(text):
                raise _inconsistent(index, "its text changes with what comes after it")
            return len(text)
        content = upto[-1].content.strip()
        spoken = max(text.find(content, start), start) + len(content)
        shared = _common(text, whole.text)
        kept = [m.end() for m in closing if spoken <= m.start() and m.end() <= shared]
        if kept:
            return kept[-1]
        for found in self._special.finditer(whole.text, start):
            if found[0] == closing[-1][0] and found.span() not in whole.literal:
                return found.end()
        raise _inconsistent(index, f"its end-of-turn token {closing[-1][0]!r} vanishes")


def _inconsistent(index: int, why: str) -> TemplateError:
    return TemplateError("not_prefix_consistent",
                         f"The chat template does not show what the assistant says in turn "
                         f"{index + 1}: {why}.",
                         "Use a template with {% generation %} marks.")


def _common(a: str, b: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _token(value: Any) -> str:
    """Return a special token's text; it is written as a text or as an object."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def _source(folder: Path, config: dict[str, Any]) -> str:
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise TemplateError("template_broken", f"chat_template.jinja cannot be read: {error}.",
                            "Save it as UTF-8.") from None
    value = config.get("chat_template")
    if isinstance(value, list):
        named = {_object(item).get("name"): _object(item).get("template") for item in value}
        value = named.get("default") or next(iter(named.values()), None)
    return value if isinstance(value, str) else ""


def _special_tokens(folder: Path, config: dict[str, Any]) -> set[str]:
    """Return every token that is marked special, from tokenizer.json and the config."""
    added = _object(read_json(folder / "tokenizer.json")).get("added_tokens")
    known = [*(added if isinstance(added, list) else []),
             *_object(config.get("added_tokens_decoder")).values()]
    return {_token(item) for item in known if _object(item).get("special")} - {""}
