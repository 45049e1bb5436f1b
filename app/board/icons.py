"""Icons as inline SVG, drawn on a grid of 20; they take the colour of the text."""

from __future__ import annotations


def _icon(body: str, name: str = "") -> str:
    kind = f" f-i-{name}" if name else ""
    return (f'<svg class="f-i{kind}" viewBox="0 0 20 20" width="18" height="18" fill="none" '
            'stroke="currentColor" stroke-width="1.6" stroke-linecap="round" '
            f'stroke-linejoin="round" aria-hidden="true">{body}</svg>')


MARK = ('<svg class="f-mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">'
        '<path class="f-mark-a" d="M5 29V14.5C5 8.1 9.9 3 16 3s11 5.1 11 11.5V29z"/>'
        '<path class="f-mark-b" d="M16 3v26M5 17.5h22" fill="none" stroke-width="1.6"/>'
        '<path class="f-mark-c" d="M8.5 11.5c3.2 8.8 7 11.8 15 13" fill="none" '
        'stroke-width="2.6" stroke-linecap="round"/></svg>')
SUN = _icon('<circle cx="10" cy="10" r="3.4"/><path d="M10 2.5v1.6M10 15.9v1.6M2.5 10h1.6M15.9 10'
            'h1.6M4.7 4.7l1.1 1.1M14.2 14.2l1.1 1.1M15.3 4.7l-1.1 1.1M5.8 14.2l-1.1 1.1"/>', "sun")
MOON = _icon('<path d="M16.5 11.6A6.8 6.8 0 0 1 8.4 3.5a6.8 6.8 0 1 0 8.1 8.1z"/>', "moon")
PLUS = _icon('<path d="M10 4v12M4 10h12"/>')
WARN = _icon('<path d="M10 3.2 17.6 16.4H2.4z"/><path d="M10 8.2v3.6M10 14.1v.1"/>')
CHECK = _icon('<path d="M4 10.5l4 4 8-9"/>')
INFO = _icon('<circle cx="10" cy="10" r="7"/><path d="M10 9.2v4.2M10 6.6v.1"/>')
DOWNLOAD = _icon('<path d="M10 3.5v9M6.2 9l3.8 3.8L13.8 9M4 16.5h12"/>')
