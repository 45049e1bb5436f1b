"""Rows and their lengths as a model will see them; templates are rendered in a child (rule R7)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.datajobs import Job
from app.rowview import Piece, RowView, Side, cells_of, split_special
from app.sources import model_folder
from trainer.contract.files import read_json, write_json
from trainer.contract.problems import message_and_advice
from trainer.data import DatasetError, DatasetSpec
from trainer.data.reading.readers import row_at
from trainer.data.reading.rows import Row
from trainer.data.templates.sandbox import TemplateError

if TYPE_CHECKING:
    from app.datasets import DataService


@dataclass(frozen=True)
class ViewOptions:
    """How a row is looked at: names and defaults are the run config's.

    ``objective`` "" is the most usual one that the data fit.
    """

    model: str = "starter"
    template: str = "auto"
    max_length: int = 512
    overlong: str = "cut_turns"
    train_on_prompt: bool = False
    mask_history: bool = False
    objective: str = ""

    def params(self, folder: Path) -> dict[str, Any]:
        """Return what a data worker is told."""
        values = asdict(self)
        del values["model"]
        if not self.objective:
            del values["objective"]
        return {**values, "model_folder": str(folder)}


def row_view(service: DataService, name: str, number: int, options: ViewOptions) -> RowView:
    """Return a row beside what the model will see of it.

    What is wrong with the row, the template or the model is part of the answer.

    Raises:
        DatasetError: There is no such dataset or no such row.
    """
    spec = service.spec(name)
    found = row_at(spec, number, service.reports.index_of(spec))
    if found is None:
        raise DatasetError("no_such_row", f"There is no row {number:,} in '{name}'.",
                           "Choose a smaller number.")
    if not isinstance(found, Row):
        return RowView(number, problem=(found.code, _said(service, spec, found.message), ""))
    try:
        report, _ = service.report(name)
    except DatasetError as error:
        # Columns that nobody knows: what stands in them is what a person needs to see.
        cells, more = cells_of(found.values, {})
        return RowView(number, cells, more, error=_words(error))
    cells, more = cells_of(found.values, report.mapping)
    try:
        seen = preview(service, name, number, options)
    except (DatasetError, TemplateError) as error:
        return RowView(number, cells, more, error=_words(error))
    view = _view(number, cells, more, seen)
    if view.problem is None:
        return view
    code, message, advice = view.problem
    return replace(view, problem=(code, _said(service, spec, message), advice))


def _said(service: DataService, spec: DatasetSpec, message: str) -> str:
    """Return a message with the dataset's name instead of a file name of ours."""
    own = service.own_file(spec)
    return message.replace(own, spec.name) if own else message


def preview(service: DataService, name: str, number: int,
            options: ViewOptions) -> dict[str, Any]:
    """Return the document of ``finestra data preview``; raises as the data worker does."""
    folder = model_folder(service.home, options.model, service.allowed)
    seen = service.ask("preview", {"home": str(service.home.root), "source": name, "row": number,
                                   **options.params(folder)})
    return {**seen, "special_tokens": service.specials(folder, options.template)}


def _words(error: DatasetError | TemplateError) -> tuple[str, str, str]:
    return (error.code, *message_and_advice(error))


def _view(number: int, cells: Any, more: int, seen: Mapping[str, Any]) -> RowView:
    if problem := seen.get("problem"):
        return RowView(number, cells, more,
                       problem=(str(problem["code"]), str(problem["message"]), ""))
    template = seen.get("template") or {}
    notes = tuple(str(template[key]) for key in ("reason",) if template.get(key))
    tools = tuple(json.dumps(tool, ensure_ascii=False, indent=2)
                  for tool in seen.get("tools") or ())
    return RowView(number, cells, more, sides=sides_of(seen), tools=tools,
                   label=seen.get("label"), reference=str(seen.get("reference") or ""),
                   template=str(template.get("how") or ""), notes=notes,
                   rows=str(seen.get("rows") or ""))


def sides_of(seen: Mapping[str, Any]) -> tuple[Side, ...]:
    """Return what is seen of a row: one text, or what both answers share and each of them."""
    specials = tuple(seen.get("special_tokens") or ())
    cut = seen.get("cut") or {}
    pair = [name for name in ("chosen", "rejected") if isinstance(seen.get(name), Mapping)]
    if len(pair) == 2:
        return (_prompt_of(seen[pair[0]], seen, specials),
                *(_answer(name, seen[name], specials) for name in pair))
    pieces = _pieces(seen.get("segments") or (), specials)
    front = tuple(Piece(p.text, special=p.special, cut=True)
                  for p in _pieces([{"text": str(seen.get("cut_text") or "")}], specials))
    tail = tuple(Piece(p.text, special=p.special, cut=True)
                 for p in _pieces([{"text": str(seen.get("cut_tail") or "")}], specials))
    before, after = _at(pieces, int(seen.get("cut_at") or 0))
    return (Side("", (*before, *front, *after, *tail), int(seen.get("tokens", 0)),
                 int(seen.get("trained_tokens", 0)), int(cut.get("tokens", 0)),
                 bool(cut.get("dropped"))),)


def _at(pieces: tuple[Piece, ...], place: int) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Split pieces at a place of their text."""
    before: list[Piece] = []
    for number, piece in enumerate(pieces):
        if place <= 0:
            return tuple(before), pieces[number:]
        if len(piece.text) > place:
            first = Piece(piece.text[:place], piece.trained, piece.special)
            second = Piece(piece.text[place:], piece.trained, piece.special)
            return (*before, first), (second, *pieces[number + 1:])
        before.append(piece)
        place -= len(piece.text)
    return tuple(before), ()


def _pieces(segments: Any, specials: tuple[str, ...]) -> tuple[Piece, ...]:
    return tuple(Piece(words, bool(segment.get("trained")), special)
                 for segment in segments
                 for words, special in split_special(str(segment["text"]), specials))


def _lead(segments: Any) -> int:
    """Return how many segments of a pair's side are the prompt: all before the first trained."""
    return next((n for n, segment in enumerate(segments) if segment.get("trained")), len(segments))


def _prompt_of(side: Mapping[str, Any], seen: Mapping[str, Any],
               specials: tuple[str, ...]) -> Side:
    segments = side["segments"]
    shared = sum(1 for label in side["labels"] if label == -100)
    front = tuple(Piece(p.text, special=p.special, cut=True)
                  for p in _pieces([{"text": str(seen.get("cut_text") or "")}], specials))
    cut = seen.get("cut") or {}
    return Side("prompt", (*front, *_pieces(segments[:_lead(segments)], specials)), shared, 0,
                int(cut.get("tokens", 0)), bool(cut.get("dropped")))


def _answer(name: str, side: Mapping[str, Any], specials: tuple[str, ...]) -> Side:
    segments = side["segments"]
    trained = sum(1 for label in side["labels"] if label != -100)
    return Side(name, _pieces(segments[_lead(segments):], specials), trained, trained)


# Lengths of all rows


def lengths(service: DataService, name: str, options: ViewOptions, *,
            start: bool = True, again: bool = False) -> tuple[dict[str, Any] | None, Job | None]:
    """Return how long a dataset's rows are in tokens, or the work that measures it.

    Args:
        service: Whose dataset.
        name: The dataset.
        options: Whose tokens, and what ``max_length`` they are held against.
        start: Whether to begin measuring where that has not been done.
        again: Also where it failed or was cancelled before.

    Raises:
        DatasetError: There is no such dataset, or the model is not here.
    """
    spec = service.spec(name)
    folder = model_folder(service.home, options.model, service.allowed)
    params = {"home": str(service.home.root), "source": name, **options.params(folder)}
    kept = service.home.root / "cache" / "lengths" / f"{_key(spec, params)}.json"
    if (found := read_json(kept)) is not None:
        return found, None
    running = [job for job in service.jobs.of(name) if job.op == "lengths"]
    same = [job for job in running if job.key == kept.stem]
    ended_badly = bool(same) and same[-1].state in ("failed", "cancelled")
    if same and (same[-1].active or not start or (ended_badly and not again)):
        return None, same[-1]
    if not start:
        return None, None
    for other in running:
        if other.active:
            service.jobs.cancel(other.id)
    return None, service.jobs.start("lengths", name, params, then=_keep(kept), key=kept.stem)


def _keep(path: Path) -> Callable[[dict[str, Any]], None]:
    def then(result: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, result)

    return then


def _key(spec: DatasetSpec, params: Mapping[str, Any]) -> str:
    """Return a name for what is measured; another file, tokenizer or template has another one."""
    folder = Path(str(params["model_folder"]))
    files = [folder / name for name in ("tokenizer.json", "chat_template.jinja",
                                        "tokenizer_config.json")]
    stamps = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    text = json.dumps([spec.stamp(), repr(spec.entry), stamps, params], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
