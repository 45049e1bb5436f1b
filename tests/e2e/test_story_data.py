"""The Data page: a file with bad rows is looked at, mended, split, and a row is seen as learned."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.server import Server

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def data_file(folder: Path) -> Path:
    """Return 60 rows: three without an answer, one torn, two that repeat the first, one hostile."""
    rows = [json.dumps({"question": f"What is {n} plus 1?", "answer": f"It is {n + 1}."})
            for n in range(60)]
    for place in (9, 19, 29):
        rows[place] = json.dumps({"question": "Unanswered?"})
    rows[39] = '{"question": "torn'
    rows[49] = rows[54] = rows[0]
    rows[4] = json.dumps({"question": HOSTILE, "answer": "<b>bold</b>"})
    target = folder / "village notes.jsonl"
    target.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return target


def open_data(page: Page, server: Server, name: str, more: str = "") -> None:
    page.goto(f"{server.url}/data?name={name}{more}")
    expect(page.locator(f"#data-hero [data-dataset='{name}'][data-checked=true]")).to_be_visible()


def stat(page: Page, key: str) -> str:
    return page.locator(f"#data-hero [data-stat={key}] b").inner_text()


def see_row(page: Page, number: int) -> None:
    expect(page.locator(f"#data-view[data-row='{number}']")).to_be_visible()


def test_a_file_with_bad_rows_from_upload_to_split(page: Page, server: Server, picture, tmp_path):
    page.goto(f"{server.url}/data")
    expect(page.locator("#data-table .f-row[data-name=sample_chat]")).to_be_visible()
    page.locator("#data-file").set_input_files(data_file(tmp_path))
    page.wait_for_url(re.compile("name=village-notes"))
    expect(page.locator("#data-hero [data-checked=true]")).to_be_visible()
    assert [stat(page, key) for key in ("rows", "usable", "bad", "duplicates")] == [
        "60", "56", "4", "2"]
    missing = page.locator("#data-problems [data-code=missing_column]")
    expect(missing).to_contain_text("3")
    expect(missing.locator("a")).to_have_text(["Row 10", "Row 20", "Row 30"])
    picture("report")

    missing.locator("a").nth(1).click()
    see_row(page, 20)
    expect(page.locator("#data-view[data-bad=true]")).to_contain_text("has no 'answer'")
    page.locator("#data-row-bad").click()
    see_row(page, 30)
    page.locator("#data-row input").fill("2")
    see_row(page, 2)
    expect(page.locator("#data-view .f-seq mark")).to_have_text(re.compile("It is 2."))
    assert "user" not in page.locator("#data-view .f-seq mark").inner_text()
    expect(page.locator("#data-view .f-seq .f-token").first).to_be_visible()
    expect(page).to_have_url(re.compile("row=2"))
    page.locator("#data-view-train_on_prompt input").check()
    expect(page.locator("#data-view .f-seq mark").first).to_contain_text("What is 1 plus 1?")
    picture("row")

    page.reload()
    see_row(page, 2)
    expect(page.locator("#data-view-train_on_prompt input")).to_be_checked()
    expect(page.locator("#data-lengths [data-over='0']")).to_be_visible()

    page.locator("#data-view-max_length input").fill("22")
    expect(page.locator("#data-view .f-seq s").first).to_be_visible()
    expect(page.locator("#data-lengths [data-over]:not([data-over='0'])")).to_be_visible()
    picture("cut")

    page.locator("#data-fix-duplicates").get_by_text("Drop the same text").click()
    page.locator("#data-fix-go").click()
    expect(page.locator("#data-work [data-made=fix]")).to_be_visible()
    expect(page.locator("#data-hero [data-stat=rows] b")).to_have_text("54")
    expect(page.locator("#data-versions")).to_contain_text("Version 1")
    page.locator("#data-split-size input").fill("10")
    page.locator("#data-split-go").click()
    expect(page.locator("#data-work [data-made=split] a").last).to_have_text("village-notes-eval")
    expect(page.locator("#data-hero [data-stat=rows] b")).to_have_text("44")
    picture("split")
    page.locator("#data-versions [data-do='restore:1']").click()
    expect(page.locator("#data-hero [data-stat=rows] b")).to_have_text("60")


def test_hostile_cells_are_text(page: Page, server: Server, picture, tmp_path):
    server.upload(data_file(tmp_path), "village")
    open_data(page, server, "village", "&row=5")
    see_row(page, 5)
    for place in ("#data-view .f-cells", "#data-view .f-seq"):
        expect(page.locator(place)).to_contain_text(HOSTILE)
    assert page.locator("#data-view :is(img, script, b)").count() == 0
    page.goto(f"{server.url}/data?name={HOSTILE}")
    expect(page.locator("#data-missing")).to_contain_text(HOSTILE)


def test_what_the_columns_mean_can_be_changed(page: Page, server: Server, picture, tmp_path):
    server.upload(data_file(tmp_path), "village")
    open_data(page, server, "village")
    expect(page.locator("#data-effect")).to_contain_text("What is 0 plus 1?")
    for role, column in (("prompt", "answer"), ("response", "question")):
        page.locator(f"#data-map-{role} input").fill(column)
        page.locator(f"#data-map-{role} input").press("Enter")
    expect(page.locator("#data-effect article").first).to_contain_text("UserIt is 1.")
    page.locator("#data-mapping-save").click()
    expect(page.locator("#data-recognised")).to_contain_text("prompt answer")
    page.reload()
    expect(page.locator("#data-map-prompt input")).to_have_value("answer")
    expect(page.locator("#data-view .f-seq mark")).to_contain_text("What is 0 plus 1?")
    page.locator("#data-mapping-reset").click()
    expect(page.locator("#data-recognised")).to_contain_text("prompt question")


def test_pairs_labels_and_tools_in_chinese(page: Page, server: Server, picture):
    open_data(page, server, "sample_preferences")
    page.locator("#lang-zh").click()
    expect(page.locator("#data-view [data-side=prompt]")).to_contain_text("相同的提示")
    for side, words in (("chosen", "更好的回答"), ("rejected", "较差的回答")):
        shown = page.locator(f"#data-view [data-side={side}]")
        expect(shown).to_contain_text(words)
        expect(shown.locator("mark").first).to_be_visible()
    picture("pair-zh")
    open_data(page, server, "sample_kto")
    expect(page.locator("#data-label")).to_have_text(re.compile("好回答|坏回答"))
    open_data(page, server, "sample_tools")
    expect(page.locator("#data-view .f-tools-list")).to_contain_text("提供的工具")


def test_a_dataset_is_chosen_for_training_and_deleted(page: Page, server: Server, picture,
                                                      tmp_path):
    server.upload(data_file(tmp_path), "village")
    open_data(page, server, "village")
    page.locator("#data-train-link").click()
    expect(page.locator("#field-data-train")).to_contain_text("village")
    expect(page.locator("#train-problems")).to_contain_text("Row 10 of village has no 'answer'")
    expect(page.locator("#train-start")).to_be_disabled()
    page.locator("#train-look a").click()
    expect(page.locator("#data-hero [data-dataset=village]")).to_be_visible()
    page.locator("#data-delete").click()
    expect(page.locator("#data-delete-words")).to_contain_text("This cannot be undone.")
    page.locator("#data-delete-confirm").click()
    page.wait_for_url(re.compile("/data$"))
    expect(page.locator("#data-table .f-row[data-name=sample_chat]")).to_be_visible()
    assert page.locator("#data-table .f-row[data-name=village]").count() == 0


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_a_phone_shows_it_without_scrolling_sideways(page: Page, server: Server, picture, locale,
                                                     tmp_path):
    server.upload(data_file(tmp_path), "village")
    page.context.add_cookies([{"name": "finestra_locale", "value": locale, "url": server.url}])
    page.set_viewport_size({"width": 400, "height": 850})
    for address in ("/data", "/data?name=village&row=2"):
        page.goto(server.url + address)
        expect(page.locator("#data-table .f-row, #data-view .f-seq").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        picture("list" if address == "/data" else "detail")


def test_a_row_is_shown_for_the_objective_that_is_chosen(page: Page, server: Server, picture):
    open_data(page, server, "sample_questions")
    asked = page.locator("#data-view .f-seq")
    expect(asked).to_contain_text("16加14等于几？")
    expect(page.locator("#data-view .f-counts")).to_contain_text("the model answers it")
    expect(page.locator("#data-view")).to_contain_text("30")
    assert asked.locator("mark").count() == 0
    open_data(page, server, "sample_classes", "&objective=classification")
    text = page.locator("#data-view .f-seq")
    expect(text).to_contain_text("always orders lentil curry")
    assert "<|im_start|>" not in text.inner_text() and text.locator("mark").count() == 0
    expect(page.locator("#data-view")).to_contain_text("food")
    picture("class")
    page.locator("#data-view-objective input").click()
    page.get_by_role("option", name="Supervised").click()
    expect(text.locator("mark")).to_contain_text("food")
    expect(page).to_have_url(re.compile("objective=sft"))
