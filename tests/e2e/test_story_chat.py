"""A person talks to models: side by side, blind, again and otherwise, and takes it away."""

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.server import Server
from tests.e2e.writer import MARKDOWN, THOUGHT, Writer

pytestmark = pytest.mark.browser
LOADED_S = 120
DOT = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"


@pytest.fixture
def writer(server: Server):
    """An endpoint whose answers are known; its model is ``lab/w``."""
    with Writer() as running:
        server.api.post("/endpoints", json={
            "name": "lab", "base_url": running.base_url, "models": ["w"],
            "key": running.key}).raise_for_status()
        yield running


def ask(page: Page, question: str) -> None:
    """Send a question; it is on the page when this returns."""
    before = page.locator(".f-turn").count()
    page.locator("#chat-input").fill(question)
    page.locator("#chat-input").press("Enter")
    expect(page.locator(".f-turn")).to_have_count(before + 1)


def replies(page: Page, turn: int = -1) -> Locator:
    """Return the answers of a turn; the last one when none is named."""
    turns = page.locator(".f-turn")
    return (turns.last if turn < 0 else turns.nth(turn)).locator(".f-reply")


def answered(page: Page, state: str = "done", limit_s: float = 30) -> None:
    """Wait until every lane of the last turn has ended so."""
    expect(page.locator("#chat")).not_to_have_attribute("data-busy", "", timeout=limit_s * 1000)
    for reply in replies(page).all():
        expect(reply).to_have_attribute("data-state", state)


def act(place: Locator, what: str) -> None:
    place.locator(f"[data-act={what}]").click()


def calm(page: Page) -> None:
    """Set answers to be short and the same every time."""
    page.locator("#chat-settings").click()
    page.locator("#chat-preset").select_option(label="The same every time")
    page.locator("#chat-set-max_tokens").fill("40")
    page.keyboard.press("Escape")
    expect(page.locator("#chat-drawer")).to_be_hidden()


def begin(page: Page, server: Server) -> None:
    """Choose two models on an empty page and ask them the first question."""
    page.goto(f"{server.url}/chat")
    expect(page.locator("#chat-empty")).to_contain_text("Choose a model above.")
    expect(page.locator("#chat-empty a").first).to_have_attribute("href", "./train")
    expect(page.locator("#chat-list-none")).to_have_text("No conversation yet.")
    page.locator("#chat-lane-0").select_option("starter")
    page.locator("#chat-lane-add").click()
    page.locator("#chat-lane-1").select_option("lab/w")
    calm(page)
    ask(page, "Which animal does Nora Dray keep?")
    page.wait_for_url(re.compile(r"/chat\?id=chat-"))


def test_two_models_side_by_side_again_edited_and_taken_away(page: Page, server: Server,
                                                             writer: Writer, picture):
    begin(page, server)
    answered(page, limit_s=LOADED_S)
    first, other = replies(page).all()
    said = first.locator(".f-md").inner_text()
    assert said.strip()
    expect(other.locator(".f-md")).to_have_text("An answer of five words")
    expect(first.locator(".f-reply-stats")).to_contain_text(re.compile("first token after .* s"))
    picture("side-by-side")

    act(first, "again")
    expect(first.locator(".f-versions-of")).to_have_text("2 / 2")
    answered(page)
    act(first, "before")
    expect(first.locator(".f-versions-of")).to_have_text("1 / 2")
    page.reload()
    expect(first.locator(".f-versions-of")).to_have_text("1 / 2")
    expect(first.locator(".f-md")).to_have_text(said)

    act(page.locator(".f-turn"), "edit")
    page.locator(".f-edit textarea").fill("Where does Nora Dray live?")
    page.locator(".f-edit textarea").press("Enter")
    expect(page.locator(".f-ask .f-versions-of")).to_have_text("2 / 2")
    expect(page.locator(".f-bubble")).to_have_text("Where does Nora Dray live?")
    answered(page)
    act(page.locator(".f-ask"), "before")
    expect(page.locator(".f-bubble")).to_have_text("Which animal does Nora Dray keep?")

    act(first, "exact")
    expect(page.locator("#chat-exact .f-tok").first).to_be_visible()
    expect(page.locator("#chat-exact .f-log")).to_contain_text("Which animal does Nora Dray keep?")
    picture("exact")
    page.keyboard.press("Escape")

    page.locator("#chat-more summary").click()
    with page.expect_download() as coming:
        page.locator("#chat-export-jsonl").click()
    rows = coming.value.path().read_text(encoding="utf-8").splitlines()
    assert json.loads(rows[0])["messages"][0]["content"] == "Which animal does Nora Dray keep?"
    act(first, "fork")
    page.wait_for_function("document.querySelectorAll('.f-conv').length === 2")


def test_a_blind_vote_becomes_data_and_conversations_are_kept_in_order(page: Page, server: Server,
                                                                       writer: Writer, picture):
    page.goto(f"{server.url}/chat?models=starter,lab/w")
    page.locator("#chat-blind").check()
    calm(page)
    ask(page, "Who lives in Duskwater?")
    answered(page, limit_s=LOADED_S)
    expect(replies(page).locator(".f-reply-head b")).to_have_text(["Model A", "Model B"])
    assert "starter" not in page.locator(".f-talk").inner_text()
    picture("blind")
    act(page.locator(".f-vote"), "vote-A")
    expect(page.locator(".f-voted")).to_contain_text(re.compile(r"You chose (starter|w \(lab\))"))
    names = replies(page).locator(".f-reply-head b").all_inner_texts()
    assert sorted(names) == ["starter", "w (lab)"]
    expect(page.locator(".f-reply[data-won] .f-reply-head b")).to_have_text(names[0])

    page.locator("#chat-more summary").click()
    page.locator("#chat-dataset-open").click()
    page.locator("#chat-dataset-name").fill("my-chats")
    page.locator("#chat-dataset-go").click()
    expect(page.locator("#chat-dataset-said")).to_contain_text("my-chats is there")
    expect(page.locator("#chat-dataset-link")).to_have_attribute("href", "./data?name=my-chats")
    page.locator("#chat-dataset [data-close]").click()

    page.locator("#chat-new").click()
    expect(page.locator("#chat-empty")).to_be_visible()
    ask(page, "What is the mill for?")
    answered(page, limit_s=LOADED_S)
    expect(page.locator(".f-conv")).to_have_count(2)
    page.locator("#chat-search").fill("duskwater")
    expect(page.locator(".f-conv")).to_have_count(1)
    page.locator(".f-conv-rename").click()
    page.locator(".f-conv-edit input").fill("The village")
    page.locator(".f-conv-edit input").press("Enter")
    expect(page.locator(".f-conv b")).to_have_text("The village")
    page.locator(".f-conv a").click()
    expect(page.locator("#chat-title")).to_have_text("The village")

    page.locator(".f-conv-delete").click()
    page.locator(".f-conv-no").click()
    page.locator(".f-conv-delete").click()
    expect(page.locator(".f-conv-ask")).to_contain_text("will be gone")
    page.locator(".f-conv-yes").click()
    expect(page.locator("#chat-list-none")).to_have_text("No conversation has these words.")
    expect(page.locator("#chat-empty")).to_be_visible()
    assert len(server.api.get("/chats").json()["chats"]) == 1


def test_a_refresh_in_the_middle_loses_nothing_and_escape_stops(page: Page, server: Server,
                                                                writer: Writer):
    page.goto(f"{server.url}/chat?models=lab/w")
    ask(page, "slow")
    expect(page.locator(".f-md")).to_contain_text("begun")
    expect(page.locator("#chat-stop")).to_be_visible()
    page.reload()
    expect(page.locator(".f-md")).to_contain_text("begun")
    expect(replies(page)).to_have_attribute("data-state", "writing")
    writer.gate.set()
    expect(page.locator(".f-md")).to_have_text("begun and done")
    answered(page)

    writer.gate.clear()
    ask(page, "slow")
    expect(replies(page).locator(".f-md")).to_contain_text("begun")
    page.locator("#chat-input").fill("kept")
    page.keyboard.press("Escape")
    answered(page, "stopped")
    page.reload()
    expect(page.locator("#chat-input")).to_have_value("kept")
    expect(replies(page).locator(".f-reply-state")).to_have_text("Stopped")


def test_what_a_model_says_is_text_and_its_thoughts_are_folded(page: Page, server: Server,
                                                               writer: Writer, picture):
    page.goto(f"{server.url}/chat?models=lab/w")
    ask(page, "markdown")
    answered(page)
    answer = page.locator(".f-md")
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("ol > li")).to_have_text(["one", "two"])
    expect(answer.locator("pre code")).to_have_text('print("<b>no</b>")')
    expect(answer).to_contain_text("<img src=x onerror=alert(1)>")
    expect(answer.locator("img, a, b, script")).to_have_count(0)
    expect(page.locator(".f-thought")).to_be_hidden()
    page.locator(".f-think summary").click()
    expect(page.locator(".f-thought")).to_have_text(THOUGHT)
    picture("markdown")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    act(replies(page), "copy")
    assert page.evaluate("navigator.clipboard.readText()") == MARKDOWN
    page.locator("#chat-settings").click()
    page.locator("#chat-plain").check()
    expect(answer.locator("strong")).to_have_count(0)
    expect(answer).to_contain_text("**bold**")


def test_tools_pictures_and_an_engine_that_dies(page: Page, server: Server, writer: Writer,
                                                picture):
    page.goto(f"{server.url}/chat?models=lab/w")
    ask(page, "die")
    answered(page, "failed")
    expect(replies(page).locator(".f-note")).to_contain_text("does not answer any more")
    act(replies(page), "retry")
    expect(replies(page).locator(".f-versions-of")).to_have_text("2 / 2")
    answered(page, "failed")

    page.locator("#chat-new").click()
    page.locator("#chat-attach").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": DOT})
    expect(page.locator("#chat-images img")).to_have_count(1)
    ask(page, "What is this?")
    answered(page, "failed")
    expect(page.locator(".f-bubble img")).to_have_count(1)
    expect(replies(page).locator(".f-note")).to_contain_text("no pictures")

    page.locator("#chat-new").click()
    page.locator("#chat-settings").click()
    page.locator("#chat-tools").fill("[{")
    expect(page.locator("#chat-tools-said")).to_contain_text("This is no JSON")
    page.locator("#chat-tools-example").click()
    expect(page.locator("#chat-tools-said")).to_have_text("1 tools: get_weather")
    page.locator("#chat-drawer-close").click()
    ask(page, "What is the weather?")
    answered(page)
    call = page.locator(".f-call[data-tool=weather]")
    expect(call.locator("pre")).to_contain_text('"city": "Oslo"')
    picture("tools")
    act(replies(page), "tool_send")
    expect(replies(page).locator(".f-error")).to_be_visible()
    call.locator("textarea").fill("It rains.")
    act(replies(page), "tool_send")
    expect(page.locator(".f-tool pre")).to_have_text("It rains.")
    answered(page)
    expect(replies(page).locator(".f-md")).to_have_text("An answer of five words")


def test_on_a_phone_the_list_is_a_drawer_and_words_are_chinese(page: Page, server: Server,
                                                               writer: Writer, picture):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/chat?models=lab/w")
    ask(page, "talk")
    answered(page)
    page.locator("#lang-zh").click()
    expect(page.locator("#chat-send")).to_have_text("发送")
    expect(page.locator("#chat-side")).to_be_hidden()
    page.locator("#chat-side-open").click()
    expect(page.locator(".f-conv")).to_have_count(1)
    expect(page.locator("#chat-new")).to_have_text("新对话")
    picture("phone-zh")
    page.keyboard.press("Escape")
    expect(page.locator("#chat-side")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
