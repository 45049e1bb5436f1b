"""A real server with a home of its own, and a page that tolerates no error and no stray request."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.browser import launch
from tests.e2e.server import SHOWN_S, Server
from tests.source_tree import ROOT

expect.set_options(timeout=SHOWN_S * 1000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "home")
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of its own; at the end it must have seen no error and no other machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    opened = context.new_page()
    errors: list[str] = []
    strays: list[str] = []

    def asked(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != f"127.0.0.1:{server.port}":
            strays.append(url)

    opened.on("request", lambda request: asked(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text)
              if message.type == "error" else None)
    opened.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    opened.set_default_timeout(SHOWN_S * 1000)
    yield opened
    context.close()
    assert not strays
    # The browser itself reports a server that is gone; the page must not add to that.
    assert not [e for e in errors if not (server.died and "net::ERR_" in e)]


@pytest.fixture
def picture(request: pytest.FixtureRequest, page: Page) -> Callable[[str], Path]:
    """Take a picture of the whole page into build/browser, to look at afterwards."""
    folder = ROOT / "build" / "browser" / request.node.name

    def take(name: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        assert path.stat().st_size > 10_000
        return path

    return take
