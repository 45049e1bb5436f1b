"""The Data page's viewer: any row by its number, as a model and a template would see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from app.board.doors import QUIET, door, error_note
from app.board.forms import known_choices
from app.board.i18n import choice_label, field_title, t
from app.board.pages import _data_row
from app.board.pages._parts import html, text
from app.board.wording import count
from app.datarows import ViewOptions, row_view
from trainer.contract.config import OBJECTIVES, all_fields
from trainer.contract.places import template_names

_LONGEST = 1_048_576


class RowViewer:
    """Chooses a row and how it is looked at."""

    def __init__(self, studio: Any, locale: str, name: gr.Textbox) -> None:
        self.studio, self.locale, self.name = studio, locale, name

    def build(self) -> None:
        """Lay the viewer out."""
        with gr.Column(elem_classes="f-card f-viewer", elem_id="data-viewer"):
            html(f'<h2>{text(t(self.locale, "row.title"))}</h2>')
            with gr.Row(elem_classes="f-rowbar"):
                self.back = self._button("row.back", "data-row-back")
                self.row = gr.Textbox("1", label=t(self.locale, "row.number"), show_label=False,
                                      container=False, max_lines=1, elem_id="data-row",
                                      interactive=True, min_width=60)
                self.next = self._button("row.next", "data-row-next")
                self.bad = self._button("row.next_bad", "data-row-bad")
                self.of = html("", "data-row-of", fit=True)
            with gr.Column(elem_classes="f-options"):
                self._options()
            self.view = html("", "data-row-view")

    def _button(self, key: str, identity: str) -> gr.Button:
        return gr.Button(t(self.locale, key), elem_id=identity, scale=0, min_width=60)

    def _options(self) -> None:
        fields = all_fields()

        def common(path: str, width: int) -> dict[str, Any]:
            return {"label": field_title(self.locale, fields[path]), "interactive": True,
                    "elem_id": "data-view-" + path.rpartition(".")[2], "min_width": 40,
                    "elem_classes": ["f-field", f"f-w{width}"]}

        self.model = gr.Dropdown(["starter"], value="starter", allow_custom_value=True,
                                 **common("model.name_or_path", 4))
        self.template = gr.Dropdown(["auto", *template_names()], value="auto",
                                    **common("data.template", 3))
        self.longest = gr.Textbox("512", max_lines=1, **{
            **common("data.max_length", 2), "label": t(self.locale, "view.longest")})
        self.overlong = gr.Dropdown(
            [(choice_label(self.locale, "data.overlong", value), value)
             for value in fields["data.overlong"].choices], value="cut_turns", filterable=False,
            **common("data.overlong", 3))
        self.all = gr.Checkbox(False, **common("data.train_on_prompt", 4))
        self.last = gr.Checkbox(False, **common("data.mask_history", 4))
        self.objective = gr.Dropdown(
            [(t(self.locale, "view.usual"), ""),
             *((choice_label(self.locale, "objective", name), name) for name in OBJECTIVES)],
            value="", filterable=False, **common("objective", 4))

    @property
    def options(self) -> list[Any]:
        """The components that say how a row is looked at."""
        return [self.model, self.template, self.longest, self.overlong, self.all, self.last,
                self.objective]

    def wire(self) -> None:
        """Connect the events."""
        show = door(self.locale, lambda banner: banner)(self.show)
        gr.on([one.change for one in (self.row, *self.options)], show,
              [self.name, self.row, *self.options], self.view, trigger_mode="always_last", **QUIET)
        for button, step in ((self.back, -1), (self.next, 1)):
            button.click(self._step(step), [self.name, self.row], self.row, **QUIET)
        self.bad.click(self._next_bad, [self.name, self.row], self.row, **QUIET)

    def _step(self, step: int) -> Any:
        def go(name: str, row: str) -> str:
            return str(max(1, row_number(row) + step))
        return go

    def _next_bad(self, name: str, row: str) -> Any:
        """Go to the first bad row after this one, from the beginning again after the last."""
        if not name:
            return gr.skip()
        report, _ = self.studio.data.report(name)
        bad = sorted({note.row for note in report.problems if note.severity == "error"})
        here = row_number(row)
        return str(next((n for n in bad if n > here), bad[0])) if bad else gr.skip()

    def first(self, query: Mapping[str, str]) -> list[Any]:
        """Return what the address says: the row and how it is looked at."""
        models = known_choices(self.studio, self.locale)["model.name_or_path"]
        overlong = query.get("overlong", "cut_turns")
        template = query.get("template", "auto")
        objective = query.get("objective", "")
        return [query.get("row", "1"),
                gr.update(choices=models, value=query.get("model", "starter")),
                template if template in ("auto", *template_names()) else "auto",
                query.get("max_length", "512"),
                overlong if overlong in ("cut_turns", "drop") else "cut_turns",
                query.get("train_on_prompt") == "1", query.get("mask_history") == "1",
                objective if objective in OBJECTIVES else ""]

    def show(self, name: str, row: str, *options: Any) -> str:
        """Return the row as HTML; what is wrong with it is part of that."""
        if not name:
            return ""
        number, chosen = row_number(row), view_options(*options)
        try:
            view = row_view(self.studio.data, name, number, chosen)
        except ValueError as error:
            return _data_row.viewer(self.locale, None, state(number, chosen)) + error_note(
                self.locale, error)
        return _data_row.viewer(self.locale, view, state(number, chosen))

    def of_words(self, rows: int, complete: bool) -> str:
        """Return "of 7,473 rows"."""
        key = "row.of" if complete else "row.of_more"
        return f'<span class="f-quiet">{text(t(self.locale, key, rows=count(rows)))}</span>'


def row_number(words: str) -> int:
    """Return the number that was typed; 1 for what is none."""
    digits = "".join(c for c in str(words) if c in "0123456789")[:12]
    return max(1, int(digits)) if digits else 1


def view_options(*held: Any) -> ViewOptions:
    """Return what the components hold, in the order of ``RowViewer.options``.

    A length that cannot be meant becomes one that can.
    """
    model, template, longest, overlong, learn_all, only_last, objective = held
    length = min(_LONGEST, max(8, row_number(longest)))
    return ViewOptions(str(model or "starter"), str(template or "auto"), length,
                       str(overlong or "cut_turns"), bool(learn_all), bool(only_last),
                       str(objective or ""))


def state(row: int, chosen: ViewOptions) -> dict[str, Any]:
    """Return what the address has to say so that the same is shown again; '' for a default."""
    usual = ViewOptions()
    values = {key: getattr(chosen, key) for key in ViewOptions.__dataclass_fields__}
    return {"row": row, **{key: "" if value == getattr(usual, key) else value
                           for key, value in values.items()}}
