"""A trained run becomes a file for llama.cpp and a merged model, and the page says whether they are
the same model."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import state
from tests.e2e.server import Server

pytestmark = pytest.mark.browser
SHORT = {"name": "village", "model": {"name_or_path": "starter"},
         "data": {"train": ["sample_instructions"]},
         "training": {"max_steps": 3, "device": "cpu", "per_device_train_batch_size": 2},
         "evaluation": {"samples": 0}}
LIMIT_S = 300


@pytest.fixture
def trained(server: Server) -> str:
    """A run that was trained for a few steps."""
    run_id = server.api.post("/runs", json=SHORT).raise_for_status().json()["id"]
    server.until("it has been trained", lambda: server.run(run_id)["state"] == "completed", LIMIT_S)
    return run_id


def option(page: Page, name: str):
    return page.locator(f'#field-formats [data-option="{name}"] input')


def set_number(page: Page, path: str, value: str) -> None:
    page.locator(f"#field-{path}-in").fill(value)


def test_a_run_is_exported_and_proves_itself(page: Page, server: Server, trained: str, picture):
    page.goto(f"{server.url}/run?id={trained}")
    page.locator("#run-export").click()
    page.wait_for_url(re.compile("/export"))
    expect(page.locator("#export-start")).to_be_enabled()
    expect(page.locator("#field-source-in")).to_have_value(trained)
    expect(option(page, "merged")).to_be_checked()
    expect(option(page, "gguf-q8_0")).to_be_checked()
    expect(page.locator('[data-option="gguf-q8_0"] .f-option-size')).to_contain_text("MB")
    a_broken_choice_is_told(page)
    set_number(page, "parity-prompts", "2")
    set_number(page, "parity-max_new_tokens", "6")
    expect(page.locator("#export-command")).to_contain_text("parity.max_new_tokens=6")
    page.reload()
    expect(page.locator("#field-parity-prompts-in")).to_have_value("2")
    expect(page.locator("#kind-draft")).to_be_visible()
    expect(page.locator("#export-command")).to_contain_text("parity.prompts=2")
    picture("form")
    page.locator("#export-start").click()
    page.wait_for_url(re.compile(r"/run\?id="))
    run_id = page.url.partition("id=")[2]
    expect(page.locator("#run-progress")).to_contain_text("of 4 parts", timeout=LIMIT_S * 1000)
    page.reload()
    state(page, "completed", LIMIT_S)
    verdicts_are_shown(page)
    picture("verdicts")
    a_file_is_taken_away(page, run_id)
    it_is_listed(page, server, run_id)


def a_broken_choice_is_told(page: Page) -> None:
    """Choose what does not go together; the words stand beside it until it is mended."""
    page.locator("#field-deployment-in").check()
    option(page, "merged").uncheck()
    expect(page.locator("#field-deployment .f-error")).to_contain_text("among the formats")
    expect(page.locator("#export-start")).to_be_disabled()
    option(page, "merged").check()
    expect(page.locator("#field-deployment .f-error")).to_have_count(0)
    page.locator("#field-deployment-in").uncheck()
    page.locator("#field-source-in").fill("no-such-run")
    expect(page.locator("#field-source .f-error")).to_be_visible()
    page.locator("#field-source-in").fill("")
    expect(page.locator("#export-problems")).to_contain_text("Choose a model first.")
    page.locator("#field-source-in").focus()
    page.get_by_role("option", name=re.compile(r"^village( ·|$)")).first.click()
    expect(page.locator("#export-start")).to_be_enabled()


def verdicts_are_shown(page: Page) -> None:
    """The merged model must be the trained one; the other's verdict is whatever can be told."""
    card = page.locator("#run-parity-card")
    merged = card.locator("tr[data-format=merged][data-program=Transformers]")
    expect(merged.locator(".f-verdict")).to_have_attribute("data-verdict", re.compile("same|close"))
    expect(merged).to_contain_text("2 of 2")
    expect(card.locator('[data-format="gguf-q8_0"]').first).to_be_visible()
    card.locator("details summary").first.click()
    expect(card.locator(".f-asked dd").first).to_be_visible()
    expect(page.locator("#run-charts [data-chart]")).to_have_count(0)
    expect(page.locator("#run-chat-prompt")).to_be_hidden()
    expect(page.locator("#written-train")).to_be_visible()


def a_file_is_taken_away(page: Page, run_id: str) -> None:
    with page.expect_download() as waiting:
        page.locator('#run-written [data-format="gguf-q8_0"] a[download]').first.click()
    path = waiting.value.path()
    assert path.read_bytes()[:4] == b"GGUF" and waiting.value.suggested_filename.endswith(".gguf")


def it_is_listed(page: Page, server: Server, run_id: str) -> None:
    """Among all runs with its size and verdict, among all models with its formats."""
    page.goto(server.url)
    row = page.locator(f'.f-row[data-id="{run_id}"]')
    expect(row).to_contain_text("Export · merged, gguf-q8_0")
    expect(row.locator(".f-made")).to_contain_text("MB")
    page.goto(f"{server.url}/models")
    model = page.locator(f'.f-row[data-model="{run_id}"]')
    expect(model.locator(".f-formats")).to_contain_text("GGUF Q8_0")
    page.locator("#lang-zh").click()
    expect(model).to_contain_text("合并后的模型")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/run?id={run_id}")
    expect(page.locator("#run-parity-card")).to_contain_text("还是同一个模型吗")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def name_source(page: Page, at: int, name: str) -> None:
    """Type a name, and leave the field: its list would lie over what is below."""
    field = page.locator(f"#merge-source-{at}")
    field.fill(name)
    field.blur()


def test_models_are_added_and_taken_away_on_the_merge_page(page: Page, server: Server, picture):
    page.goto(f"{server.url}/merge?models=starter")
    expect(page.locator("#merge-problems")).to_contain_text("Choose two models")
    expect(page.locator('[data-option="slerp"]')).to_be_visible()
    expect(page.locator('[data-option="cat"]')).to_be_hidden()
    name_source(page, 1, "starter")
    expect(page.locator("#field-sources > .f-error")).to_contain_text("named twice")
    page.locator("#merge-add").click()
    name_source(page, 2, "nothing-either")
    name_source(page, 1, "no-such-thing")
    expect(page.locator(".f-merge-use").nth(1).locator(".f-error")).to_be_visible()
    page.get_by_label("Remove model 3").click()
    expect(page.locator(".f-merge-use")).to_have_count(2)
    page.locator('[data-option="task_arithmetic"] input').check()
    expect(page.locator("#field-base")).to_be_visible()
    expect(page.locator("#field-density")).to_be_hidden()
    page.locator("#field-what input[value=adapters]").check()
    expect(page.locator('[data-option="linear"] input')).to_be_checked()
    expect(page.locator("#field-base")).to_be_hidden()
    page.locator('[data-option="dare_ties"] input').check()
    expect(page.locator("#field-density")).to_be_visible()
    expect(page.locator("#merge-start")).to_be_disabled()
    picture("merge")
