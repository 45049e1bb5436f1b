"""What the pages that queue a run without training have in common: form left, meaning right.

``_filled`` puts values into the form, ``values`` brings them back as JSON, ``_check`` says what
they mean; Start queues the run and opens its page.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import gradio as gr
import yaml

from app.board.doors import QUIET, door
from app.board.i18n import t
from app.board.pages import _export_form
from app.board.pages._export_form import Form, Option
from app.board.pages._parts import html, note, text
from app.preflight import DryRun
from app.runs import RunError
from trainer.contract.problems import ConfigError, Problem

_GO = "(id) => { if (id) { try { sessionStorage.removeItem('finestra_kind_draft'); } catch {} " \
      "location.assign('./run?id=' + encodeURIComponent(id)); } }"


class KindPage:
    """The components and handlers of one page in one language."""

    form: Form
    # The field that a problem of the whole config is about, by its code.
    owners: ClassVar[Mapping[str, str]] = {}

    def __init__(self, studio: Any, locale: str) -> None:
        self.studio, self.locale = studio, locale

    # What a page says of itself

    def cards(self) -> Sequence[tuple[str, str]]:
        """Return the form's cards as (heading, HTML)."""
        raise NotImplementedError

    def known(self) -> Mapping[str, Sequence[Option]]:
        """Return what can be chosen by name, as (label, value) for each field."""
        raise NotImplementedError

    def defaults(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return what stands in the form for an address."""
        raise NotImplementedError

    def raws_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form holds for a config."""
        raise NotImplementedError

    def read(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config that the form describes, unchecked."""
        raise NotImplementedError

    def means(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the script is told of the form alone: what means nothing now."""
        raise NotImplementedError

    def named(self, raws: Mapping[str, Any]) -> str:
        """Return the name that the run gets when nobody gives it one."""
        raise NotImplementedError

    def looked_at(self, raws: Mapping[str, Any]) -> tuple[DryRun, dict[str, Any], str]:
        """Return (what is known, what else the script is told, a card about it)."""
        raise NotImplementedError

    def command(self, config: Any) -> str:
        """Return the command that does the same."""
        raise NotImplementedError

    def yaml(self, config: Any) -> str:
        """Return the config as a file."""
        raise NotImplementedError

    def missing(self, raws: Mapping[str, Any]) -> str:
        """Return what has to be chosen before anything can be said; '' for nothing."""
        raise NotImplementedError

    def script_words(self) -> dict[str, str]:
        """Return the words that the script needs."""
        return {}

    def head(self) -> str:
        """Return the page's title as HTML."""
        return _export_form.title(self.locale, self.form.kind)

    def placed(self, problems: Sequence[Problem], raws: Mapping[str, Any]) -> Sequence[Problem]:
        """Return problems with the form's fields that they are about."""
        return problems

    # The page

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        kind = self.form.kind
        self.key = gr.Textbox("", visible=False)
        self.going = gr.Textbox("", visible=False)
        html(self.head())
        self.said = html("", f"{kind}-said")
        with gr.Row(elem_classes="f-split", equal_height=False, elem_id="kind-body"):
            with gr.Column(scale=8, min_width=320, elem_id="kind-form"):
                for heading, drawn in self.cards():
                    with gr.Column(elem_classes="f-card f-fields"):
                        html(f"<h2>{text(heading)}</h2>{drawn}" if heading else drawn)
            with gr.Column(scale=4, min_width=300, elem_classes="f-side"):
                self.problems = html("", f"{kind}-problems")
                self.start = gr.Button(t(self.locale, f"{kind}.start"), variant="primary",
                                       elem_id=f"{kind}-start", interactive=False)
                self.about = html("", f"{kind}-about")
                self.same = html("", f"{kind}-same")
        self.filled = html("", "kind-fill")
        self.values = gr.Textbox("", elem_id="kind-values", elem_classes="f-away",
                                 show_label=False, container=False, interactive=True)
        self._wire(blocks)

    def _wire(self, blocks: gr.Blocks) -> None:
        sides = [self.problems, self.start, self.about, self.same]
        load = door(self.locale, lambda banner: (banner, "", gr.skip()))(self._load)
        blocks.load(load, None, [self.said, self.key, self.filled], **QUIET)
        check = door(self.locale, lambda banner: (banner, *[gr.skip()] * 3))(self._check)
        self.values.change(check, self.values, sides, trigger_mode="always_last", **QUIET)
        start = door(self.locale, lambda banner: ("", banner))(self._start)
        self.start.click(start, [self.key, self.values], [self.going, self.problems],
                         **QUIET).then(None, self.going, None, js=_GO, **QUIET)

    def _load(self, request: gr.Request) -> Any:
        query = dict(request.query_params)
        said, raws = "", None
        if run_id := query.get("clone", ""):
            try:
                raws = self.raws_of(self.studio.clone_values(run_id))
                said = note("info", t(self.locale, "train.cloned",
                                      name=self.studio.run(run_id).name))
            except RunError:
                said = note("warn", t(self.locale, "train.clone_missing"))
        return said, uuid.uuid4().hex, _export_form.filling(
            raws or self.defaults(query), self.known(), uuid.uuid4().hex, self.script_words())

    def _check(self, sent: str) -> Any:
        raws = from_browser(sent)
        if raws is None:
            return (*[gr.skip()] * 4,)
        if words := self.missing(raws):
            return (_export_form.waiting(self.locale, words, self.means(raws)),
                    gr.update(interactive=False), "", "")
        dry, more, about = self.looked_at(raws)
        state = {**self.means(raws), **more, "named": self.named(raws)}
        same = "" if dry.config is None else _export_form.same(
            self.locale, self.form.kind, self.command(dry.config), self.yaml(dry.config))
        found = self.placed(dry.problems, raws)
        return (_export_form.problems(self.form, found, self.owners, state),
                gr.update(interactive=not dry.problems), about, same)

    def _start(self, key: str, sent: str) -> Any:
        raws = from_browser(sent) or {}
        try:
            values = self.read(raws)
            digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
            run = self.studio.create(values, origin="web",
                                     idempotency_key=f"{key}-{digest}" if key else None)
        except ConfigError as error:
            return "", _export_form.problems(self.form, self.placed(error.problems, raws),
                                             self.owners, self.means(raws))
        return str(run.id), gr.skip()

    # What pages share

    def label(self, name: str) -> str:
        """Return what people call a model."""
        return model_label(self.studio, self.locale, name)

    def choice(self, name: str) -> Option:
        """Return (label, name) of a model for a list: several runs may be called the same."""
        if name == "starter":
            return t(self.locale, "model.starter"), name
        label = self.label(name)
        return label if label == name else f"{label} · {name}", name

    def devices(self) -> list[Option]:
        """Return (value, label) of the devices that can be chosen."""
        return [("auto", t(self.locale, "device.auto")), ("cpu", t(self.locale, "device.cpu")),
                *((device.key, device.name or device.key) for device in self.studio.devices()
                  if device.key != "cpu")]

    def dtypes(self) -> list[Option]:
        """Return (value, label) of the number formats of weights."""
        return [("stored", t(self.locale, "export.dtype.stored")),
                *((name, name) for name in ("bfloat16", "float16", "float32"))]


def model_label(studio: Any, locale: str, name: str) -> str:
    """Return what people call a model: a run's name, with its checkpoint or file; else the end."""
    run_id, _, rest = name.partition("/")
    try:
        run = studio.run(run_id)
    except ValueError:
        return name.rstrip("/").rpartition("/")[2]
    if rest.endswith(".gguf"):
        return f"{run.name} · {rest.removesuffix('.gguf')}"
    step = rest.removeprefix("checkpoint-")
    return t(locale, "export.at_step", name=run.name, step=step) if rest else str(run.name)


def from_browser(sent: str) -> dict[str, Any] | None:
    """Return what the form sent, None when it is no such thing."""
    try:
        found = json.loads(sent) if sent else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def settings(told: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """Yield what a config says as ``section.key=value``, as the command line reads it."""
    for key, value in told.items():
        if isinstance(value, Mapping):
            yield from settings(value, f"{section}{key}.")
        else:
            plain = str(value).lower() if isinstance(value, bool) else json.dumps(
                value, ensure_ascii=False) if isinstance(value, list) else str(value)
            same = not isinstance(value, str) or yaml.safe_load(plain) == value
            yield f"{section}{key}={plain if same else json.dumps(value)}"


def said_of(raws: Mapping[str, Any], path: str) -> str:
    """Return a text of the form without the blanks around it."""
    return str(raws.get(path, "") or "").strip()
