"""One row as the model will see it: text, tokens, which of them are learned, what is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from trainer.contract.config.facts import OBJECTIVES
from trainer.data.checking.rowfinder import find_row
from trainer.data.reading.rows import DatasetError, RowError, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.messages import Example
from trainer.data.shapes.recognise import Shape
from trainer.data.shapes.uses import Use
from trainer.data.templates.prefixes import common
from trainer.data.tokens.encoder import Encoder
from trainer.data.tokens.fit import Fitted, FittedPrompt, FittedRow, FittedText
from trainer.data.tokens.loaded import Loaded, encoder_of, load
from trainer.data.tokens.request import Source, pick_objective
from trainer.data.tokens.tokenizer import IGNORED, Tokenizer

Document = dict[str, Any]
_UNCUT: Document = {"cut": {"turns": 0, "tokens": 0, "dropped": False}, "cut_text": "",
                    "cut_tail": "", "cut_at": 0}


def preview(params: Mapping[str, Any]) -> Document:
    """Return one row of a dataset as a run would learn it.

    Args:
        params: SOURCE, MODEL, ``row`` (as people count it), and what a run's ``data`` says:
            ``max_length`` (512), ``overlong``, ``train_on_prompt``, ``mask_history``. Of data that
            fits several objectives ``objective`` says which is meant.

    Raises:
        DatasetError: The dataset, the row or the tokenizer is not there, or no objective fits.
        TemplateError: The template cannot be used, or refuses this row.
    """
    source = Source.of(params)
    spec = source.spec()
    shape = source.shape(spec)
    objective = pick_objective(shape, spec.name, params.get("objective"))
    use = _use(shape, objective, params)
    item = _example(spec, use, int(params["row"]), source.home)
    head = {"row": int(params["row"]), "objective": objective, "rows": use.rows}
    if isinstance(item, RowProblem):
        return {**head, "problem": item.document()}
    model = load(Path(params["model_folder"]), params.get("template") or "auto")
    encoder = encoder_of(model, use.rows, params)
    if not OBJECTIVES[objective].templated:
        found = _plain(item, encoder) if use.rows == "text" else _text(item, encoder)
        return {**head, **found, "template": {"name": "", "how": "", "reason": ""}}
    return {**head, **_conversation(item, encoder), "template": _template(model),
            "warnings": model.warnings(item)}


def _use(shape: Shape, objective: str, params: Mapping[str, Any]) -> Use:
    """Return what the rows are read as; a pair that is judged is shown as the pair that it is."""
    use = Use(shape, OBJECTIVES[objective].rows, tuple(params.get("labels") or ()))
    return replace(use, rows="pairs") if use.splits_pairs else use


def _template(model: Loaded) -> dict[str, str]:
    how, reason = model.how
    return {"name": model.name, "how": how, "reason": reason}


def _example(spec: DatasetSpec, use: Use, number: int,
             home: Path | None) -> Example | RowProblem:
    """Return a row as it is read, or what is wrong with it."""
    item, name = find_row(spec, number, home, use.shape)
    if isinstance(item, RowProblem):
        return item
    try:
        return use.parts(use.whole(item))[0]
    except RowError as error:
        return RowProblem(number, error.column, error.code,
                          f"{name} {error.message}.")


def _shown(example: Example, encoder: Encoder) -> Document:
    """Describe an example as it is after cutting; what is dropped is shown whole."""
    whole = replace(encoder, max_length=2**62).encode(example)
    if whole is None:
        raise DatasetError("same_answers", f"Both answers of row {example.row} become the same "
                           "tokens.", "Nothing can be preferred: leave the row out.")
    fitted = encoder.encode(example)
    shown = whole if fitted is None else fitted
    sides = _sides(shown)
    found = {name: side(encoder.tokenizer, *ids) for name, ids in sides.items()}
    first = next(iter(found.values()))
    return {**first, **(found if len(found) > 1 else {}),
            "tokens": shown.length, "trained_tokens": shown.trained_tokens,
            "cut": {"turns": shown.cut_turns, "tokens": whole.length - shown.length,
                    "dropped": fitted is None},
            **_left_out(encoder.tokenizer, whole, shown)}


def _conversation(example: Example, encoder: Encoder) -> Document:
    """Describe an example that a template renders."""
    return {**_shown(example, encoder),
            **({"label": bool(example.label)} if encoder.rows == "judged" else {}),
            **({"reference": example.reference} if encoder.rows == "prompts" else {}),
            **({"tools": example.tools} if example.tools else {})}


def _sides(fitted: Fitted) -> dict[str, tuple[list[int], list[int]]]:
    """Return ids and labels of what is shown: one sequence, or those of both answers."""
    if isinstance(fitted, FittedRow):
        return {"": (fitted.tokens.input_ids, fitted.tokens.labels)}
    if isinstance(fitted, FittedText):
        return {"": (fitted.input_ids, [IGNORED] * len(fitted.input_ids))}
    if isinstance(fitted, FittedPrompt):
        return {"": (fitted.prompt_ids, [IGNORED] * len(fitted.prompt_ids))}
    answers = {name: getattr(fitted, f"{name}_ids") for name in
               ("chosen", "rejected", "completion") if hasattr(fitted, f"{name}_ids")}
    prompt = fitted.prompt_ids
    return {name: (prompt + ids, [IGNORED] * len(prompt) + ids) for name, ids in answers.items()}


def _left_out(tokenizer: Tokenizer, whole: Fitted, shown: Fitted) -> Document:
    """Return the text of the turns that were cut and where they stood, and of the answer's end."""
    before, after = (next(iter(_sides(item).values()))[0] for item in (whole, shown))
    if len(before) == len(after):
        return {"cut_text": "", "cut_tail": "", "cut_at": 0}
    long, short = tokenizer.decode(before), tokenizer.decode(after)
    start = common(long, short)
    if not shown.cut_turns:
        return {"cut_text": "", "cut_tail": long[start:], "cut_at": 0}
    rest = short[start:]
    place = long.rfind(rest) if rest else -1
    if place < start:
        return {"cut_text": long[start:], "cut_tail": "", "cut_at": start}
    back = _to_header(tokenizer, long, start, place)
    return {"cut_text": long[start - back:place - back], "cut_tail": long[place + len(rest):],
            "cut_at": start - back}


def _to_header(tokenizer: Tokenizer, text: str, start: int, end: int) -> int:
    """Return how far ``text[start:end]`` slides back over equal characters to a special token."""
    for back in range(min(start, 1000) + 1):
        if tokenizer.begins_special(text, end - back):
            return back
        if text[start - back - 1:start - back] != text[end - back - 1:end - back]:
            return 0
    return 0


def _text(example: Example, encoder: Encoder) -> Document:
    """Describe a text that has a class: no token is learned, the class is."""
    return {**_shown(example, encoder), "reference": example.reference}


def _plain(example: Example, encoder: Encoder) -> Document:
    """Describe plain text: all of it is learned, in blocks."""
    found = encoder.encode(example)
    assert isinstance(found, FittedRow)
    ids = found.tokens.input_ids
    return {**side(encoder.tokenizer, ids, ids), "tokens": len(ids), "trained_tokens": len(ids),
            **_UNCUT, "blocks": -(-len(ids) // encoder.max_length)}


def side(tokenizer: Tokenizer, ids: list[int], labels: list[int]) -> Document:
    """Return text, segments, ids and labels of one sequence; the segments' texts are the text."""
    text = tokenizer.decode(ids)
    return {"text": text, "segments": list(_segments(tokenizer, text, ids, labels)),
            "input_ids": ids, "labels": labels}


def _segments(tokenizer: Tokenizer, text: str, ids: Sequence[int],
              labels: Sequence[int]) -> Iterator[Document]:
    """Cut a text where learning begins and ends.

    Decoding tokens by themselves can differ from the whole: half a character becomes U+FFFD, a
    leading blank is lost. Then everything up to there is decoded; what the whole has in common
    with it is the place of the cut.
    """
    first = place = 0
    for trained, group in groupby(labels, key=lambda label: label != IGNORED):
        last = first + sum(1 for _ in group)
        piece = tokenizer.decode(ids[first:last])
        end = place + len(piece)
        if last == len(ids):
            end = len(text)
        elif not text.startswith(piece, place) or piece.endswith("\ufffd"):
            end = max(place, common(text, tokenizer.decode(ids[:last])))
        yield {"text": text[place:end], "trained": trained}
        first, place = last, end
