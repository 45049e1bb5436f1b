"""A person's own file, through the Train page: recognised, checked, trained on."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import fill, form_is_ready, start
from tests.e2e.server import Server
from tests.source_tree import ROOT

pytestmark = pytest.mark.browser

REAL = ROOT.parent / "shared" / "data" / "real" / "gsm8k_train.jsonl"


def question_file(folder: Path) -> Path:
    """Return 200 question/answer rows: the real ones where they are, else generated ones."""
    target = folder / "questions.jsonl"
    if REAL.exists():
        with REAL.open(encoding="utf-8") as lines:
            rows = [json.loads(next(lines)) for _ in range(200)]
    else:
        rows = [{"question": f"What is {n} plus {n + 1}?", "answer": f"{n} + {n + 1} = {2 * n + 1}"}
                for n in range(200)]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def test_every_problem_stands_next_to_its_field(page: Page, server: Server, picture):
    page.goto(f"{server.url}/train")
    form_is_ready(page)
    fill(page, "tuner-r", "0")
    fill(page, "training-learning_rate", "abc")
    for path, value in (("tuner-r", "0"), ("training-learning_rate", "abc")):
        expect(page.locator(f"#field-{path} .f-error")).to_contain_text(value)
        expect(page.locator("#train-problems")).to_contain_text(value)
    expect(page.locator("#train-start")).to_be_disabled()
    picture("problems")
    page.locator("#lang-zh").click()
    expect(page.locator("#field-training-learning_rate .f-error")).to_contain_text("不是数字")
    picture("problems-zh")
    page.locator("#lang-en").click()
    expect(page.locator("#field-training-learning_rate .f-error")).to_contain_text("not a number")
    fill(page, "tuner-r", "8")
    fill(page, "training-learning_rate", "1e-3")
    form_is_ready(page)
    assert server.api.get("/runs").json()["runs"] == []


def test_a_file_of_ones_own_is_uploaded_and_trained_on(page: Page, server: Server, picture,
                                                       tmp_path):
    page.goto(f"{server.url}/train")
    form_is_ready(page)
    with page.expect_file_chooser() as chooser:
        page.locator("#train-upload").click()
    chooser.value.set_files(question_file(tmp_path))
    expect(page.locator("#field-data-train")).to_contain_text(re.compile("questions"))
    fill(page, "training-max_steps", "6")
    picture("filled")
    run_id = start(page)
    expect(page.locator("#run-hero [data-state=completed]")).to_be_visible(timeout=120_000)
    losses = [value for _, value in server.points(run_id)]
    assert len(losses) == 6 and all(value > 0 for value in losses)
    picture("trained")
