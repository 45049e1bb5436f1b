"""The language of a visitor, and what stands around the pages."""

import pytest

from app.board import shell
from app.board.locale import choose

PAGE = ('<!doctype html><html lang="en" style=""><head><base href="./" />'
        '<meta name="viewport" content="width=device-width, shrink-to-fit=no"/>'
        '<meta property="og:image" content="https://example.org/x.jpg"/></head>'
        '<body style="margin:0"><gradio-app></gradio-app></body></html>')


@pytest.mark.parametrize(("cookie", "accept", "locale"), [
    ("", "", "en"), ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("", "fr, en;q=0.5, zh;q=0.4", "en"),
    ("", "de,fr", "en"), ("finestra_locale=zh", "en", "zh"), ("finestra_locale=en", "zh", "en"),
    ("finestra_locale=xx", "zh", "zh"), ("a=b; finestra_locale=zh; c=d", "", "zh"),
    ("=;;\x00bad", "zh;q=oops, zh;q=0", "en")])
def test_the_cookie_comes_first_then_the_browser(cookie, accept, locale):
    assert choose(cookie, accept) == locale


@pytest.mark.parametrize("locale", ["en", "zh"])
@pytest.mark.parametrize("page", ["runs", "train", "run"])
def test_a_page_is_dressed(locale, page):
    html = shell.dress(PAGE, locale, page)
    assert f'lang="{"zh-CN" if locale == "zh" else "en"}"' in html
    assert html.index("finestra.css") < html.index("</head>")
    assert html.index('class="f-top"') < html.index("<gradio-app")
    assert html.count('aria-current="page"') == 1
    assert f'id="lang-{locale}" lang="{locale}" data-locale="{locale}" aria-pressed="true"' in html
    assert "example.org" not in html and "shrink-to-fit" not in html


def test_everything_in_the_head_comes_from_this_server():
    head = shell.head_html("en", "runs")
    assert "//" not in head.replace("</", "")
    for name in (*shell.SCRIPTS, "finestra.css", "mark.svg"):
        assert (shell.STATIC / name).is_file() and f".{shell.ASSETS}/{name}?v=" in head


def test_static_files_name_no_other_server():
    for path in shell.STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text, path
