"""Methods beyond the usual, as a person chooses them: GRPO with a reward, a LLaMA-Factory file."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import fill, form_is_ready, start
from tests.e2e.server import Server

pytestmark = pytest.mark.browser

LLAMAFACTORY = """stage: sft
do_train: true
finetuning_type: lora
model_name_or_path: starter
dataset: sample_instructions
cutoff_len: 64
lora_rank: 4
learning_rate: 1.0e-4
plot_loss: true
"""


def choose_objective(page: Page, name: str) -> None:
    page.locator(f"#field-objective label:has(input[value={name}])").click()


def choose_data(page: Page, name: str) -> None:
    """Put one dataset in the place of those that are chosen, by keyboard."""
    field = page.locator("#field-data-train")
    field.locator(".f-chosen button").first.click()
    box = field.locator("input[role=combobox]")
    box.fill(name)
    expect(field.locator("[role=option]").first).to_contain_text(name)
    box.press("ArrowDown")
    box.press("Enter")
    expect(field.locator(".f-chosen")).to_contain_text(name)


def test_grpo_shows_its_fields_and_draws_its_reward(page: Page, server: Server, picture):
    page.goto(f"{server.url}/train")
    form_is_ready(page)
    expect(page.locator("#field-rollout-rewards")).to_be_hidden()
    choose_objective(page, "grpo")
    expect(page.locator("#field-rollout-rewards .f-error")).to_be_visible()
    for path in ("rollout-max_completion_length", "rollout-num_generations", "grpo-beta"):
        expect(page.locator(f"#field-{path}")).to_be_visible()
    expect(page.locator("#field-teacher-name_or_path")).to_be_hidden()
    choose_data(page, "sample_questions")
    page.locator("#train-reward-add").click()
    page.locator("#train-reward-add").click()
    second = page.locator(".f-reward").nth(1)
    second.locator("select").select_option("length")
    second.locator(".f-set-target input").fill("4")
    for path, value in (("training-max_steps", "2"), ("rollout-max_completion_length", "4"),
                        ("rollout-num_generations", "2"), ("data-max_length", "48")):
        fill(page, path, value)
    form_is_ready(page)
    page.reload()
    expect(page.locator(".f-reward")).to_have_count(2)
    expect(second.locator(".f-set-target input")).to_have_value("4")
    picture("grpo")
    run_id = start(page)
    expect(page.locator("#run-hero [data-state=completed]")).to_be_visible(timeout=120_000)
    chart = page.locator("#run-charts [data-chart=reward]")
    expect(chart).to_have_attribute("data-points", "2")
    assert len(server.points(run_id, "reward")) == 2
    picture("grpo-run")


def test_a_llamafactory_file_becomes_a_form(page: Page, server: Server, picture):
    page.goto(f"{server.url}/train")
    form_is_ready(page)
    page.locator("#train-import").click()
    page.locator("#train-yaml-in textarea").fill(LLAMAFACTORY)
    page.locator("#train-yaml-fill").click()
    report = page.locator("#train-import-report")
    expect(report.locator("tr[data-action]").first).to_be_visible()
    expect(report).to_contain_text("lora_rank")
    for path, value in (("tuner-r", "4"), ("data-max_length", "64"),
                        ("training-learning_rate", "1e-4")):
        expect(page.locator(f"#field-{path} input")).to_have_value(value)
    form_is_ready(page)
    with page.expect_download() as download:
        page.locator("#train-script").click()
    assert download.value.suggested_filename.endswith(".py")
    picture("import")
