"""The Run page's card of one question: it opens the Chat page, where base and run answer."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from app.board.i18n import t
from app.board.pages._parts import card, note, paragraph, text
from app.devices import Device
from app.runs import Run


def chat_address(run: Run) -> str:
    """Return where the base and the run answer side by side."""
    names = ",".join(quote(name, safe="") for name in (run.model, run.id) if name)
    return f"./chat?models={names}"


def ask_card(locale: str, run: Run) -> str:
    """Return the card of a run that can be talked to; ``board.js`` sends its question on."""
    label, hint, send = (text(t(locale, f"chat.{key}"))
                         for key in ("prompt", "placeholder", "send"))
    form = (f'<form id="run-chat-form" data-address="{text(chat_address(run))}">'
            f'<label for="run-chat-prompt">{label}</label>'
            f'<textarea id="run-chat-prompt" rows="2" placeholder="{hint}"></textarea>'
            '<div class="f-actions"><button type="submit" class="f-button f-primary" '
            f'id="run-chat-send">{send}</button></div></form>')
    lead = paragraph(t(locale, "chat.lead"), "f-quiet")
    return card(t(locale, "chat.title"), lead + form, element_id="run-chat")


def slow_note(locale: str, devices: Iterable[Device]) -> str:
    """Say that answers will be slow where a run has the processor and there is no GPU to ask."""
    there = list(devices)
    if any(device.key != "cpu" and not device.problem for device in there):
        return ""
    return note("info", t(locale, "chat.slow")) if any(device.holder for device in there) else ""
