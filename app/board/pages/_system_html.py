"""What the System page shows, as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.apikeys import SCOPES
from app.board import icons
from app.board.i18n import t
from app.board.pages._parts import card, note, paragraph, text
from app.board.wording import ago, duration, size
from app.devices import Device
from app.doctor import Check

Rows = Iterable[Sequence[str]]


def title(locale: str) -> str:
    """Return the head of the page."""
    return (f'<div class="f-title"><div><h1>{text(t(locale, "page.system"))}</h1>'
            f'<p>{text(t(locale, "system.lead"))}</p></div></div>')


def _table(heads: Sequence[str], rows: Rows) -> str:
    head = "".join(f'<th scope="col">{text(one)}</th>' for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (f'<div class="f-scroll" tabindex="0"><table class="f-sheet"><thead><tr>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table></div>")


def _button(verb: str, name: str, words: str, kind: str = "") -> str:
    return (f'<button type="button" class="f-button f-small {kind}" '
            f'data-do="{text(verb)}:{text(name)}">{text(words)}</button>')


def _quiet(words: str) -> str:
    return paragraph(words, "f-quiet")


def devices(locale: str, found: Iterable[Device]) -> str:
    """Return the devices, their free memory and who holds each."""
    rows = []
    for one in found:
        memory = f"{size(one.free_mib * 2**20)} / {size(one.total_mib * 2**20)}"
        holder = (f'<a href="./run?id={text(one.holder)}">{text(one.holder)}</a>' if one.holder
                  else text(t(locale, "system.nobody")))
        rows.append((f"<b>{text(one.name)}</b>", text(one.problem or memory), holder))
    heads = [t(locale, f"system.{key}") for key in ("device", "memory", "held")]
    return card(t(locale, "system.devices"), _table(heads, rows), element_id="system-devices")


def engines(locale: str, document: Mapping[str, Any]) -> str:
    """Return the engines that run and those that ended last, and what there is to choose."""
    found = [_conflict(locale, one) for one in document["conflicts"]]
    rows = [_engine(locale, one) for one in document["engines"]]
    heads = [*(t(locale, f"system.{key}") for key in ("model", "engine", "state")), ""]
    body = _table(heads, rows) if rows else _quiet(t(locale, "system.engines_none"))
    return card(t(locale, "system.engines"), "".join(found) + body, element_id="system-engines")


def _conflict(locale: str, one: Mapping[str, Any]) -> str:
    button = _button("force", one["engine"], t(locale, "system.give"), "f-primary")
    return note("warn", t(locale, "system.conflict", run=one["run"], model=one["model"]),
                paragraph(t(locale, "system.conflict_body"))
                + f'<div class="f-actions">{button}</div>')


def _engine(locale: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    state = str(one["state"])
    words = t(locale, f"system.engine.{state}")
    if state == "ready":
        words = (t(locale, "system.answering", n=one["answering"]) if one["answering"]
                 else t(locale, "system.idle", time=duration(locale, one["idle_s"])))
    name = f"<b>{text(one['model'])}</b>"
    if one.get("adapters"):
        name += _dim(t(locale, "system.adapters", names=", ".join(one["adapters"])))
    if one.get("exposed_ports"):
        ports = ", ".join(str(port) for port in one["exposed_ports"])
        name += _dim(t(locale, "system.exposed", ports=ports))
    buttons = ""
    if state in ("starting", "ready"):
        verb, label = (("force", "system.unload_now") if one.get("answering")
                       else ("unload", "system.unload"))
        buttons = (_button(verb, one["id"], t(locale, label))
                   + _button("restart", one["id"], t(locale, "system.restart")))
    kind = {"ready": "completed", "starting": "starting"}.get(state, "stopped")
    chip = f'<span class="f-chip f-{kind}">{text(words)}</span>'
    return (name + _last_words(locale, one), text(f"{one['kind']} · {_short(one['device'])}"),
            chip, f'<div class="f-actions">{buttons}</div>')


def _dim(words: str) -> str:
    return f'<div class="f-dim">{text(words)}</div>'


def _short(device: str) -> str:
    return device if len(device) <= 12 else device[:12] + "…"


def _last_words(locale: str, one: Mapping[str, Any]) -> str:
    """Return why an engine ended, with its last lines folded."""
    reason = one.get("error")
    if not reason:
        return ""
    log = str(one.get("last_lines") or "")
    folded = (f'<details><summary>{text(t(locale, "system.log"))}</summary>'
              f'<pre class="f-log" tabindex="0">{text(log)}</pre></details>') if log else ""
    return _dim(str(reason)) + folded


def kinds(locale: str, found: Iterable[Mapping[str, Any]]) -> str:
    """Return the kinds of engines, and the command that installs one."""
    rows = []
    for one in found:
        word = t(locale, "system.installed" if one["installed"] else "system.missing")
        chip = f'<span class="f-chip f-{"completed" if one["installed"] else "stopped"}">'
        how = "" if one["installed"] else _dim(str(one["reason"])) + (
            f"<code>{text(one['install'])}</code>" if one["install"] else "")
        rows.append((f"<b>{text(one['kind'])}</b>", f"{chip}{text(word)}</span>", how))
    return card(t(locale, "system.kinds"), _table(("", "", ""), rows), element_id="system-kinds")


def keys(locale: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Return the keys, without their secrets; revoked ones come last."""
    rows = []
    for one in sorted(found, key=lambda key: (key["revoked_at"] is not None, -key["created_at"])):
        scopes = ", ".join(t(locale, f"system.scope.{scope}") for scope in one["scopes"]
                           if scope in SCOPES)
        used = ago(locale, one["last_used_at"]) if one["last_used_at"] else t(
            locale, "system.never")
        action = (f'<span class="f-dim">{text(t(locale, "system.revoked"))}</span>'
                  if one["revoked_at"] else _button("ask-revoke", one["name"],
                                                    t(locale, "system.revoke")))
        rows.append((f"<b>{text(one['name'])}</b>{_dim(scopes)}",
                     f"<code>…{text(one['hint'])}</code>",
                     text(ago(locale, one["created_at"])), text(used), action))
    heads = [*(t(locale, f"system.{key}") for key in ("key_name", "ends", "made", "used")), ""]
    return _table(heads, rows) if rows else _quiet(t(locale, "system.key_none"))


def asking(locale: str, verb: str, name: str) -> str:
    """Ask once before something is lost: a key ('revoke') or an endpoint ('forget')."""
    buttons = (_button(verb, name, t(locale, f"system.{verb}_yes"), "f-primary")
               + _button("keep", name, t(locale, "delete.no")))
    return note("warn", t(locale, f"system.{verb}_ask", name=name),
                f'<div class="f-actions">{buttons}</div>')


def made_key(locale: str, name: str, secret: str) -> str:
    """Return a new key, this once, with a button that copies it."""
    copy = (f'<button type="button" class="f-button f-small" data-copy="system-secret">'
            f'{icons.COPY}{text(t(locale, "copy"))}</button>')
    return note("ok", t(locale, "system.key_made", name=name),
                f'<div class="f-actions"><code id="system-secret">{text(secret)}</code>{copy}'
                "</div>")


def endpoints(locale: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Return the saved endpoints."""
    rows = [(f"<b>{text(one['name'])}</b>"
             + (_dim(t(locale, "system.has_key")) if one["has_key"] else ""),
             f"<code>{text(one['base_url'])}</code>", text(", ".join(one["models"])),
             _button("ask-forget", one["name"], t(locale, "system.remove"))) for one in found]
    heads = [*(t(locale, f"system.{key}") for key in ("key_name", "url", "models")), ""]
    return _table(heads, rows) if rows else _quiet(t(locale, "system.endpoints_none"))


def checks(locale: str, found: Sequence[Check]) -> str:
    """Return what ``finestra doctor`` finds; what is wrong comes first."""
    rows = []
    for one in sorted(found, key=lambda check: check.ok):
        icon = icons.CHECK if one.ok else icons.WARN
        advice = "" if one.ok else _dim(one.advice)
        rows.append((f'<i class="f-{"right" if one.ok else "wrong"}">{icon}</i>',
                     f"<b>{text(one.name)}</b>", text(one.detail) + advice))
    lead = _quiet(t(locale, "system.checks_ok")) if all(one.ok for one in found) else ""
    return card(t(locale, "system.checks"), lead + _table(("", "", ""), rows),
                element_id="system-checks")


def audit(locale: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Return who did what, the newest first."""
    rows = []
    for one in found:
        wrong = "" if one.get("ok", True) else (
            f' <span class="f-chip f-failed">{text(t(locale, "system.failed"))}</span>')
        told = " ".join(str(one[key]) for key in ("run", "detail") if one.get(key))
        rows.append((text(ago(locale, float(one.get("time") or 0))), text(one.get("who", "")),
                     f"<b>{text(_plain(one.get('action', '')))}</b>{wrong}{_dim(told)}"))
    heads = [t(locale, f"system.{key}") for key in ("when", "who", "what")]
    body = _table(heads, rows) if rows else _quiet(t(locale, "system.audit_none"))
    return card(t(locale, "system.audit"), body, element_id="system-audit")


def _plain(action: object) -> str:
    return re.sub(r"_", " ", str(action))
