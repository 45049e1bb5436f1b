"""A run and its base answer the same rows; the page says which is better, and shows where."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import state
from tests.e2e.server import Server

pytestmark = pytest.mark.browser
DATA = "sample_instructions_heldout"
SHORT = {"name": "village", "model": {"name_or_path": "starter"},
         "data": {"train": ["sample_instructions"], "eval": [DATA]},
         "training": {"max_steps": 3, "device": "cpu", "per_device_train_batch_size": 2},
         "evaluation": {"samples": 0}}
LIMIT_S = 300
ROWS = 6


@pytest.fixture
def trained(server: Server) -> str:
    """A run that was trained for a few steps."""
    run_id = server.api.post("/runs", json=SHORT).raise_for_status().json()["id"]
    server.until("it has been trained", lambda: server.run(run_id)["state"] == "completed", LIMIT_S)
    return run_id


def field(page: Page, path: str, value: str) -> None:
    page.locator(f"#field-{path}-in").fill(value)
    page.locator(f"#field-{path}-in").blur()


def test_a_run_is_evaluated_beside_its_base(page: Page, server: Server, trained: str, picture):
    page.goto(f"{server.url}/evaluate")
    expect(page.locator("#evaluate-empty")).to_contain_text("Nothing was evaluated yet")
    page.goto(f"{server.url}/run?id={trained}")
    page.locator("#run-evaluate").click()
    page.wait_for_url(re.compile(r"/evaluate\?model="))
    the_form_is_filled_and_asked(page, trained, picture)
    page.locator("#evaluate-start").click()
    page.wait_for_url(re.compile(r"/run\?id="))
    run_id = page.url.partition("id=")[2]
    page.goto(f"{server.url}/evaluate?run={run_id}")
    expect(page.locator(f'[data-live="{run_id}"] [role=progressbar]')).to_be_visible()
    expect(page.locator("#evaluate-matrix")).to_be_visible(timeout=LIMIT_S * 1000)
    expect(page.locator("[data-live]")).to_have_count(0)
    what_was_found_is_shown(page, picture)
    rows_are_chosen(page, server)
    files_are_taken_away(page)
    it_stands_elsewhere(page, server, run_id, picture)


def the_form_is_filled_and_asked(page: Page, trained: str, picture) -> None:
    chips = page.locator("#field-models .f-chosen")
    expect(chips).to_have_count(2)
    expect(chips.first).to_contain_text("compared with")
    expect(page.locator("#field-data .f-chosen")).to_contain_text(DATA)
    page.locator('[data-option="regex"] input').check()
    expect(page.locator("#field-option-regex-pattern .f-error")).to_contain_text("needs")
    expect(page.locator("#evaluate-start")).to_be_disabled()
    field(page, "option-regex-pattern", "[")
    expect(page.locator("#field-option-regex-pattern .f-error")).to_contain_text("regular")
    page.locator('[data-option="regex"] input').uncheck()
    page.locator('[data-option="exact_match"] input').check()
    page.locator('[data-option="contains"] input').check()
    field(page, "max_samples", str(ROWS))
    field(page, "generation-max_new_tokens", "8")
    page.locator("#evaluate-fold-judge summary").click()
    page.locator("#field-judge-mode").wait_for(state="hidden")
    expect(page.locator("#evaluate-command")).to_contain_text(f"--limit {ROWS}")
    page.reload()
    expect(page.locator("#field-max_samples-in")).to_have_value(str(ROWS))
    page.get_by_role("button", name=re.compile("^Compare the others with it: village")).click()
    expect(chips.first).to_contain_text("village")
    page.get_by_role("button", name=re.compile("^Compare the others with it: starter")).click()
    expect(page.locator("#evaluate-command")).to_contain_text(f"--model {trained}")
    picture("form")
    expect(page.locator("#evaluate-start")).to_be_enabled()


def what_was_found_is_shown(page: Page, picture) -> None:
    table = page.locator("#evaluate-matrix")
    row = table.locator(f'tr[data-dataset="{DATA}"][data-metric=exact_match]')
    expect(row.locator("td").first).to_contain_text("%")
    expect(row.locator("td").nth(1).locator(".f-verdict")).to_be_visible()
    expect(row.locator("svg[role=img]").first).to_have_attribute("aria-label", re.compile("to"))
    expect(page.locator(".f-case")).to_have_count(ROWS)
    expect(page.locator(".f-case").first.locator(".f-answers section")).to_have_count(2)
    picture("found")


def rows_are_chosen(page: Page, server: Server) -> None:
    """Every choice stands in the address, so that a refresh and the way back show it again."""
    page.locator("#evaluate-order").select_option("row")
    page.wait_for_url(re.compile("order=row"))
    numbers = page.locator(".f-case").evaluate_all("all => all.map((one) => one.dataset.row)")
    assert numbers == sorted(numbers, key=int)
    asked = page.locator(".f-case").nth(2).locator(".f-said").first.inner_text()
    page.locator("#evaluate-q").fill(asked)
    page.locator("#evaluate-q").press("Enter")
    expect(page.locator("#evaluate-shown")).to_have_text("Rows 1 to 1 of 1")
    page.reload()
    expect(page.locator("#evaluate-q")).to_have_value(asked)
    expect(page.locator(".f-case")).to_have_count(1)
    page.locator("#evaluate-clear").click()
    expect(page.locator(".f-case")).to_have_count(ROWS)
    page.go_back()
    expect(page.locator(".f-case")).to_have_count(1)
    page.go_forward()
    expect(page.locator(".f-case")).to_have_count(ROWS)
    page.locator("#evaluate-only").select_option("wrong")
    page.wait_for_url(re.compile("only=wrong"))
    expect(page.locator("#evaluate-clear")).to_be_visible()


def files_are_taken_away(page: Page) -> None:
    for kind, said in (("csv", "exact_match"), ("md", "| starter |"), ("json", '"results"')):
        with page.expect_download() as waiting:
            page.locator(f"#evaluate-{kind}").click()
        assert said in waiting.value.path().read_text(encoding="utf-8"), kind


def it_stands_elsewhere(page: Page, server: Server, run_id: str, picture) -> None:
    """On its Run page, in the table of all, in Chinese, on a phone."""
    page.goto(f"{server.url}/run?id={run_id}")
    state(page, "completed")
    expect(page.locator("#run-charts [data-chart]")).to_have_count(0)
    page.locator("#run-evaluation").click()
    page.wait_for_url(re.compile(r"/evaluate\?run="))
    page.locator("#lang-zh").click()
    expect(page.locator("#evaluate-matrix")).to_contain_text("完全一致")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/evaluate")
    expect(page.locator("#evaluate-matrix")).to_contain_text("village")
    expect(page.locator("#kind-body")).to_be_hidden()
    page.locator("#evaluate-new").click()
    expect(page.locator("#field-models-in")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture("phone")
