"""The Data page's box for adding: a file, a path, a hub dataset, a LLaMA-Factory folder."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from app.board import icons
from app.board.doors import error_note
from app.board.i18n import t
from app.board.pages._parts import html, note, paragraph, text
from app.board.wording import size
from trainer.data import DatasetError
from trainer.data.reading.sources import ENDINGS

WAYS = ("path", "hub", "folder")
# What the script says while a file is sent; it fills in the marks itself.
_SCRIPT = ("sending", "looking", "minutes", "seconds", "toolarge", "broken")


class AddBox:
    """How datasets come in."""

    def __init__(self, studio: Any, locale: str, limit: int) -> None:
        self.studio, self.locale, self.limit = studio, locale, limit

    def _word(self, key: str) -> str:
        return text(t(self.locale, key))

    def build(self) -> None:
        """Lay the box out."""
        with gr.Column(elem_classes="f-card", elem_id="data-add"):
            html(f"<h2>{self._word('add.title')}</h2>")
            with gr.Row(elem_classes="f-split", equal_height=False):
                with gr.Column(scale=5, min_width=280):
                    html(self._drop())
                with gr.Column(scale=7, min_width=280, elem_classes="f-add-fields"):
                    self._others()
            self.said = html("", "data-said")

    def _drop(self) -> str:
        said = " ".join(f'data-{key}="{text(_raw(self.locale, key))}"' for key in _SCRIPT)
        endings = ",".join(ENDINGS)
        return (f'<label class="f-drop" id="data-drop" data-limit="{self.limit}" {said}>'
                f'{icons.PLUS}<b>{self._word("add.drop")}</b><span>'
                f'{text(t(self.locale, "add.drop_help", size=_at_most(self.limit)))}</span>'
                f'<input type="file" id="data-file" accept="{endings}" '
                f'aria-label="{self._word("add.drop")}"></label>'
                f'<div id="data-sending" class="f-sending" role="status" hidden>'
                f'<span id="data-sending-words"></span><button type="button" '
                f'class="f-button f-small" id="data-sending-stop">{self._word("job.cancel")}'
                f'</button><div class="f-bar f-running" role="progressbar" aria-valuemin="0" '
                f'aria-valuemax="100" aria-label="{self._word("add.drop")}"><i></i></div></div>')

    def _others(self) -> None:
        self.way = gr.Radio([(t(self.locale, f"add.way_{way}"), way) for way in WAYS],
                            value="path", label=t(self.locale, "add.way"), elem_id="data-add-way",
                            elem_classes=["f-field"])
        self.source = gr.Textbox("", label=t(self.locale, "add.source_path"), max_lines=1,
                                 info=t(self.locale, "add.help_path"), elem_id="data-add-source",
                                 elem_classes=["f-field"], interactive=True)
        with gr.Column(visible=False, elem_classes="f-hubfields") as self.hub:
            self.parts = [gr.Textbox("", label=t(self.locale, f"add.{key}"), max_lines=1,
                                     min_width=40, elem_id=f"data-add-{key}", interactive=True,
                                     elem_classes=["f-field", "f-w4"])
                          for key in ("subset", "split", "revision")]
        with gr.Row(elem_classes="f-actions"):
            self.add = gr.Button(t(self.locale, "add.go"), variant="primary", scale=0,
                                 elem_id="data-add-go", min_width=90)

    def wire(self, gone: gr.Textbox, quiet: dict[str, Any], go: str) -> None:
        """Connect the events; ``gone`` takes the name of the dataset to go to."""
        self.way.change(self._choose, self.way, [self.source, self.hub], **quiet)
        gr.on([self.add.click, self.source.submit], self._add,
              [self.way, self.source, *self.parts], [gone, self.said], **quiet).then(
                  None, gone, None, js=go, **quiet)

    def _choose(self, way: str) -> Any:
        return (gr.update(label=t(self.locale, f"add.source_{way}"),
                          info=t(self.locale, f"add.help_{way}")),
                gr.update(visible=way == "hub"))

    def _add(self, way: str, source: str, subset: str, split: str, revision: str) -> Any:
        source, changes = (source or "").strip(), self.studio.changes
        try:
            if not source:
                raise DatasetError("nothing_named", "Nothing is named.", "Fill in the field.")
            if way == "folder":
                return "", self._folder(changes.add_folder(source))
            if way == "hub":
                return changes.add_hub(source, subset=subset.strip(), split=split.strip(),
                                       revision=revision.strip()), ""
            return changes.add_path(source), ""
        except Exception as error:
            return "", error_note(self.locale, error)

    def _folder(self, found: list[tuple[str, str]]) -> str:
        """Say what came of a whole folder."""
        good = [name for name, why in found if not why]
        bad = "".join(f"<li><b>{text(name)}</b>: {text(why)}</li>" for name, why in found if why)
        said = note("ok", t(self.locale, "add.added_many", n=len(good)),
                    paragraph(", ".join(good))) if good else ""
        return said + (note("warn", t(self.locale, "add.left_out"), f"<ul>{bad}</ul>")
                       if bad else "")

    def refused(self, words: str) -> str:
        """Return what the script was told of a file that was not taken, as a banner."""
        try:
            error = json.loads(words)
        except ValueError:
            error = {}
        shown = DatasetError(str(error.get("code") or "internal"),
                             str(error.get("message") or t(self.locale, "error.inside")),
                             str(error.get("advice") or ""))
        return error_note(self.locale, shown)


def _at_most(limit: int) -> str:
    """Return the largest size that is taken, never rounded up."""
    unit = 10 ** (8 if limit >= 1e9 else 5)
    return size(limit // unit * unit)


def _raw(locale: str, key: str) -> str:
    """Return a text of the script's with its marks as they are."""
    marks = {name: f"{{{name}}}" for name in ("name", "done", "total", "m", "s", "size", "limit")}
    return t(locale, f"send.{key}", **marks)
