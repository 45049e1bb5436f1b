"""The main job in a browser: from an empty studio to an answer of the tuned model."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import drawn, fill, form_is_ready, start, state
from tests.e2e.server import Server

pytestmark = pytest.mark.browser

STEPS = 60


def choose_sample(page: Page, server: Server) -> None:
    """Open the empty studio, follow its offer of the sample, and make the run short."""
    page.goto(server.url)
    page.locator("#empty-quickstart").click()
    form_is_ready(page)
    expect(page.locator("#field-data-train")).to_contain_text("sample_instructions")
    page.locator("#train-advanced").click()
    fill(page, "training-max_steps", str(STEPS))
    fill(page, "evaluation-limit", "8")


def test_from_an_empty_studio_to_an_answer(page: Page, server: Server, picture):
    choose_sample(page, server)
    run_id = start(page)

    state(page, "running")
    server.until("points arrive", lambda: drawn(page) >= 3, 120)
    seen = drawn(page)
    page.reload()
    server.until("the curve is there again and grows", lambda: drawn(page) > seen)
    picture("live")

    page.locator("#lang-zh").click()
    expect(page.locator("#lang-zh")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("#run-stop")).to_have_text(re.compile("停止"))
    state(page, "running")

    page.locator("#run-stop").click()
    state(page, "stopped")
    stopped_at = server.run(run_id)["progress"]["step"]
    assert 0 < stopped_at < STEPS
    page.locator("#run-resume").click()
    state(page, "completed", 180)

    points = server.points(run_id)
    assert [step for step, _ in points] == list(range(1, STEPS + 1))
    server.until("every point is drawn", lambda: drawn(page) == STEPS)
    look_at_both_themes(page, picture)
    ask(page, server)
    picture("chat")


def look_at_both_themes(page: Page, picture) -> None:
    """Switch the theme; the page's background must turn from light to dark and stay so."""
    def darkness() -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(float(n) for n in re.findall(r"[\d.]+", colour)[:3]) / 3

    assert darkness() > 200
    picture("light")
    page.locator("#theme-toggle").click()
    assert darkness() < 80
    page.reload()
    state(page, "completed")
    assert darkness() < 80
    picture("dark")


def ask(page: Page, server: Server) -> None:
    """Ask something of the training data's kind; both lanes must answer, and differently."""
    run_id = page.url.partition("id=")[2]
    page.locator("#lang-en").click()
    page.locator("#run-chat-prompt").fill("What does Cyril Ives work as?")
    page.locator("#run-chat-send").click()
    page.wait_for_url(re.compile(r"/chat\?id=chat-"))
    expect(page.locator(".f-bubble")).to_have_text("What does Cyril Ives work as?")
    answers = [page.locator(f'.f-reply[data-lane="{lane}"]') for lane in ("starter", run_id)]
    for answer in answers:
        expect(answer).to_have_attribute("data-state", "done", timeout=90_000)
        expect(answer.locator(".f-md")).not_to_be_empty()
    base, tuned = (answer.locator(".f-md").inner_text() for answer in answers)
    assert base != tuned
    assert "Cyril Ives" in tuned
    chat = server.api.get(f"/chats/{page.url.partition('id=')[2]}").json()
    assert {key: value for key, value in chat["settings"].items() if value is not None} == {
        "temperature": 0, "seed": 0}
    page.reload()
    expect(answers[1].locator(".f-md")).to_have_text(tuned)
    page.go_back()
    expect(page.locator("#chat-empty")).to_be_visible()
    page.go_forward()
    expect(page.locator(".f-turn")).to_have_count(1)


def test_a_strangers_link_asks_nothing(page: Page, server: Server):
    page.goto(f"{server.url}/chat?ask=Who%20pays%3F&models=starter")
    expect(page.locator("#chat-input")).to_have_value("Who pays?")
    expect(page.locator("#chat-lane-0")).to_have_value("starter")
    assert page.url.endswith("/chat?models=starter")
    assert server.api.get("/chats").json()["chats"] == []
