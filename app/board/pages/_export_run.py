"""What the Run page shows of exports and merges: what was written, and where to go with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.board import icons
from app.board.i18n import has, reason_text, t
from app.board.pages._parts import card, pairs, paragraph, text
from app.board.wording import number, percent, size
from app.runs import Run, RunState

# Warnings that the cards say better.
TOLD = ("export_note", "merge_note", "parity_different", "parity_not_run")


def written(locale: str, run: Run, found: Mapping[str, Any] | None) -> str:
    """Return what an export has written: each piece with its files, notes and downloads."""
    if found is None:
        return ""
    formats = [one for one in found["pieces"] if one["format"] in found["formats"]]
    beside = [one for one in found["pieces"] if one["format"] not in found["formats"]]
    body = "".join(_piece(locale, run.id, one) for one in formats)
    body += "".join(_piece(locale, run.id, one) for one in beside)
    total = t(locale, "written.total", size=size(sum(one["bytes"] for one in found["pieces"])))
    side = f'<span class="f-quiet">{text(total)}</span>'
    place = pairs([(t(locale, "facts.dir"), f"<code>{text(found['dir'])}</code>")])
    return card(t(locale, "written.title"), f'<div class="f-pieces">{body}</div>'
                f'<div class="f-more">{place}</div>{_sent(locale, found.get("pushed") or {})}'
                f'{_onwards(locale, run, found)}', side=side)


def _piece(locale: str, run_id: str, piece: Mapping[str, Any]) -> str:
    name = str(piece["format"])
    label = t(locale, f"format.{name}") if has(f"format.{name}") else name
    files: Sequence[str] = piece["files"]
    notes = "".join(paragraph(reason_text(locale, str(one))) for one in piece["notes"])
    head = (f'<div class="f-piece-head"><b>{text(label)}</b>'
            f'<span class="f-num">{size(piece["bytes"])}</span>')
    if len(files) == 1:
        head += _download(locale, run_id, files[0])
    more = "" if len(files) < 2 else (
        f"<details><summary>{text(t(locale, 'written.files', n=len(files)))}</summary>"
        f'<ul class="f-files">{"".join(_file(run_id, one) for one in files)}</ul></details>')
    hint = ""
    if name == "ollama":
        command = f"ollama create {shlex.quote(run_id)} -f Modelfile"
        hint = paragraph(t(locale, "written.ollama", command=command))
    return (f'<div class="f-piece" data-format="{text(name)}">{head}</div>{notes}{hint}{more}'
            "</div>")


def _address(run_id: str, path: str) -> str:
    return text(f"./api/runs/{quote(run_id, safe='')}/export/{quote(path)}")


def _download(locale: str, run_id: str, path: str) -> str:
    words = t(locale, "written.download")
    return (f'<a class="f-button f-small" download href="{_address(run_id, path)}" '
            f'aria-label="{text(f"{words}: {Path(path).name}")}">{icons.DOWNLOAD}'
            f"{text(words)}</a>")


def _file(run_id: str, path: str) -> str:
    return (f'<li><a download href="{_address(run_id, path)}">{text(path)}</a></li>')


def _onwards(locale: str, run: Run, found: Mapping[str, Any]) -> str:
    """Return the links of a result that can be asked and trained further: a whole model."""
    if "merged" not in found["formats"] or run.state is not RunState.COMPLETED:
        return ""
    return f'<div class="f-actions f-written-links">{usable(locale, run.id)}</div>'


def usable(locale: str, run_id: str) -> str:
    """Return the links to talk to a model, to evaluate it and to train it further."""
    key = quote(run_id, safe="")
    return "".join(
        f'<a class="f-button f-small" id="{identity}" href="{text(address)}">'
        f"{text(t(locale, word))}</a>" for identity, address, word in (
            ("written-chat", f"./chat?models={key}", "written.chat"),
            ("written-evaluate", f"./evaluate?model={key}", "run.evaluate"),
            ("written-train", f"./train?model={key}", "written.train")))


def merged(locale: str, run: Run, found: Mapping[str, Any] | None) -> str:
    """Return what a merge has made: of what, how large, what one should know."""
    if not found:
        return ""
    sources = list(found.get("sources") or ())
    weights = list(found.get("weights") or ())
    told = [(t(locale, "merged.of"), "<br>".join(
        f"{_source(one)} <span class=\"f-dim\">× {number(weight)}</span>"
        for one, weight in zip(sources, weights, strict=False)))]
    told.append((t(locale, "merged.method"), text(_method(locale, str(found.get("method", ""))))))
    if found.get("rank"):
        told.append((t(locale, "merged.rank"), number(float(found["rank"]))))
    told.append((t(locale, "merged.size"), size(float(found.get("bytes") or 0))))
    if found.get("distance") is not None:
        told.append((t(locale, "merged.far"), percent(round(float(found["distance"]), 3))))
    for pair in (found.get("similarities") or ())[:6]:
        told.append((t(locale, "merged.alike", first=str(pair["between"][0]),
                       second=str(pair["between"][1])), number(pair["cosine"], 3)))
    notes = "".join(paragraph(reason_text(locale, str(one)), "f-quiet")
                    for one in found.get("notes") or ())
    links = "" if run.state is not RunState.COMPLETED else (
        f'<div class="f-actions f-written-links">{usable(locale, run.id)}'
        f'<a class="f-button f-small" id="run-export" '
        f'href="./export?model={text(quote(run.id, safe=""))}">{text(t(locale, "run.export"))}</a>'
        "</div>")
    return card(t(locale, "merged.title"), f"{pairs(told)}{notes}{links}")


def _source(name: object) -> str:
    known = str(name)
    if "/" in known or known == "starter":
        return text(known)
    return f'<a href="./run?id={text(quote(known, safe=""))}">{text(known)}</a>'


def _method(locale: str, name: str) -> str:
    return t(locale, f"merge.method.{name}") if has(f"merge.method.{name}") else name


def _sent(locale: str, pushed: Mapping[str, Any]) -> str:
    """Return where the export was sent or copied to."""
    told = [str(one.get("path") or one.get("url") or one.get("name")) for one in pushed.values()]
    return "".join(paragraph(t(locale, "written.sent", place=one), "f-quiet") for one in told)
