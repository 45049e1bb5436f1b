"""Takes the README's pictures from the real pages: ``make screenshots``.

Starts a server with an empty home, trains the starter a few times, and photographs what a person
would see: nothing is drawn or made up.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.browser import launch
from tests.e2e.server import Server
from tests.source_tree import ROOT
from trainer.contract.config import load_yaml

TARGET = ROOT / "assets" / "screenshots"
RECIPE = ROOT / "templates" / "recipes" / "quickstart.yaml"
DRAWN = ("#run-charts [data-points], .f-row[data-id], #train-start:enabled, "
         "#data-view .f-seq, #evaluate-matrix")
ENDED = {"completed", "failed", "stopped", "interrupted"}


def quickstart(**changes: object) -> dict:
    """Return the quickstart's config with some keys of the top level replaced or merged."""
    values = load_yaml(RECIPE.read_text(encoding="utf-8"))
    for key, value in changes.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return values


def start(server: Server, **changes: object) -> str:
    """Queue a quickstart with changes; return its id."""
    answer = server.api.post("/runs", json=quickstart(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def open_page(browser: Browser, server: Server, path: str, *, theme: str = "light",
              locale: str = "en") -> Page:
    """Open a page of the studio in a theme and a language, and wait until it is drawn."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme,
                                  locale="zh-CN" if locale == "zh" else "en-US")
    context.add_cookies([{"name": "finestra_locale", "value": locale, "url": server.url}])
    page = context.new_page()
    page.goto(server.url + path)
    page.locator(DRAWN).first.wait_for()
    return page


def take(page: Page, name: str) -> None:
    """Save what the window shows and close it."""
    page.wait_for_timeout(1500)
    page.screenshot(path=TARGET / f"{name}.png")
    page.context.close()
    print(f"took {name}", flush=True)


def run_shots(browser: Browser, server: Server) -> None:
    """Train, and take the pictures of all pages while and after it trains."""
    live = start(server, name="village-questions")
    short = {"max_steps": 40, "eval_steps": 10, "save_steps": 20}
    quiet = {"exact_match": False}
    start(server, name="higher-rate", training={**short, "learning_rate": 5e-3}, evaluation=quiet)
    start(server, name="rank-4", training=short, tuner={"r": 4}, evaluation=quiet)
    server.until("it has been evaluated", lambda: len(server.points(live, "eval_loss")) > 1, 1200)
    take(open_page(browser, server, f"/run?id={live}"), "run-light")
    take(open_page(browser, server, f"/run?id={live}", theme="dark"), "run-dark")
    server.until("it has ended", lambda: server.run(live)["state"] in ENDED, 1200)
    server.until("the next has points", lambda: len(server.points(
        server.api.get("/runs").json()["runs"][1]["id"])) > 12, 120)
    take(open_page(browser, server, "/"), "runs-light")
    take(open_page(browser, server, "/", theme="dark", locale="zh"), "runs-dark-zh")
    chat(open_page(browser, server, f"/run?id={live}"))


def form_shots(browser: Browser, server: Server) -> None:
    """Take the pictures of the Train page."""
    train = "/train?preset=quickstart"
    take(open_page(browser, server, train), "train-light")
    take(open_page(browser, server, train, locale="zh"), "train-zh")


def chat(page: Page) -> None:
    """Ask the finished run something and take a picture of both answers."""
    question = "Which animal does Nora Dray keep?"
    page.locator("#run-chat-prompt").fill(question)
    page.locator("#run-chat-send").click()
    page.wait_for_selector("#chat:not([data-busy]) .f-reply[data-state=done]", timeout=120_000)
    take(page, "chat-light")


def mixed_file(folder: Path) -> Path:
    """Write village questions as people have them: some bad rows, some twice."""
    text = (ROOT / "data" / "sample_instructions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    lines = [json.dumps({"question": row["instruction"], "answer": row["output"]})
             for row in rows[:400]]
    for place in range(30, 400, 61):
        lines[place] = json.dumps({"question": rows[place]["instruction"]})
    lines[99], lines[150], lines[310] = lines[99][:40], lines[20], lines[20]
    target = folder / "village.jsonl"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def data_shots(browser: Browser, server: Server) -> None:
    """Take the pictures of the Data page."""
    server.upload(mixed_file(server.home), "village-notes")
    address = "/data?name=village-notes&row=12"
    page = open_page(browser, server, address)
    page.locator("#data-lengths [data-over]").wait_for()
    take(page, "data-light")
    page = open_page(browser, server, "/data?name=sample_chat&row=2&max_length=64", theme="dark")
    page.locator("#data-view .f-seq").wait_for()
    page.locator("#data-viewer").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#data-viewer').scrollIntoView()")
    page.evaluate("window.scrollBy(0, -70)")
    take(page, "data-row-dark")


def evaluate_shots(browser: Browser, server: Server) -> None:
    """Train shortly, evaluate the run beside its base, and take the pictures of what was found."""
    run_id = start(server, name="village-questions",
                   evaluation={"samples": 0, "exact_match": False})
    server.until("it has ended", lambda: server.run(run_id)["state"] in ENDED, 1200)
    answer = server.api.post("/runs", json={
        "kind": "evaluate", "name": "village", "models": ["starter", run_id],
        "data": ["sample_instructions_heldout", "sample_chat"], "max_samples": 120,
        "metrics": [{"name": name} for name in ("exact_match", "rouge", "likelihood")],
        "generation": {"max_new_tokens": 32}})
    assert answer.status_code == 201, answer.text
    evaluation = answer.json()["id"]
    server.until("it has ended", lambda: server.run(evaluation)["state"] in ENDED, 1200)
    address = f"/evaluate?run={evaluation}"
    take(open_page(browser, server, address), "evaluate-light")
    page = open_page(browser, server, address, theme="dark")
    page.evaluate("document.querySelector('.f-case').scrollIntoView()")
    page.evaluate("window.scrollBy(0, -220)")
    take(page, "evaluate-rows-dark")


SHOTS = {"data": data_shots, "form": form_shots, "runs": run_shots, "evaluate": evaluate_shots}


def main(wanted: list[str]) -> None:
    """Take all pictures, or those of the pages that are named: data, form, runs, evaluate."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="finestra-pictures-") as folder:
        server = Server(Path(folder) / "home")
        server.start()
        try:
            with sync_playwright() as playwright:
                browser = launch(playwright)
                for name in wanted or SHOTS:
                    SHOTS[name](browser, server)
                browser.close()
        finally:
            server.close()


if __name__ == "__main__":
    main(sys.argv[1:])
