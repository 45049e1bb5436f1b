"""Reading a template without marks in one pass, when that can be shown to be right.

The template's syntax tree gets marks around what each turn of its loop over the messages writes.
They stand directly in the output, where the template cannot look at them, so its text stays as it
is. What a turn's header is, is learned from small conversations (``probes``), by the slow way of
``prefixes``; only kinds of conversations on which both ways agree are read by the fast one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from jinja2 import nodes

from trainer.data.shapes.messages import Message
from trainer.data.templates.marks import TURN, Parsed, Span
from trainer.data.templates.prefixes import Prefixes, end_of_content
from trainer.data.templates.probes import Kind, Tools, kinds_of, probes
from trainer.data.templates.sandbox import CompiledTemplate, TemplateError, compile_template


class Render(Protocol):
    """Renders turns with a compiled template."""

    def __call__(self, template: CompiledTemplate, turns: Sequence[Message], tools: Tools | None,
                 add_generation_prompt: bool = False) -> Parsed:
        """Return the text, without sentinels and where they were."""


@dataclass(frozen=True)
class Rewrite:
    """How what the assistant says is found, and why so.

    ``template`` marks the turns; it is used for conversations of ``kinds`` only. ``headers``: what
    opens an earlier answer and the last one.
    """

    how: Literal["rewritten", "derived", "refused"]
    reason: str
    template: CompiledTemplate | None = None
    kinds: frozenset[Kind] = frozenset()
    headers: tuple[str, str] = ("", "")
    special: re.Pattern[str] = field(default=re.compile("(?!)"), repr=False)

    def reads(self, turns: Sequence[Message], tools: Tools | None) -> bool:
        """Tell whether a conversation is of a kind that was verified."""
        kinds = kinds_of(turns, tools) if self.template else None
        return kinds is not None and kinds <= self.kinds

    def find(self, whole: Parsed, turns: Sequence[Message]) -> tuple[Span, ...] | None:
        """Return each answer's span, None when one does not look as learned."""
        said = [turn for turn in turns if turn.role == "assistant"]
        regions = _regions(whole, turns)
        if len(regions) != len(said):
            return None
        spans: list[Span] = []
        for index, (region, turn) in enumerate(zip(regions, said, strict=True)):
            is_last = index == len(said) - 1 and turns[-1] is turn
            span = self._span(whole, turn, region, is_last=is_last)
            if span is None:
                return None
            spans.append(span)
        return tuple(spans)

    def find_earlier(self, whole: Parsed, turns: Sequence[Message], number: int) -> Span | None:
        """Return the span of the assistant's n-th turn, None when another turn may be in it."""
        said = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
        regions = _regions(whole, turns)
        if len(regions) != len(said):
            return None
        index = said[number]
        span = self._span(whole, turns[index], regions[number], is_last=False)
        if span is None:
            return None
        rest = whole.text[end_of_content(whole.text, turns[index], *span):span[1]]
        following = turns[index + 1:said[number + 1] if number + 1 < len(said) else None]
        return None if any(turn.content.strip() in rest for turn in following) else span

    def _span(self, whole: Parsed, turn: Message, region: Span, *, is_last: bool) -> Span | None:
        begin, end = region
        header = self.headers[is_last]
        if not whole.text.startswith(header, begin, end):
            return None
        start = begin + len(header)
        stop = _end(whole, turn, start, end, self.special)
        return (start, stop) if start < stop else None


def learn(source: str, plain: CompiledTemplate, special: re.Pattern[str],
          render: Render) -> Rewrite:
    """Find out how a template without marks can be read."""
    try:
        marked = compile_template(source, mark_turns)
    except TemplateError:
        marked = None
    trials = [trial for turns, tools in probes()
              if (trial := _try(plain, marked, special, render, turns, tools))]
    if trials and all(trial.error for trial in trials):
        return Rewrite("refused", trials[0].error)
    if marked is None:
        return Rewrite("derived", "The template marks nothing, and its turns cannot be told apart "
                       "in its source; each answer is found between what is rendered before it "
                       "and its end.")
    found = _verified(marked, special, trials)
    return replace(found, reason=found.reason + _oddities(plain, render, special))


def _oddities(plain: CompiledTemplate, render: Render, special: re.Pattern[str]) -> str:
    """Say what a person should know: where training and use differ, and what is not shown."""
    question, answer = Message("user", "A?"), Message("assistant", "B.")
    thought = Message("assistant", "<think>\nx-7\n</think>\n\nB.")
    try:
        asked = render(plain, [question], None, True).text
        before, whole, thinking = (render(plain, turns, None) for turns in (
            [question], [question, answer], [question, thought]))
        start, end = Prefixes(whole, lambda turns, ask: render(plain, turns, None, ask),
                              special).find_last([question, answer])
    except TemplateError:
        return ""
    found = ""
    if not whole.text.startswith(asked):
        found += (f" When it asks for an answer it writes {asked[start:start + 40]!r}, which is "
                  "not in conversations; answers are learned as they are shown.")
    elif asked == before.text and start > len(asked):
        found += (f" It opens an answer with {whole.text[len(asked):start]!r}, but not when it "
                  "asks for one.")
    if "x-7" not in thinking.text:
        found += " It leaves out thoughts."
    if not any(m.end() == end for m in special.finditer(whole.text, start, end)):
        found += " No special token ends an answer, so when to stop is not learned."
    return found


@dataclass(frozen=True)
class _Trial:
    """One probe as the slow way reads it, and its text with marked turns.

    ``answers``: what the assistant says. ``spans``: where, None when that is only known of each
    answer at the end of its own conversation. ``error``: why it cannot be read.
    """

    turns: list[Message]
    kinds: frozenset[Kind]
    answers: tuple[str, ...] = ()
    spans: tuple[Span, ...] | None = None
    whole: Parsed | None = None
    error: str = ""

    def agrees(self, fast: Rewrite) -> bool:
        """Tell whether the fast way reads the same."""
        found = fast.find(self.whole, self.turns) if self.whole else None
        if self.whole is None or found is None or self.error:
            return False
        if self.spans is not None:
            return found == self.spans
        return tuple(self.whole.text[start:end] for start, end in found) == self.answers


def _try(plain: CompiledTemplate, marked: CompiledTemplate | None, special: re.Pattern[str],
         render: Render, turns: list[Message], tools: Tools | None) -> _Trial | None:
    """Read a probe the slow way; None when the template refuses it altogether."""
    def prefixes(some: Sequence[Message]) -> Prefixes:
        return Prefixes(render(plain, some, tools),
                        lambda few, ask: render(plain, few, tools, ask), special)
    kinds = kinds_of(turns, tools) or frozenset()
    try:
        slow = prefixes(turns)
        parsed = render(marked, turns, tools) if marked else None
    except TemplateError:
        return None
    whole = parsed if parsed and parsed.text == slow.whole.text else None
    try:
        return _Trial(turns, kinds, (), slow.find(turns), whole)
    except TemplateError as error:
        why = str(error)
    try:
        answers = [part.whole.text[slice(*part.find_last(upto))]
                   for upto, part in ((turns[:i + 1], prefixes(turns[:i + 1]))
                                      for i, turn in enumerate(turns) if turn.role == "assistant")]
    except TemplateError:
        return _Trial(turns, kinds, error=why)
    return _Trial(turns, kinds, tuple(answers), None, whole)


def _verified(marked: CompiledTemplate, special: re.Pattern[str],
              trials: list[_Trial]) -> Rewrite:
    """Keep the kinds of conversations of which all probes are read alike."""
    every: tuple[Kind, ...] = ("plain", "system", "tools", "thinking")
    tried = frozenset(kind for trial in trials for kind in trial.kinds)
    headers = _headers(trials)
    fast = Rewrite("rewritten", "", marked, tried, headers or ("", ""), special)
    good = set(tried) if headers else set()
    for trial in sorted(trials, key=lambda trial: len(trial.kinds)):
        if trial.kinds <= good and not trial.agrees(fast):
            good -= (trial.kinds - {"plain"}) or trial.kinds
    if "plain" not in good:
        return Rewrite("derived", "The template marks nothing, and what opens an answer depends "
                       "on the conversation; each answer is found between what is rendered "
                       "before it and its end.", marked if headers else None, frozenset(),
                       headers or ("", ""), special)
    slow = [kind for kind in every if kind in tried - good]
    rest = f" Conversations with {' or '.join(slow)} are read answer by answer." if slow else ""
    return Rewrite("rewritten", "The template marks nothing; its turns were marked, and found to "
                   "agree with what is rendered before each answer." + rest, marked,
                   frozenset(good), headers or ("", ""), special)


def _headers(trials: list[_Trial]) -> tuple[str, str] | None:
    """Return what opens an earlier answer and the last one, by the shortest conversations."""
    found: list[str | None] = [None, None]
    for trial in trials:
        if trial.whole is None or trial.spans is None or trial.kinds != {"plain"}:
            continue
        regions = _regions(trial.whole, trial.turns)
        for index, ((begin, _), (start, _)) in enumerate(zip(regions, trial.spans, strict=False)):
            is_last = index == len(trial.spans) - 1 and trial.turns[-1].role == "assistant"
            if found[is_last] is None:
                found[is_last] = trial.whole.text[begin:max(begin, start)]
    earlier, last = found
    return None if last is None else (last if earlier is None else earlier, last)


def _regions(whole: Parsed, turns: Sequence[Message]) -> list[Span]:
    """Return what each assistant's turn writes; after the last turn, to the end of the text."""
    regions = [(start, end) for start, end, said in whole.turns if said and start < end]
    if regions and turns[-1].role == "assistant":
        regions[-1] = regions[-1][0], len(whole.text)
    return regions


def _end(whole: Parsed, turn: Message, start: int, end: int, special: re.Pattern[str]) -> int:
    """Return where an answer ends: after the last special token behind it, else at the end."""
    spoken = end_of_content(whole.text, turn, start, end)
    closing = [m.end() for m in special.finditer(whole.text, spoken, end)
               if m.span() not in whole.literal]
    return closing[-1] if closing else end


def mark_turns(tree: nodes.Template) -> nodes.Template:
    """Put marks around what each turn writes, in every loop over the messages.

    Raises:
        TemplateError: No such loop writes directly into the output.
    """
    names = {"messages"}
    for assign in tree.find_all(nodes.Assign):
        if isinstance(assign.target, nodes.Name) and _mentions(assign.node, names):
            names.add(assign.target.name)
    loops = [loop for loop in _outer_loops(tree.body)
             if isinstance(loop.target, nodes.Name) and _mentions(loop.iter, names)
             and any(True for _ in loop.find_all(nodes.Output))]
    if not loops:
        raise TemplateError("not_rewritten", "No loop over the messages writes them.")
    for loop in loops:
        assert isinstance(loop.target, nodes.Name)
        role = nodes.Getattr(nodes.Name(loop.target.name, "load"), "role", "load")
        said = nodes.Compare(role, [nodes.Operand("eq", nodes.Const("assistant"))])
        opened = nodes.CondExpr(said, nodes.Const(TURN[0]), nodes.Const(TURN[1]))
        loop.body = [nodes.Output([opened]), *loop.body,
                     nodes.Output([nodes.TemplateData(TURN[2])])]
        for node in (loop.body[0], loop.body[-1]):
            node.set_lineno(loop.lineno, override=True)
            if tree.environment:
                node.set_environment(tree.environment)
    return tree


def _outer_loops(body: list[nodes.Node]) -> Iterator[nodes.For]:
    """Yield the loops that write into the output itself, not into a macro or a variable."""
    for node in body:
        if isinstance(node, nodes.For):
            yield node
        elif isinstance(node, nodes.If):
            for branch in (node.body, node.elif_, node.else_):
                yield from _outer_loops(list(branch))
        elif isinstance(node, nodes.With | nodes.Scope):
            yield from _outer_loops(node.body)


def _mentions(node: nodes.Node, names: set[str]) -> bool:
    found = [node] if isinstance(node, nodes.Name) else node.find_all(nodes.Name)
    return any(name.name in names for name in found)
