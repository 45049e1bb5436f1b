"""The page that asks for the token: plain HTML, no script, two languages, both themes."""

from __future__ import annotations

import base64
import hashlib
from html import escape

_STYLE = """
:root{color-scheme:light dark;--bg:#f6f7fb;--card:#fff;--line:#e4e7ef;--ink:#171a26;
--dim:#5d6472;--accent:#4f52d9;--on:#fff;--bad:#b3202f}
@media(prefers-color-scheme:dark){:root{--bg:#0f1118;--card:#171a24;--line:#272b38;
--ink:#eceef5;--dim:#98a0b3;--accent:#8e92ff;--on:#10121c;--bad:#f2757f}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--bg);
color:var(--ink);font:15px/1.55 system-ui,"Noto Sans SC","PingFang SC","Microsoft YaHei",
sans-serif}
main{width:min(25rem,calc(100vw - 2rem));background:var(--card);border:1px solid var(--line);
border-radius:12px;padding:1.75rem}
h1{margin:0;font-size:1.4rem;letter-spacing:-.02em}
p{margin:.4rem 0 1.2rem;color:var(--dim)}
p[role=alert]{color:var(--bad);margin:0 0 1rem}
label{display:block;font-weight:600;margin-bottom:.35rem}
input,button{width:100%;font:inherit;border-radius:8px;padding:.6rem .75rem}
input{border:1px solid var(--line);background:var(--bg);color:var(--ink)}
button{margin-top:1rem;border:0;background:var(--accent);color:var(--on);font-weight:600;
cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
LOGIN_CSP = (f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
             "base-uri 'none'; frame-ancestors 'none'")
_TEXTS = {
    "en": {
        "title": "Sign in - Finestra",
        "lead": "This studio is shared over a network, so it asks for its token. It was printed "
                "where the server was started.",
        "label": "Token",
        "button": "Sign in",
        "wrong": "This token is not right. Copy it again, without spaces.",
        "wait": "Too many wrong tokens. Wait a minute, then try again.",
    },
    "zh": {
        "title": "登录 - Finestra",
        "lead": "这个工作室可以从网络访问，所以需要令牌。令牌在服务器启动时打印在终端里。",
        "label": "令牌",
        "button": "登录",
        "wrong": "令牌不对。请重新复制，不要带空格。",
        "wait": "错误次数太多。请等一分钟再试。",
    },
}


def pick_locale(cookie: str, accept_language: str) -> str:
    """Return 'zh' or 'en': the cookie's choice, else the browser's first known language."""
    if cookie in _TEXTS:
        return cookie
    for part in accept_language.lower().split(","):
        language = part.split(";")[0].strip().split("-")[0]
        if language in _TEXTS:
            return language
    return "en"


def render(locale: str, *, action: str, note: str = "", next_path: str = "/",
           run_id: str = "") -> str:
    """Write the page.

    Args:
        locale: A key of the table of texts.
        action: Address that the form is sent to.
        note: '' or the key of a message: 'wrong', 'wait'.
        next_path: Where to go afterwards.
        run_id: The run to show afterwards, when ``next_path`` is the run page.
    """
    text = _TEXTS[locale]
    alert = f'<p role="alert">{escape(text[note])}</p>' if note else ""
    language = "zh-CN" if locale == "zh" else "en"
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(text["title"])}</title><style>{_STYLE}</style></head>
<body><main><h1>Finestra</h1><p>{escape(text["lead"])}</p>{alert}
<form method="post" action="{escape(action)}">
<input type="hidden" name="next" value="{escape(next_path)}">
<input type="hidden" name="id" value="{escape(run_id)}">
<label for="token">{escape(text["label"])}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">{escape(text["button"])}</button></form></main></body></html>
"""
