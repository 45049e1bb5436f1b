"""A person looks for a base, trains from it, and deletes one that nothing needs."""

import re
import shutil

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.server import Server
from trainer.contract.places import starter

pytestmark = pytest.mark.browser


def row(page: Page, name: str):
    return page.locator(f'.f-row[data-model="{name}"]')


def test_the_catalogue_is_searched_and_a_run_begins_from_it(page: Page, server: Server, picture):
    page.goto(f"{server.url}/models")
    expect(row(page, "starter")).to_be_visible()
    page.locator("#models-catalogue").click()
    expect(page.locator(".f-row[data-model]")).to_have_count(60)
    page.locator("#models-search").get_by_role("textbox").fill("smollm2 135m")
    expect(page.locator(".f-row[data-model]")).to_have_count(2)
    page.wait_for_url(re.compile("search=smollm2"))
    page.reload()
    expect(page.locator(".f-row[data-model]")).to_have_count(2)
    expect(page.locator("#models-search").get_by_role("textbox")).to_have_value("smollm2 135m")
    found = row(page, "HuggingFaceTB/SmolLM2-135M-Instruct")
    expect(found.locator("[data-method=lora]")).to_have_attribute("data-fits", "true")
    picture("catalogue")
    found.get_by_role("button", name="Download").click()
    expect(page.locator("#models-work")).to_contain_text("HF_HUB_OFFLINE")
    page.locator("#lang-zh").click()
    expect(page.locator("#models-work")).to_contain_text("禁止联网")
    picture("offline-zh")
    row(page, "HuggingFaceTB/SmolLM2-135M-Instruct").get_by_role("link", name="训练").click()
    expect(page.locator("#field-model-name_or_path input")).to_have_value(
        "HuggingFaceTB/SmolLM2-135M-Instruct")


def test_a_model_is_deleted_after_a_word_on_what_is_lost(page: Page, server: Server, picture):
    shutil.copytree(starter(), server.home / "models" / "mine")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/models?search=mine")
    name = str(server.home / "models" / "mine")
    row(page, name).get_by_role("button", name="Delete").click()
    expect(page.locator("#models-losing")).to_contain_text("No run names it.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture("asking")
    page.locator("#models-delete-cancel").click()
    expect(page.locator("#models-losing")).to_be_hidden()
    row(page, name).get_by_role("button", name="Delete").click()
    page.locator("#models-delete-confirm").click()
    expect(row(page, name)).to_have_count(0)
    assert not (server.home / "models" / "mine").exists()
