"""OpenAI's own client before a real studio server whose trainer is fake."""

import json
import time

import httpx
import openai
import pytest

from app.server import ServerSettings, create_app
from tests.app.api.conftest import Live, opened

ENDED = ("succeeded", "failed", "cancelled")


def turn(role, text):
    return {"role": role, "content": text}


def lines(rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n"
                   for row in rows).encode()


CHAT = [{"messages": [turn("user", f"What is {n} + 1?"), turn("assistant", str(n + 1))]}
        for n in range(12)]
PAIRS = [{"input": {"messages": [turn("system", "Be kind."), turn("user", f"Greet {n}")]},
          "preferred_output": [turn("assistant", f"Hello, {n}!")],
          "non_preferred_output": [turn("assistant", f"What, {n}?")]} for n in range(12)]
PROMPTS = [{"messages": [turn("user", f"What is {n} + 2?")], "gold": {"answer": n + 2}}
           for n in range(12)]


class Client(openai.OpenAI):
    """With short ways to send a file and to wait."""

    def send(self, rows, name="train.jsonl"):
        return self.files.create(file=(name, lines(rows)), purpose="fine-tune")

    def train(self, **values):
        return self.fine_tuning.jobs.create(**{"model": "starter", **values})

    def until(self, job_id, *wanted, within_s=30.0):
        """Ask as clients do until the job is in one of the states."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            job = self.fine_tuning.jobs.retrieve(job_id)
            if job.status in (wanted or ENDED):
                return job
            time.sleep(0.05)
        raise AssertionError(f"still {job.status}: {job.error}")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A studio without a login; files may have 100 kB."""
    with opened(tmp_path_factory.mktemp("tuning") / "home") as studio:
        settings = ServerSettings(board=False, tick_s=0.05, max_upload_bytes=100_000)
        with Live(create_app(studio, settings)) as server:
            server.studio = studio
            yield server


@pytest.fixture(scope="module")
def client(live):
    with Client(base_url=f"{live.address}/v1", api_key="anything", max_retries=0,
                http_client=httpx.Client(trust_env=False)) as client:
        yield client


@pytest.fixture
def studio(live):
    return live.studio
