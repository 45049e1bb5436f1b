"""Numbers, sizes and times as people say them, in the visitor's language."""

from __future__ import annotations

import math
import time

from app.board.i18n import t


def number(value: float | None, digits: int = 4) -> str:
    """Return a measured value with a few significant digits; '—' when there is none."""
    if value is None or not math.isfinite(value):
        return "—"
    if value == int(value) and abs(value) >= 1000:
        return f"{int(value):,}"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def loss(value: float | None) -> str:
    """Return a loss with three decimals, so that columns align."""
    return "—" if value is None or not math.isfinite(value) else f"{value:.3f}"


def count(value: int) -> str:
    """Return a whole number with thousands marked."""
    return f"{value:,}"


def percent(share: float) -> str:
    """Return a share (0 to 1) as percent."""
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def size(size_bytes: float) -> str:
    """Return a size in the unit people use: 1,000 steps as disks and models are sold."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= limit:
            return f"{size_bytes / limit:,.1f} {unit}"
    return f"{size_bytes:.0f} B"


def duration(locale: str, seconds: float | None) -> str:
    """Return a duration with at most two units: "3 h 12 min", "40 s"."""
    if seconds is None or not math.isfinite(seconds):
        return "—"
    whole = max(0, round(seconds))
    if whole < 60:
        return t(locale, "time.s", s=whole)
    minutes = round(whole / 60)
    if minutes < 60:
        return t(locale, "time.min", m=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return t(locale, "time.h_min", h=hours, m=minutes) if minutes else t(
            locale, "time.h", h=hours)
    return t(locale, "time.d", d=round(hours / 24))


def ago(locale: str, moment: float | None, now: float | None = None) -> str:
    """Return how long ago a Unix time was, in one unit."""
    if not moment:
        return "—"
    passed = (time.time() if now is None else now) - moment
    if passed < 45:
        return t(locale, "time.now")
    if passed >= 3600:
        passed -= passed % 3600
    return t(locale, "time.ago", time=duration(locale, passed))


def place_in_line(locale: str, place: int) -> str:
    """Return "next in line", "second in line", ... for a queued run (0 is next)."""
    names = ("line.next", "line.second", "line.third")
    if place < len(names):
        return t(locale, names[place])
    return t(locale, "line.nth", n=place + 1)
