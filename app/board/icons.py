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
COPY = _icon('<rect x="7" y="7" width="9" height="9.5" rx="2"/><path d="M13 7V5.5a2 2 0 0 0-2-2H6'
             'a2 2 0 0 0-2 2V11a2 2 0 0 0 2 2h1"/>')
AGAIN = _icon('<path d="M16 10a6 6 0 1 1-1.9-4.4M16.2 3v3.4h-3.4"/>')
PENCIL = _icon('<path d="M4 16l.8-3.4L13.4 4a1.7 1.7 0 0 1 2.5 2.5l-8.6 8.7z"/>')
FORK = _icon('<circle cx="5.5" cy="4.8" r="1.8"/><circle cx="14.5" cy="4.8" r="1.8"/>'
             '<circle cx="10" cy="15.6" r="1.8"/><path d="M5.5 6.6c0 4 4.5 3 4.5 7.2 0-4.2 4.5-3.2 '
             '4.5-7.2"/>')
TOKENS = _icon('<rect x="3" y="5" width="5" height="4" rx="1"/><rect x="10" y="5" width="7" '
               'height="4" rx="1"/><rect x="3" y="11.5" width="8" height="4" rx="1"/>'
               '<rect x="13" y="11.5" width="4" height="4" rx="1"/>')
SEND = _icon('<path d="M10 16V4.5M5 9.2l5-5 5 5"/>')
STOP = _icon('<rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor"/>')
PICTURE = _icon('<rect x="3" y="4" width="14" height="12" rx="2"/><circle cx="7.2" cy="8.2" '
                'r="1.3"/><path d="M3.5 14l4-3.6 3 2.6 2.6-2.2 3.4 3"/>')
SLIDERS = _icon('<path d="M3 6h7M14 6h3M3 14h3M10 14h7"/><circle cx="12" cy="6" r="2"/>'
                '<circle cx="8" cy="14" r="2"/>')
LIST = _icon('<path d="M3.5 5.5h13M3.5 10h13M3.5 14.5h9"/>')
CLOSE = _icon('<path d="M5 5l10 10M15 5L5 15"/>')
BIN = _icon('<path d="M4 5.8h12M8 5.8V4h4v1.8M5.6 5.8l.7 10.2h7.4l.7-10.2M8.4 9v4M11.6 9v4"/>')
DOWN = _icon('<path d="M10 4.5V16M5 11l5 5 5-5"/>')
LEFT = _icon('<path d="M12 4.5 6.5 10l5.5 5.5"/>')
RIGHT = _icon('<path d="M8 4.5 13.5 10 8 15.5"/>')
