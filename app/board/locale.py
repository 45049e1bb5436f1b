"""Which language a visitor reads: our cookie first, then what the browser asks for."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from app.board.i18n import LOCALES

COOKIE = "finestra_locale"


def from_cookie(header: str) -> str:
    """Return the locale in a Cookie header, or ''."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel and morsel.value in LOCALES else ""


def from_accept_language(header: str) -> str:
    """Return the best supported language of an Accept-Language header, else English."""
    weighted: list[tuple[float, int, str]] = []
    for place, item in enumerate(header.split(",")):
        tag, _, weight = item.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        weighted.append((-quality, place, tag.strip().lower()))
    for quality, _, tag in sorted(weighted):
        language = tag.split("-")[0]
        if quality < 0 and language in LOCALES:
            return language
    return "en"


def choose(cookie: str, accept_language: str) -> str:
    """Return 'en' or 'zh' for the two request headers."""
    return from_cookie(cookie) or from_accept_language(accept_language)
