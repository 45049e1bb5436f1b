"""Fine-tuning for real: OpenAI's client sends rows, waits, and asks the model that came of them."""

import contextlib
import time

import httpx
import pytest

from app.server import ServerSettings, create_app
from app.studio import Studio
from tests.app.api.conftest import Live
from tests.app.tuning.conftest import Client, lines, turn

ANSWER = "The owl sleeps."
THINGS = ("moon", "sea", "bread", "rain", "tea", "train", "door", "lamp", "song", "hill", "cat",
          "clock")
ROWS = [{"messages": [turn("user", f"What does the {thing} do?"), turn("assistant", ANSWER)]}
        for thing in THINGS]


@pytest.fixture
def client(tmp_path):
    """A client of a studio whose trainer and engine are the real ones."""
    with (contextlib.closing(Studio.open(tmp_path / "home")) as studio,
          Live(create_app(studio, ServerSettings(board=False, tick_s=0.05))) as server,
          Client(base_url=f"{server.address}/v1", api_key="anything", max_retries=0,
                 http_client=httpx.Client(trust_env=False)) as client):
        yield client


def said(client, job_id, within_s=180.0):
    """Read the job's events until one says how it ended; return them all, the oldest first."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        events = list(client.fine_tuning.jobs.list_events(job_id))
        if any((event.data or {}).get("code") in ("completed", "failed") for event in events):
            return events[::-1]
        time.sleep(0.2)
    raise AssertionError([event.message for event in events])


def ask(client, model):
    answer = client.chat.completions.create(
        model=model, messages=[turn("user", "What does the wind do?")], temperature=0,
        max_tokens=12)
    assert answer.model == model
    return answer.choices[0].message.content


@pytest.mark.serving
def test_a_model_learns_what_was_sent_and_says_it(client):
    sent = client.files.create(file=("train.jsonl", lines(ROWS)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="starter", training_file=sent.id, suffix="owl", method={
            "type": "supervised", "supervised": {"hyperparameters": {
                "n_epochs": 20, "batch_size": 4, "learning_rate_multiplier": 10}}})
    events = said(client, job.id)
    job = client.until(job.id)
    assert (job.status, job.error) == ("succeeded", None)
    losses = [event.data["train_loss"] for event in events
              if event.type == "metrics" and "train_loss" in event.data]
    assert losses[-1] < losses[0] / 4
    assert job.trained_tokens > 0
    assert job.fine_tuned_model in [one.id for one in client.models.list()]
    assert ask(client, job.fine_tuned_model) == ANSWER != ask(client, "starter")
    # An engine has the adapter in memory now: it is not deleted under it.
    answer = httpx.delete(str(client.base_url.join("/api/models")), trust_env=False,
                          params={"name": job.fine_tuned_model})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_loaded")
    assert ask(client, job.fine_tuned_model) == ANSWER
