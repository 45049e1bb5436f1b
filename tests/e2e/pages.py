"""What a person does on the pages, and sees there."""

import re

from playwright.sync_api import Error, Page, expect


def form_is_ready(page: Page) -> None:
    """Wait until the form has its values and has been checked once."""
    expect(page.locator("#train-start")).to_be_enabled()


def fill(page: Page, path: str, value: str) -> None:
    """Type into a field of the Train form; ``path`` has dashes for dots."""
    field = page.locator(f"#field-{path} input")
    field.fill(value)
    field.blur()


def start(page: Page) -> str:
    """Press Start; return the id of the run whose page opens."""
    form_is_ready(page)
    page.locator("#train-start").click()
    page.wait_for_url(re.compile(r"/run\?id="))
    return page.url.partition("id=")[2]


def state(page: Page, name: str, limit_s: float = 60) -> None:
    expect(page.locator(f"#run-hero [data-state={name}]")).to_be_visible(timeout=limit_s * 1000)


def drawn(page: Page) -> int:
    """Return how many points the loss curve has."""
    chart = page.locator("#run-charts [data-chart=loss]")
    return int(chart.get_attribute("data-points") or 0) if chart.count() else 0


def refresh_after_a_restart(page: Page) -> None:
    """Reload a page that may be reloading itself, as it has noticed that the server is back."""
    for left in reversed(range(5)):
        try:
            page.reload()
            return
        except Error:
            if not left:
                raise
            page.wait_for_load_state()
