"""The Chat page's frame as HTML; what models and people wrote is put in by script, as text."""

from __future__ import annotations

import json

from app.board import icons
from app.board.i18n import TABLES, t, zh_problems
from app.board.pages._chat_page_settings import drawer
from app.board.pages._parts import text

ICONS = {"copy": icons.COPY, "again": icons.AGAIN, "edit": icons.PENCIL, "fork": icons.FORK,
         "tokens": icons.TOKENS, "close": icons.CLOSE, "bin": icons.BIN, "check": icons.CHECK,
         "left": icons.LEFT, "right": icons.RIGHT, "warn": icons.WARN, "go_on": icons.DOWN}


def page(locale: str) -> str:
    """Return the whole page."""
    return (f'<div id="chat" data-state="starting">{_words(locale)}{_icons()}'
            f'{_side(locale)}<div class="f-talk">{_head(locale)}{_lanes(locale)}'
            f'<div id="chat-said" role="alert"></div>{_turns(locale)}{_composer(locale)}'
            f"{drawer(locale)}</div>{_dataset(locale)}{_exact(locale)}</div>")


def words(locale: str) -> dict[str, str]:
    """Return the words that the script needs, without the ``talk.`` before their names."""
    return {key.removeprefix("talk."): t(locale, key) for key in TABLES["en"]
            if key.startswith(("talk.", "chat.preset."))}


def errors(locale: str) -> dict[str, list[str]]:
    """Return [message, advice] by code, where errors are said in another language than English."""
    if locale == "en":
        return {}
    return {code: [said, zh_problems.ADVICE.get(code, "")]
            for code, said in zh_problems.MESSAGES.items() if "{" not in said}


def _words(locale: str) -> str:
    def put(values: object) -> str:
        return text(json.dumps(values, ensure_ascii=False))

    return (f'<div id="chat-words" hidden data-words="{put(words(locale))}" '
            f'data-errors="{put(errors(locale))}"></div>')


def _icons() -> str:
    """Return icons for the script to copy: it makes no HTML."""
    return '<div id="chat-icons" hidden>' + "".join(
        f'<span data-icon="{name}">{icon}</span>' for name, icon in ICONS.items()) + "</div>"


def _button(locale: str, identity: str, key: str, icon: str = "", *, kind: str = "",
            bare: bool = False) -> str:
    """Return a button; a bare one shows its icon alone and says its word to screen readers."""
    word = text(t(locale, f"talk.{key}"))
    shape = "f-act" if bare else f"f-button {kind}"
    label = f' aria-label="{word}" title="{word}"' if bare else ""
    return (f'<button type="button" id="{identity}" class="{shape}"{label}>{icon}'
            f'{"" if bare else f"<span>{word}</span>"}</button>')


def _side(locale: str) -> str:
    """Return the conversations: new, search, the list, what is done with all of them."""
    search = text(t(locale, "talk.search"))
    export = text(t(locale, "talk.export_all"))
    return (f'<aside id="chat-side" class="f-convs" aria-label="{text(t(locale, "talk.list"))}">'
            f'<div class="f-convs-head">'
            f'{_button(locale, "chat-new", "new", icons.PLUS, kind="f-primary")}'
            f'{_button(locale, "chat-side-close", "hide_list", icons.CLOSE, bare=True)}</div>'
            f'<input type="search" id="chat-search" class="f-search" autocomplete="off" '
            f'aria-label="{search}" placeholder="{search}">'
            f'<ul id="chat-list"></ul><p id="chat-list-none" class="f-quiet" hidden></p>'
            f'<a id="chat-export-all" class="f-link" download hidden '
            f'href="./api/chats/export?format=jsonl">{export}</a></aside>'
            f'<div id="chat-shade" hidden></div>')


def _head(locale: str) -> str:
    items = "".join(
        f'<a id="chat-export-{kind}" download role="menuitem">{icons.DOWNLOAD}'
        f'{text(t(locale, f"talk.export_{kind}"))}</a>' for kind in ("markdown", "json", "jsonl"))
    more = text(t(locale, "talk.export"))
    return ('<div class="f-talk-head">'
            f'{_button(locale, "chat-side-open", "show_list", icons.LIST, bare=True)}'
            '<h1 id="chat-title"></h1>'
            '<details id="chat-more" class="f-menu" hidden>'
            f'<summary class="f-button f-small">{icons.DOWNLOAD}<span>{more}</span></summary>'
            f'<div>{items}'
            f'<button type="button" id="chat-dataset-open">{icons.PLUS}'
            f'{text(t(locale, "talk.dataset"))}</button></div></details>'
            f'{_button(locale, "chat-settings", "settings", icons.SLIDERS, kind="f-small")}</div>')


def _lanes(locale: str) -> str:
    """Return the bar with one picker a model."""
    blind = text(t(locale, "talk.blind_help"))
    add = text(t(locale, "talk.add_model"))
    return (f'<div class="f-lanes"><div id="chat-lanes" role="group" '
            f'aria-label="{text(t(locale, "talk.models"))}"></div>'
            f'<button type="button" id="chat-lane-add" class="f-button f-small">{icons.PLUS}'
            f'<span>{add}</span></button>'
            f'<label class="f-blind" title="{blind}"><input type="checkbox" id="chat-blind">'
            f'<span>{text(t(locale, "talk.blind"))}</span></label></div>')


def _turns(locale: str) -> str:
    steps = "".join(f'<li>{text(t(locale, f"talk.empty_{n}"))}</li>' for n in (1, 2, 3))
    return ('<div class="f-talk-room"><div id="chat-turns" tabindex="-1" role="log" '
            f'aria-live="off" aria-label="{text(t(locale, "talk.answers"))}"></div>'
            f'<div id="chat-empty" class="f-empty" hidden>{icons.MARK}'
            f'<h2>{text(t(locale, "talk.empty"))}</h2>'
            f'<p>{text(t(locale, "talk.empty_lead"))}</p><ol>{steps}</ol>'
            f'<div class="f-actions"><a class="f-button" href="./train">'
            f'{text(t(locale, "talk.empty_train"))}</a><a class="f-button" href="./models">'
            f'{text(t(locale, "talk.empty_models"))}</a></div></div>'
            f'{_button(locale, "chat-to-end", "to_end", icons.DOWN, bare=True)}</div>')


def _composer(locale: str) -> str:
    def word(key: str) -> str:
        return text(t(locale, f"talk.{key}"))

    return ('<form id="chat-form" class="f-composer" autocomplete="off">'
            '<div id="chat-images" hidden></div>'
            f'<textarea id="chat-input" rows="1" aria-label="{word("question")}" '
            f'aria-describedby="chat-hint" placeholder="{word("placeholder")}"></textarea>'
            '<div class="f-composer-foot">'
            f'<label class="f-act" title="{word("attach")}">{icons.PICTURE}'
            f'<input type="file" id="chat-attach" multiple aria-label="{word("attach")}" '
            'accept="image/png,image/jpeg,image/webp,image/gif"></label>'
            f'<span id="chat-hint" class="f-quiet">{word("hint")}</span>'
            f'<button type="button" id="chat-stop" class="f-button" hidden>{icons.STOP}'
            f'{word("stop")}</button>'
            f'<button type="submit" id="chat-send" class="f-button f-primary">{icons.SEND}'
            f'{word("send")}</button></div></form>')


def _dataset(locale: str) -> str:
    def word(key: str) -> str:
        return text(t(locale, f"talk.{key}"))

    def choices(name: str, keys: tuple[str, ...]) -> str:
        return "".join(
            f'<label class="f-pick-one"><input type="radio" name="chat-dataset-{name}" '
            f'value="{key}"{" checked" if key == keys[0] else ""}>'
            f'<span>{word(f"dataset_{key}")}</span></label>' for key in keys)

    return ('<dialog id="chat-dataset" class="f-dialog" aria-labelledby="chat-dataset-title">'
            f'<form method="dialog"><h2 id="chat-dataset-title">{word("dataset")}</h2>'
            f'<p class="f-quiet">{word("dataset_lead")}</p>'
            f'<label class="f-label" for="chat-dataset-name">{word("dataset_name")}</label>'
            '<input type="text" id="chat-dataset-name" maxlength="64" spellcheck="false" '
            'value="chats">'
            f'<fieldset><legend>{word("dataset_kind")}</legend>'
            f'{choices("kind", ("conversations", "preferences"))}</fieldset>'
            f'<fieldset><legend>{word("dataset_of")}</legend>'
            f'{choices("of", ("this", "all"))}</fieldset>'
            '<div id="chat-dataset-said" role="status"></div><div class="f-actions">'
            f'<button type="button" id="chat-dataset-go" class="f-button f-primary">'
            f'{word("dataset_go")}</button>'
            f'<button type="button" class="f-button" data-close>{word("close")}</button></div>'
            '</form></dialog>')


def _exact(locale: str) -> str:
    def word(key: str) -> str:
        return text(t(locale, f"talk.{key}"))

    return ('<dialog id="chat-exact" class="f-dialog f-wide-dialog" '
            'aria-labelledby="chat-exact-title">'
            f'<div class="f-card-head"><h2 id="chat-exact-title">{word("exact_title")}</h2>'
            f'<button type="button" class="f-act" data-close aria-label="{word("close")}" '
            f'title="{word("close")}">{icons.CLOSE}</button></div>'
            '<div id="chat-exact-said" role="status"></div>'
            '<div id="chat-exact-body"></div></dialog>')
