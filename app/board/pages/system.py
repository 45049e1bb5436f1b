"""The System page: devices, engines, keys, endpoints, checks, the audit log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.apikeys import DEFAULT_SCOPES, SCOPES, KeyRing
from app.board.doors import QUIET, door, error_note
from app.board.i18n import t
from app.board.pages import _system_html
from app.board.pages._parts import html, note, text
from app.serving.endpoints import EndpointBook

PARTS = ("devices", "engines", "kinds", "keys", "endpoints", "checks", "audit")


class SystemPage:
    """The page's components and handlers for one language.

    Args:
        studio: The service layer.
        desk: What looks after the engines, app.system.SystemDesk; None where there is no server.
        locale: 'en' or 'zh'.
    """

    def __init__(self, studio: Any, desk: Any, locale: str) -> None:
        self.studio, self.desk, self.locale = studio, desk, locale
        self.keys, self.endpoints = KeyRing(studio.home), EndpointBook(studio.home)

    def build(self, blocks: gr.Blocks) -> None:
        """Lay out the page and wire its events."""
        self.seen = gr.Textbox("", visible=False)
        # The script hands over what buttons inside our own HTML ask for, as on the Data page.
        self.do = gr.Textbox("", elem_id="data-do", elem_classes="f-offscreen", max_lines=1,
                             label=t(self.locale, "ds.do"))
        html(_system_html.title(self.locale))
        self.said = html("", "system-said")
        parts: dict[str, gr.HTML] = {}
        with gr.Row(elem_classes="f-split", equal_height=False):
            with gr.Column(scale=7, min_width=300):
                parts["engines"] = html(self._waiting(), "system-engines-panel")
                parts["keys"] = self._key_card()
                parts["endpoints"] = self._endpoint_card()
                parts["audit"] = html("", "system-audit-panel")
            with gr.Column(scale=5, min_width=280):
                for name in ("devices", "kinds", "checks"):
                    parts[name] = html("", f"system-{name}-panel")
        self.parts = [parts[name] for name in PARTS]
        self._wire(blocks, gr.Timer(2.0))

    def _waiting(self) -> str:
        return f'<div class="f-card f-wait" role="status">{text(t(self.locale, "loading"))}</div>'

    def _head(self, key: str) -> None:
        html(f"<h2>{text(t(self.locale, f'system.{key}'))}</h2>"
             f'<p class="f-quiet">{text(t(self.locale, f"system.{key}_lead"))}</p>')

    def _field(self, key: str, identity: str, **settings: Any) -> gr.Textbox:
        return gr.Textbox("", label=t(self.locale, f"system.{key}"), max_lines=1, scale=3,
                          elem_id=identity, elem_classes=["f-field"], min_width=160, **settings)

    def _button(self, key: str, identity: str) -> gr.Button:
        return gr.Button(t(self.locale, f"system.{key}"), elem_id=identity, variant="primary",
                         scale=0, min_width=130)

    def _key_card(self) -> gr.HTML:
        with gr.Column(elem_classes="f-card", elem_id="system-keys"):
            self._head("keys")
            shown = html("", "system-keys-table")
            self.made = html("", "system-key-made")
            with gr.Row(elem_classes="f-source"):
                self.key_name = self._field("key_name", "system-key-name",
                                            placeholder=t(self.locale, "system.key_what"))
                self.scopes = gr.CheckboxGroup(
                    [(t(self.locale, f"system.scope.{one}"), one) for one in SCOPES],
                    value=list(DEFAULT_SCOPES), label=t(self.locale, "system.key_scopes"),
                    elem_id="system-key-scopes", scale=4, min_width=240)
                self.make = self._button("key_make", "system-key-make")
        return shown

    def _endpoint_card(self) -> gr.HTML:
        with gr.Column(elem_classes="f-card", elem_id="system-endpoints"):
            self._head("endpoints")
            shown = html("", "system-endpoints-table")
            with gr.Row(elem_classes="f-source"):
                self.endpoint = [
                    self._field("key_name", "system-endpoint-name"),
                    self._field("url", "system-endpoint-url",
                                info=t(self.locale, "system.url_help"))]
            with gr.Row(elem_classes="f-source"):
                self.endpoint += [
                    self._field("models", "system-endpoint-models",
                                info=t(self.locale, "system.models_help")),
                    self._field("key", "system-endpoint-key", type="password",
                                info=t(self.locale, "system.key_help"))]
                self.save = self._button("endpoint_add", "system-endpoint-add")
        return shown

    def _wire(self, blocks: gr.Blocks, timer: gr.Timer) -> None:
        drawn = [*self.parts, self.seen]
        draw = door(self.locale, lambda banner: (banner, *[gr.skip()] * len(PARTS)))(self._draw)
        gr.on([blocks.load, timer.tick], draw, self.seen, drawn, **QUIET)
        self.do.change(self._act, self.do, self.said, **QUIET).then(draw, self.seen, drawn, **QUIET)
        gr.on([self.make.click, self.key_name.submit], self._make_key, [self.key_name, self.scopes],
              [self.made, self.key_name], **QUIET).then(draw, self.seen, drawn, **QUIET)
        self.save.click(self._save, self.endpoint, [self.said, *self.endpoint], **QUIET).then(
            draw, self.seen, drawn, **QUIET)

    def _draw(self, before: str) -> Any:
        """Draw the parts that changed."""
        old = json.loads(before) if before else {}
        fresh: list[Any] = []
        new = {}
        for name, drawn in zip(PARTS, self._all(), strict=True):
            new[name] = hashlib.sha256(drawn.encode("utf-8", "replace")).hexdigest()[:10]
            fresh.append(gr.skip() if old.get(name) == new[name] else drawn)
        return (*fresh, json.dumps(new))

    def _all(self) -> Sequence[str]:
        locale = self.locale
        document: dict[str, Any] = {"engines": [], "kinds": [], "conflicts": []}
        checks: list[Any] = []
        audit: list[Any] = []
        if self.desk is not None:
            document, audit = self.desk.engines_document(), self.desk.audit(30)
            checks, _ = self.desk.checks()
        return (_system_html.devices(locale, self.studio.devices()),
                _system_html.engines(locale, document),
                _system_html.kinds(locale, document["kinds"]),
                _system_html.keys(locale, self.keys.documents()),
                _system_html.endpoints(locale, [one.document() for one in self.endpoints.all()]),
                _system_html.checks(locale, checks), _system_html.audit(locale, audit))

    def _act(self, asked: str) -> str:
        """Do what a button inside our own HTML asks for, as the script passes it on."""
        verb, _, name = asked.rpartition("#")[0].partition(":")
        if verb.startswith("ask-"):
            return _system_html.asking(self.locale, verb.removeprefix("ask-"), name)
        verbs: dict[str, Callable[[], object]] = {
            "revoke": lambda: self.keys.revoke(name),
            "forget": lambda: self.endpoints.remove(name),
            "unload": lambda: self.desk.unload(name),
            "force": lambda: self.desk.unload(name, force=True),
            "restart": lambda: self.desk.restart(name)}
        return self._tried(verbs.get(verb, lambda: None))

    def _tried(self, work: Callable[[], object]) -> str:
        """Do something; return what a person should know of it."""
        try:
            work()
        except (ValueError, OSError) as error:
            return error_note(self.locale, error)
        return ""

    def _make_key(self, name: str, scopes: list[str]) -> Any:
        try:
            key, secret = self.keys.create(name or "", scopes or [])
        except (ValueError, OSError) as error:
            return error_note(self.locale, error), gr.skip()
        return _system_html.made_key(self.locale, key.name, secret), ""

    def _save(self, name: str, url: str, models: str, key: str) -> Any:
        named = [one.strip() for one in (models or "").split(",") if one.strip()]
        try:
            found = self.endpoints.add((name or "").strip(), (url or "").strip(), named,
                                       key=(key or "").strip())
        except (ValueError, OSError) as error:
            return error_note(self.locale, error), *[gr.skip()] * 4
        return note("ok", t(self.locale, "system.endpoint_saved", name=found.name)), "", "", "", ""
