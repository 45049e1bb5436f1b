"""Rows of datasets as questions: what is asked, and what would be right."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.context import Work
from trainer.contract.config import DatasetUse
from trainer.contract.events import DataEvent, ProgressEvent
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.data.catalog import registry
from trainer.data.catalog.registry import Fetching
from trainer.data.checking.check import convert_rows, shape_of
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.messages import Example, Message
from trainer.data.shapes.objectives import require_fit
from trainer.data.shapes.recognise import Shape
from trainer.evaluation import forms
from trainer.evaluation.seam import Ask
from trainer.failures import Failure

# A text is gone on with from here: a third of it, at most so many characters.
BEGINNING = 200


@dataclass(frozen=True)
class Form:
    """How rows are put.

    Attributes:
        writes: Texts are gone on with; else they are looked at as a whole.
        lists: Choices stand in the question, and a letter is the answer.
        letters: The likelihood of each letter is wanted as well.
        programs: Tests beside a task are the reference.
    """

    writes: bool = True
    lists: bool = True
    letters: bool = False
    programs: bool = False


@dataclass
class Found:
    """The questions of all datasets, in the order of the config.

    Attributes:
        asks: The questions.
        datasets: Their names.
        notes: What a person should know.
    """

    asks: list[Ask] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_rows(work: Work[EvaluateConfig], form: Form) -> Found:
    """Read every dataset that the config names.

    Raises:
        DatasetError: One is missing, or its rows have no known shape.
        Failure: Two have one name ('dataset_twice'), or one has no row that can be asked.
    """
    config = work.config
    uses = [use if isinstance(use, DatasetUse) else DatasetUse(name=use) for use in config.data]
    names = [name_of(use) for use in uses]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise Failure("dataset_twice", f"The dataset '{twice}' is named twice.", "Name it once.")
    found = Found(datasets=names)
    known = registry.load(work.home / "data" if work.home else None)
    for name, use in zip(names, uses, strict=True):
        work.emit.stage("reading", name)
        spec = known.resolve_use(use, fetch=Fetching(True, _pace(work), work.stop.cancel))
        limits = [limit for limit in (config.max_samples, use.max_samples) if limit]
        _read(work, found, _Dataset(name, spec, min(limits, default=None), form))
    return found


def name_of(use: DatasetUse) -> str:
    """Return what a dataset is called in the report: its name, with what tells it from others."""
    parts = [part for part in (use.subset, use.split) if part]
    return f"{use.name} ({', '.join(parts)})" if parts else use.name


@dataclass(frozen=True)
class _Dataset:
    name: str
    spec: DatasetSpec
    limit: int | None
    form: Form


def _read(work: Work[EvaluateConfig], found: Found, data: _Dataset) -> None:
    bad, first, rows = 0, "", 0
    before = len(found.asks)
    for item in _items(data):
        work.stop.check()
        rows += 1
        if isinstance(item, str):
            bad, first = bad + 1, first or item
        else:
            found.asks.append(item)
    used = len(found.asks) - before
    work.emit(DataEvent(split="eval", rows=rows, used=used, bad_rows=bad))
    if bad:
        found.notes.append(f"{bad:,} of {rows:,} rows of '{data.name}' are skipped: {first}")
        work.emit.warn("bad_rows", found.notes[-1])
    if not used:
        raise Failure("no_rows", f"No row of '{data.name}' can be asked. {first}".strip(),
                      "Check the dataset with `finestra data check`.")


def _items(data: _Dataset) -> Iterator[Ask | str]:
    """Yield each row as a question, or what is wrong with it."""
    spec, form = data.spec, data.form
    if not is_mapped(spec.entry):
        if form.programs and forms.has_tests(spec):
            yield from forms.program_rows(data.name, spec, data.limit)
            return
        if (base := forms.has_choices(spec)) is not None:
            choices = forms.Choices(form.lists, form.letters, base)
            yield from forms.choice_rows(data.name, spec, choices, data.limit)
            return
    shape = shape_of(spec)
    require_fit(shape, None, data.name)
    for item in convert_rows(spec, shape, max_samples=data.limit):
        yield _ask(data, shape, item) if isinstance(item, Example) else item.message


def is_mapped(entry: DatasetEntry | None) -> bool:
    """Tell whether a registry entry says what the columns mean."""
    return entry is not None and bool(
        entry.model_fields_set & {"columns", "tags", "formatting", "ranking"})


def _ask(data: _Dataset, shape: Shape, example: Example) -> Ask:
    row = (data.name, example.row)
    if shape.kind == "text":
        return _beginning(row, example.text) if data.form.writes \
            else Ask(*row, text=example.text)
    tools = tuple(example.tools or ())
    prompt, answer = _prompt_and_answer(shape, example)
    calls = None
    if answer is not None and tools:
        calls = tuple(answer.tool_calls)
    said = answer.content if answer is not None else example.reference
    label = said if shape.kind == "classification" else None
    return Ask(*row, messages=tuple(openai_messages(prompt)), tools=tools,
               references=_references(said), label=label, expected_calls=calls)


def _prompt_and_answer(shape: Shape, example: Example
                       ) -> tuple[Sequence[Message], Message | None]:
    """Return what is asked and the right answer; what is not desired is none."""
    if shape.kind == "prompt_only":
        return example.messages, None
    if example.chosen:
        return [*example.messages, *example.chosen[:-1]], example.chosen[-1]
    *prompt, answer = example.messages
    return prompt, None if example.label is False else answer


def _references(said: str) -> tuple[str, ...]:
    """Return right answers; a list of texts that was written as JSON is several."""
    if said.startswith("["):
        try:
            several = json.loads(said)
        except (ValueError, RecursionError):
            several = None
        if isinstance(several, list) and several and all(isinstance(x, str) for x in several):
            return tuple(several)
    return (said,) if said.strip() else ()


def _beginning(row: tuple[str, int], text: str) -> Ask:
    """Return the beginning of a text, to be gone on with; it ends where a word does."""
    wanted = min(BEGINNING, len(text) // 3)
    cut = next((at for at in range(wanted, len(text)) if text[at].isspace()), wanted)
    # Chinese has no blanks between words.
    cut = wanted if cut > 2 * max(wanted, 20) else cut
    return Ask(*row, text=text[:cut], references=(text[cut:],)) if cut else Ask(*row, text=text)


def openai_messages(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """Yield messages in OpenAI's form: calls have ids and their arguments are text."""
    waiting: list[str] = []
    for number, message in enumerate(messages):
        values = message.document()
        if message.tool_calls:
            calls = [_call(call, f"call_{number}_{place}")
                     for place, call in enumerate(message.tool_calls)]
            values["tool_calls"], waiting = calls, [call["id"] for call in calls]
        if message.role == "tool" and "tool_call_id" not in values:
            values["tool_call_id"] = waiting.pop(0) if waiting else f"call_{number}"
        yield values


def _call(call: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    if not isinstance(function.get("arguments"), str):
        function["arguments"] = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
    return {"id": str(call.get("id") or call_id), "type": "function", "function": function}


def _pace(work: Work[EvaluateConfig]) -> Callable[[int, int], None]:
    """Return what is told how many bytes of a hub's dataset are here."""
    told = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= 0.5:
            told = now
            work.emit(ProgressEvent(stage="reading", done=done, total=total, unit="bytes"))

    return tell
