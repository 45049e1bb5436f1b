"""The starter answers a conversation through a real engine, over REST and on the command line."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.server import ServerSettings, create_app
from tests.app.api.conftest import Live, opened
from tests.app.chats.conftest import Desk, shown

pytestmark = pytest.mark.serving
ASKED = "What is the opposite of old?"


def test_the_starter_answers_goes_on_and_shows_its_prompt(tmp_path):
    with opened(tmp_path / "home") as studio, Live(
            create_app(studio, ServerSettings(board=False, tick_s=0.05))) as live:
        live.studio = studio
        desk = Desk(live)
        chat = desk.ask(desk.new("starter", settings={"temperature": 0, "max_tokens": 16}), ASKED)
        answer = shown(chat, lane="starter")
        assert answer["state"] == "done" and "young" in answer["content"]
        stats = answer["stats"]
        assert stats["first_token_s"] > 0 and stats["completion_tokens"] > 1
        found = desk.ok(desk.client.get(f"/{chat['id']}/turns/t1/answers/a1/prompt"))
        assert ASKED in found["text"] and "".join(found["tokens"]) == found["text"]
        assert len(found["token_ids"]) == stats["prompt_tokens"] and found["note"] == ""
        # Begun with its own first half, it goes on as it did.
        half = answer["content"][:len(answer["content"]) // 2].rpartition(" ")[0]
        desk.post(chat, "/turns/t1/answers", lane="starter", prefix=half)
        again = shown(desk.ended(chat), lane="starter")
        assert (again["state"], again["content"]) == ("done", answer["content"])
        desk.client.close()


def test_the_command_line_brings_its_own_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["chat", "starter", ASKED, "--temperature", "0", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    (answer,) = json.loads(done.stdout)["answers"]
    assert "young" in answer["content"] and answer["stats"]["prompt_tokens"] > 3
