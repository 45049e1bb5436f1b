"""A sweep over learning rates, from its button to the form that takes its proposal."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import fill, form_is_ready, state
from tests.e2e.server import Server

pytestmark = pytest.mark.browser


def test_a_sweep_proposes_a_rate_that_the_form_takes(page: Page, server: Server, picture):
    page.goto(f"{server.url}/train")
    form_is_ready(page)
    page.locator("#train-advanced").click()
    for path, value in (("name", "swept"), ("data-max_length", "96")):
        fill(page, path, value)
    page.locator("#train-search").fill("lr_finder.enabled")
    page.locator("#field-lr_finder-enabled input").check()
    page.locator("#train-search").fill("lr_finder")
    fill(page, "lr_finder-steps", "20")
    form_is_ready(page)
    page.locator("#train-find-lr").click()
    page.wait_for_url(re.compile(r"/run\?id="))
    run_id = page.url.partition("id=")[2]

    state(page, "completed", 180)
    points = server.points(run_id, "lr_finder_loss")
    chart = page.locator("#run-charts [data-chart=lr_finder_loss]")
    expect(chart).to_have_attribute("data-points", str(len(points)))
    expect(chart).to_have_attribute("data-marked", "")
    assert len(points) >= 10
    rate = server.run(run_id)["metrics"]["proposed_learning_rate"]
    expect(page.locator("#run-chat-reason")).to_be_visible()
    picture("swept")

    page.locator("#run-use-rate").click()
    form_is_ready(page)
    taken = page.locator("#field-training-learning_rate input").input_value()
    assert float(taken) == pytest.approx(rate, rel=1e-6)
    expect(page.locator("#field-name input")).to_have_value("swept")
    expect(page.locator("#field-lr_finder-enabled input")).not_to_be_checked()
    picture("taken")
