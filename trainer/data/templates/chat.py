"""Chat templates: from messages to text, and which characters of it the assistant says.

Templates come with models, so they are strangers' code: they render in a sandbox, and only in
worker processes. Two things are tracked with characters that no text has (see ``marks``): what
``{% generation %}`` marks, and special tokens that stand inside a message, which have to stay
text.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from trainer.data.shapes.messages import Message
from trainer.data.templates.guard import Guard
from trainer.data.templates.library import NamedTemplate, read_template
from trainer.data.templates.marks import Parsed, Rendered, Span, parse
from trainer.data.templates.prefixes import Prefixes
from trainer.data.templates.probes import (
    shows_tools,
    wants_parts,
    wants_text_arguments,
    with_parts,
    with_text_arguments,
)
from trainer.data.templates.rewrite import Rewrite, learn
from trainer.data.templates.sandbox import CompiledTemplate, TemplateError, compile_template
from trainer.data.templates.special_tokens import (
    find_end_token,
    read_source,
    read_special_tokens,
    read_tool_source,
    read_variables,
)

__all__ = ["ChatTemplate", "How", "Rendered", "Span", "TemplateError", "choose_template"]
How = Literal["marked", "rewritten", "derived", "refused"]
Messages = Sequence[Message | Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
Plain = bool | int | float | str | None


class ChatTemplate:
    """A chat template with the special tokens that it may name.

    ``name`` is 'auto' for a model's own. ``eos`` ends an answer ("" when nothing does), and
    ``stop_strings`` are all texts at which a reply ends, for a tokenizer that does not know them
    as tokens.
    """

    def __init__(self, source: str, *, variables: Mapping[str, str] | None = None,
                 special_tokens: Iterable[str] = (), named: NamedTemplate | None = None) -> None:
        """Compile a template.

        Args:
            source: The template's text.
            variables: What the template may name, e.g. ``{"bos_token": "<s>"}``.
            special_tokens: Every token that the tokenizer treats as special.
            named: What is known of a template that comes with Finestra.

        Raises:
            TemplateError: It does not compile.
        """
        self.source = source
        self.variables = dict(variables or {})
        self._guard = Guard({*special_tokens, *self.variables.values()})
        self._named = named
        self._template = compile_template(source)
        self._with_tools: ChatTemplate | None = None
        self._values: dict[str, Plain] = {}
        self.name = named.name if named else "auto"
        self.eos = self.variables.get("eos_token", "")
        if named and named.end != "eos":
            self.eos = named.end
        stops = (self.eos, *named.stop) if named else ()
        self.stop_strings = tuple(dict.fromkeys(stop for stop in stops if stop))

    @classmethod
    def from_folder(cls, folder: Path) -> ChatTemplate:
        """Read the template of a model: chat_template.jinja, else tokenizer_config.json.

        Raises:
            TemplateError: There is none (``no_chat_template``), or it does not compile.
        """
        source = read_source(folder)
        if not source:
            raise TemplateError("no_chat_template", f"The model in '{folder}' has no chat "
                                "template.", "Choose one by name, such as chatml, or a chat "
                                "model, or add chat_template.jinja.")
        variables, special = read_variables(folder), read_special_tokens(folder)
        template = cls(source, variables=variables, special_tokens=special)
        if with_tools := read_tool_source(folder):
            template._with_tools = cls(with_tools, variables=variables, special_tokens=special)
        return template

    @classmethod
    def named(cls, name: str, tokenizer_folder: Path | None = None) -> ChatTemplate:
        """Take a template that comes with Finestra, with a tokenizer's special tokens.

        Args:
            name: Such as chatml.
            tokenizer_folder: Without one, a text begins with <s> and ends with </s>.

        Raises:
            TemplateError: There is none of that name, or it needs an end-of-text token and the
                tokenizer has none (``no_end_token``).
        """
        found = read_template(name)
        if tokenizer_folder is None:
            return cls(found.source, variables={"bos_token": "<s>", "eos_token": "</s>"},
                       named=found)
        variables = read_variables(tokenizer_folder)
        if end := variables.get("eos_token") or find_end_token(tokenizer_folder):
            variables["eos_token"] = end
        elif found.end == "eos":
            raise TemplateError("no_end_token", f"The template '{name}' ends answers with the "
                                "tokenizer's end-of-text token, and this one names none.",
                                "Set eos_token in tokenizer_config.json, or choose a template "
                                "with its own end, such as chatml.")
        return cls(found.source, variables=variables, named=found,
                   special_tokens=read_special_tokens(tokenizer_folder))

    @property
    def has_marks(self) -> bool:
        """Whether the template itself marks what the assistant says."""
        return self._template.has_marks

    @property
    def how(self) -> How:
        """How is known what the assistant says."""
        return "marked" if self.has_marks else self._rewrite.how

    @property
    def reason(self) -> str:
        """Why it is known in that way, for people."""
        found = ("The template marks what the assistant says." if self.has_marks
                 else self._rewrite.reason)
        return found if self.shows_tools else f"{found} It shows no tools."

    @cached_property
    def shows_tools(self) -> bool:
        """Whether tools, calls and their results stand in the text."""
        if self._with_tools:
            return self._with_tools.shows_tools
        return shows_tools(lambda turns, tools: self._render(self._template, turns, tools).text)

    @cached_property
    def _wants_text(self) -> bool:
        """Whether a call's arguments have to be text, because the template joins them to text."""
        return wants_text_arguments(self._template, self.variables)

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether texts have to be parts of a list, because else the template leaves them out."""
        return wants_parts(self._template, self.variables)

    @property
    def digest(self) -> str:
        """SHA-256 of the template's text, and of the one for tools, for a run's manifest."""
        text = self.source + (f"\0{self._with_tools.source}" if self._with_tools else "")
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def render(self, messages: Messages, tools: Tools | None = None, *,
               add_generation_prompt: bool = False, train_on_prompt: bool = False,
               mask_history: bool = False) -> Rendered:
        """Render a conversation and find what the assistant says in it.

        Args:
            messages: The turns.
            tools: Tools in OpenAI's form.
            add_generation_prompt: End with the beginning of an assistant's turn; then nothing
                is looked for, and ``trained`` is empty.
            train_on_prompt: Learn everything, whoever says it.
            mask_history: Learn no answer but the last.

        Raises:
            TemplateError: The template refuses the conversation, is too large or slow to finish,
                or what the assistant says cannot be told apart.
        """
        if tools and self._with_tools:
            return self._with_tools.render(
                messages, tools, add_generation_prompt=add_generation_prompt,
                train_on_prompt=train_on_prompt, mask_history=mask_history)
        turns = [m if type(m) is Message else _turn(m) for m in messages]
        whole = (self._render(self._template, turns, tools, True) if add_generation_prompt
                 else self._whole(turns, tools))
        if add_generation_prompt:
            return Rendered(whole.text, literal=whole.literal)
        answers: tuple[Span, ...] = ()
        if any(turn.role == "assistant" for turn in turns):
            answers = self._answers(whole, turns, tools)
        trained = answers
        if mask_history and len(answers) > 1:
            trained = self._last(whole, turns, tools, answers)
        if train_on_prompt:
            trained = _without(len(whole.text), [a for a in answers if a not in trained])
        return Rendered(whole.text, trained, whole.literal, answers)

    def render_answer(self, prompt: Sequence[Message], answer: Sequence[Message],
                      tools: Tools | None = None) -> Rendered:
        """Render a prompt and one answer to it; only the answer is trained.

        The prompt's text is ``text[:trained[0][0]]``: what the model is given when it answers.

        Raises:
            TemplateError: As ``render``, or the prompt does not begin the whole text.
        """
        if tools and self._with_tools:
            return self._with_tools.render_answer(prompt, answer, tools)
        turns = [*prompt, *answer]
        whole = self._whole(turns, tools)
        answers = self._answers(whole, turns, tools)
        start = self._prefixes(whole, tools).turn_start(prompt)
        end = answers[-1][1] if answers else 0
        if end <= start:
            raise TemplateError("not_prefix_consistent", "The chat template shows nothing of the "
                                "assistant's last turn.", "Choose another model or template.")
        return Rendered(whole.text, ((start, end),), whole.literal, ((start, end),))

    def with_values(self, values: Mapping[str, Plain]) -> ChatTemplate:
        """Return the template with further values that it may read, such as ``enable_thinking``.

        They name neither what the conversation brings nor the special tokens.
        """
        if not values:
            return self
        found = copy.copy(self)
        found._values = dict(values)
        found._with_tools = self._with_tools and self._with_tools.with_values(values)
        return found

    @cached_property
    def _rewrite(self) -> Rewrite:
        """What could be learned of a template without marks."""
        return learn(self.source, self._template, self._guard.special, self._render)

    def _whole(self, turns: Sequence[Message], tools: Tools | None) -> Parsed:
        """Render a whole conversation, with its turns marked where that is known to be right."""
        template = self._template
        if not template.has_marks and (rewrite := self._rewrite).reads(turns, tools):
            template = rewrite.template or template
        return self._render(template, turns, tools)

    def _render(self, template: CompiledTemplate, turns: Sequence[Message],
                tools: Tools | None = None, add_generation_prompt: bool = False) -> Parsed:
        """Render with special tokens in messages kept as text; they change nothing else.

        Where a template looks into texts in a way that the sentinels disturb, first only the
        assistant's turns go without them, then all.
        """
        variables: dict[str, Any] = {**self._values, **self.variables,
                                     "add_generation_prompt": add_generation_prompt}
        documents = [turn.document() for turn in turns]
        if self._wants_parts:
            documents = [with_parts(document) for document in documents]
        if self._wants_text and any(turn.tool_calls for turn in turns):
            documents = [with_text_arguments(document) for document in documents]
        if self._guard.is_harmless(turns, tools):
            return parse(template.render({**variables, "messages": documents, "tools": None}))
        plain = self._guard.clean(documents)
        plain_tools = self._guard.clean(list(tools)) if tools else None
        wrapped, wrapped_tools = self._guard.wrap(plain), self._guard.wrap(plain_tools)
        if wrapped is plain and wrapped_tools is plain_tools:
            return parse(template.render(
                {**variables, "messages": plain, "tools": plain_tools}))
        half = [old if old["role"] == "assistant" else new
                for old, new in zip(plain, wrapped, strict=True)]
        bare = parse(template.render({**variables, "messages": plain, "tools": plain_tools}))
        for messages in (wrapped, half):
            guarded = parse(template.render(
                {**variables, "messages": messages, "tools": wrapped_tools}))
            if guarded.text == bare.text:
                return guarded
        return bare

    def _prefixes(self, whole: Parsed, tools: Tools | None) -> Prefixes:
        return Prefixes(whole, lambda turns, ask: self._render(self._template, turns, tools, ask),
                        self._guard.special)

    def _answers(self, whole: Parsed, turns: Sequence[Message],
                 tools: Tools | None) -> tuple[Span, ...]:
        """Return the spans of what the assistant says, end-of-turn tokens included."""
        if self.has_marks:
            return self._from_marks(whole)
        if whole.turns and (spans := self._rewrite.find(whole, turns)):
            return spans

        def earlier(number: int) -> Span | None:
            rewrite = self._rewrite
            if rewrite.template is None:
                return None
            marked = self._render(rewrite.template, turns, tools)
            same = marked.text == whole.text
            return rewrite.find_earlier(marked, turns, number) if same else None

        return replace(self._prefixes(whole, tools), earlier=earlier).find(turns)

    def _from_marks(self, whole: Parsed) -> tuple[Span, ...]:
        """Take the template's own marks, each with an end-of-text token that follows it."""
        if not whole.marked:
            raise TemplateError("no_marks", "The chat template marks nothing in a conversation "
                                "with an assistant's turn.", "Correct its generation marks.")
        if self._named:
            return tuple(span for span in whole.marked if span[0] < span[1])
        eos = self.variables.get("eos_token", "")
        spans: list[Span] = []
        for start, end in whole.marked:
            ends = not eos or whole.text.endswith(eos, start, end)
            if not ends and whole.text.startswith(eos, end) \
                    and (end, end + len(eos)) not in whole.literal:
                end += len(eos)
            if spans and start <= spans[-1][1]:
                start, end = spans[-1][0], max(end, spans.pop()[1])
            if start < end:
                spans.append((start, end))
        return tuple(spans)

    def _last(self, whole: Parsed, turns: Sequence[Message], tools: Tools | None,
              answers: tuple[Span, ...]) -> tuple[Span, ...]:
        """Return what of the answers belongs to the last one."""
        said = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        if len(answers) == len(said):
            return answers[-1:]
        start = self._prefixes(whole, tools).turn_start(turns[:said[-1]])
        return tuple((max(a, start), b) for a, b in answers if b > start)


def _turn(value: Message | Mapping[str, Any]) -> Message:
    """Take a turn; a thought beside its content goes before it, as datasets are read."""
    turn = Message.of(value)
    thought = value.get("reasoning_content") if isinstance(value, Mapping) else None
    if not isinstance(thought, str) or not thought.strip():
        return turn
    return replace(turn, content=f"<think>\n{thought.strip()}\n</think>\n\n{turn.content}")


def choose_template(folder: Path, name: str = "auto") -> ChatTemplate:
    """Return a model's own template ('auto'), or one that comes with Finestra by its name.

    Raises:
        TemplateError: There is none, it does not compile, or the tokenizer lacks what it needs.
    """
    if name == "auto":
        return ChatTemplate.from_folder(folder)
    return ChatTemplate.named(name, folder)


def _without(length: int, left_out: Sequence[Span]) -> tuple[Span, ...]:
    """Return the spans of a text of that length without some of it."""
    spans: list[Span] = []
    position = 0
    for start, end in [*left_out, (length, length)]:
        if position < start:
            spans.append((position, start))
        position = end
    return tuple(spans)
