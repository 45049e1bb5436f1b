"""What stands around Gradio's pages: language, first paint, header.

Gradio draws its pages in the browser. So that the header, the colours and the language are right
at the first paint, the pages' HTML gets our head and header on its way out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.board.i18n import t
from app.board.icons import MARK, MOON, SUN
from app.board.locale import choose

STATIC = Path(__file__).resolve().parent / "static"
ASSETS = "/board-assets"
PAGES = {"/": "runs", "/train": "train", "/run": "run", "/data": "data", "/chat": "chat",
         "/evaluate": "evaluate", "/models": "models", "/export": "export",
         "/merge": "merge", "/system": "system"}
SCRIPTS = ("board.js", "panels.js", "chart.js", "fields.js", "form.js", "data.js")
STYLES = ("finestra.css", "data.css", "form.css", "models.css", "export.css")
# What one page alone needs, after the others.
OWN_SCRIPTS = {"chat": ("chat_base.js", "chat_markdown.js", "chat_turns.js", "chat_tools.js",
                        "chat_settings.js", "chat_models.js", "chat_list.js", "chat_more.js",
                        "chat.js"),
               "export": ("export.js",), "merge": ("export.js",),
               "evaluate": ("export.js", "evaluate.js")}
OWN_STYLES = {"chat": ("chat.css",), "system": ("system.css",),
              "evaluate": ("evaluate.css",), "run": ("evaluate.css",)}

# Runs before the first paint, so that a chosen theme never flashes the other one. Gradio sets the
# document's language to the browser's; screen readers need the one that the page is written in.
_EARLY = """(function(){var d=document.documentElement,k="finestra_theme",s="system";
try{s=localStorage.getItem(k)||s}catch(e){}
var m=matchMedia("(prefers-color-scheme: dark)");
function on(){return s==="dark"||(s!=="light"&&m.matches)}
var tongue=d.lang;new MutationObserver(function(){if(d.lang!==tongue)d.lang=tongue})
.observe(d,{attributes:true,attributeFilter:["lang"]});
function put(){var v=on();d.classList.toggle("dark",v);
if(document.body&&document.body.classList.contains("dark")!==v)
document.body.classList.toggle("dark",v);
d.style.colorScheme=v?"dark":"light"}
window.finestraTheme={toggle:function(){s=on()?"light":"dark";
try{localStorage.setItem(k,s)}catch(e){}put()}};
put();m.addEventListener("change",put);
document.addEventListener("DOMContentLoaded",function(){put();
new MutationObserver(put).observe(document.body,{attributes:true,attributeFilter:["class"]})})})()
"""


@cache
def _version(name: str) -> str:
    """Return a short hash of a static file, so that browsers never keep an old one."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]


def _asset(name: str) -> str:
    return f".{ASSETS}/{name}?v={_version(name)}"


def head_html(locale: str, page: str) -> str:
    """Return what goes into ``<head>``: title, styles, scripts, all from this server."""
    scripts = "".join(f'<script defer src="{_asset(name)}"></script>'
                      for name in (*SCRIPTS, *OWN_SCRIPTS.get(page, ())))
    styles = "".join(f'<link rel="stylesheet" href="{_asset(name)}">'
                     for name in (*STYLES, *OWN_STYLES.get(page, ())))
    title = escape(t(locale, f"page.{page}"))
    return (f"<script>{_EARLY}</script><title>{title} · Finestra</title>"
            f'<link rel="icon" type="image/svg+xml" href="{_asset("mark.svg")}">'
            f"{styles}{scripts}")


def _link(locale: str, page: str, href: str, current: str) -> str:
    here = ' aria-current="page"' if page == current else ""
    return f'<a href="{href}" id="nav-{page}"{here}>{escape(t(locale, f"nav.{page}"))}</a>'


def header_html(locale: str, page: str) -> str:
    """Return the bar at the top of every page."""
    current = {"run": "runs", "export": "models", "merge": "models"}.get(page, page)
    links = "".join(_link(locale, page, href, current) for page, href in (
        ("runs", "./"), ("train", "./train"), ("data", "./data"), ("chat", "./chat"),
        ("evaluate", "./evaluate"), ("models", "./models"), ("system", "./system")))
    tongues = "".join(
        f'<button type="button" id="lang-{code}" lang="{code}" data-locale="{code}" '
        f'aria-pressed="{str(code == locale).lower()}">{label}</button>'
        for code, label in (("en", "EN"), ("zh", "中文")))
    theme = escape(t(locale, "nav.theme"))
    return (f'<a class="f-skip" href="#f-main">{escape(t(locale, "nav.skip"))}</a>'
            f'<header class="f-top"><div class="f-top-in">'
            f'<a class="f-brand" href="./" aria-label="Finestra">{MARK}<span>Finestra</span></a>'
            f'<nav aria-label="{escape(t(locale, "nav.label"))}">{links}</nav>'
            f'<div class="f-tools"><div class="f-tongues" role="group" '
            f'aria-label="{escape(t(locale, "nav.language"))}">{tongues}</div>'
            f'<button type="button" id="theme-toggle" class="f-icon" aria-label="{theme}" '
            f'title="{theme}">{SUN}{MOON}</button></div></div></header>'
            f'<div id="f-offline" role="status" hidden>{escape(t(locale, "offline"))}</div>'
            f'<div id="f-main" tabindex="-1"></div>')


def dress(html: str, locale: str, page: str) -> str:
    """Put our head and header into a page of Gradio's."""
    html = re.sub(r'<meta (property="og|name="twitter)[^>]*>', "", html)
    html = re.sub(r'<link rel="manifest"[^>]*>', "", html)
    tongue = "zh-CN" if locale == "zh" else "en"
    html = re.sub(r'lang="en"', f'lang="{tongue}" data-page="{page}"', html, count=1)
    viewport = r'<meta\s+name="viewport"[^>]*>'
    html = re.sub(viewport, '<meta name="viewport" content="width=device-width, initial-scale=1">',
                  html, count=1)
    html = re.sub(r"(<base [^>]*>)", lambda m: m[1] + head_html(locale, page), html, count=1)
    return re.sub(r"(<body[^>]*>)", lambda m: m[1] + header_html(locale, page), html, count=1)


def _route_path(scope: Scope) -> str:
    """Return the path below the root path, as starlette routes it."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root):] if root and path.startswith(root) else path


class Tongues:
    """Hands a request to the board in the visitor's language, and dresses the pages."""

    def __init__(self, boards: Mapping[str, Any]) -> None:
        self._boards = boards

    @property
    def routes(self) -> Any:
        """The routes of a board, for whoever walks the app; all boards have the same."""
        return self._boards["en"].routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope) if scope["type"] in ("http", "websocket") else Headers()
        locale = choose(headers.get("cookie", ""), headers.get("accept-language", ""))
        board: ASGIApp = self._boards[locale]
        page = PAGES.get(_route_path(scope)) if scope["type"] == "http" else None
        if page is None or scope["method"] != "GET":
            await board(scope, receive, send)
            return
        kept = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
        await board({**scope, "headers": kept}, receive, _Dresser(send, locale, page))


class _Dresser:
    """Holds a page's HTML back until it is whole, then sends it dressed."""

    def __init__(self, send: Send, locale: str, page: str) -> None:
        self._send, self._locale, self._page = send, locale, page
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Take one ASGI message."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        assert self._start is not None
        headers = MutableHeaders(raw=list(self._start["headers"]))
        body = bytes(self._body)
        if "text/html" in headers.get("content-type", ""):
            body = dress(body.decode(), self._locale, self._page).encode()
            headers["content-length"] = str(len(body))
            headers["cache-control"] = "no-store"
            headers["vary"] = "Cookie, Accept-Language"
        await self._send({**self._start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})
