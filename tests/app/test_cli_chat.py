"""``finestra chat`` and ``finestra chats``, with a stub engine as the remote side."""

from __future__ import annotations

import codecs
import json
import os
import pty
import select
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from app.chats.book import Book
from app.cli import app
from app.cli_chat import split_words
from app.cli_chat_talk import clean, settings_of
from app.home import Home
from app.recordfile import RecordError
from app.serving.endpoints import EndpointBook
from tests.app.chats.talker import TEXT, Talker

ONE, TWO = "lab/one", "lab/two"


@pytest.fixture(scope="module")
def engine():
    with Talker() as talker:
        yield talker


@pytest.fixture
def home(tmp_path, monkeypatch, engine):
    engine.reset()
    monkeypatch.setenv("FINESTRA_HOME", str(tmp_path / "home"))
    home = Home.open()
    EndpointBook(home).add("lab", engine.base_url, ["one", "two"], key=engine.key)
    return home


def run(*words, code=0, given=None):
    done = CliRunner().invoke(app, list(words), input=given)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def refused(*words, given=None):
    done = CliRunner().invoke(app, list(words), input=given)
    assert isinstance(done.exception, RecordError), done.output
    return done.exception.code


def test_a_question_is_answered_and_kept(home, engine):
    done = run("chat", ONE, "talk", "--system", "Be brief.", "--temperature", "0", "--set",
               "min_p=0.1")
    assert done.stdout == f"{TEXT}\n"
    body = engine.asked[0][1]
    assert (body["temperature"], body["min_p"]) == (0, 0.1)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    (kept,) = json.loads(run("chats", "list", "--json").stdout)["chats"]
    assert kept["title"] == "talk" and kept["lanes"] == [ONE]
    assert TEXT in run("chats", "show", kept["id"]).stdout
    assert json.loads(run("chats", "show", kept["id"], "--json").stdout)["owner"] == "local"


def test_several_models_and_a_document(home):
    done = run("chat", ONE, TWO, "model")
    assert done.stdout == f"{ONE}:\nI am one\n{TWO}:\nI am two\n"
    found = json.loads(run("chat", ONE, TWO, "think", "--json").stdout)
    assert [(one["lane"], one["content"], one["thinking"]) for one in found["answers"]] == [
        (ONE, "It is.", "hm hm"), (TWO, "It is.", "hm hm")]
    assert Book(home).load(found["chat"]).turns["t1"].answers[TWO][0].state == "done"


def test_the_question_may_come_from_standard_input(home, engine):
    assert run("chat", ONE, given="talk").stdout == f"{TEXT}\n"
    assert run("chat", ONE, "-", given="model").stdout == "I am one\n"
    assert refused("chat", ONE, given=" ") == "no_question"


def test_a_failure_is_told_and_the_text_kept(home):
    done = run("chat", ONE, "die", code=1)
    assert done.stdout == "I was\n" and "error: The engine of 'lab/one'" in done.stderr
    found = json.loads(run("chat", ONE, "long", "--json", code=1).stdout)
    assert found["answers"][0]["error"]["code"] == "context_length_exceeded"


def test_what_cannot_be_asked(home):
    assert refused("chat", "no-such", "talk") == "unknown_model"
    assert refused("chat", ONE, "talk", "--set", "warmth=1") == "chat_setting"
    assert refused("chat", ONE, "talk", "--temperature", "-1") == "chat_setting"
    assert refused("chat", ONE, "talk", "--preset", "none") == "unknown_preset"
    assert refused("chat", ONE, ONE, "talk") == "same_lane"
    assert Book(home).list()[0] == []


def test_models_are_told_from_the_question():
    served = {"a", "b"}
    assert split_words(["a"], served) == (["a"], None)
    assert split_words(["a", "b"], served) == (["a", "b"], None)
    assert split_words(["a", "b", "what?"], served) == (["a", "b"], "what?")
    with pytest.raises(RecordError):
        split_words(["a", "what?", "b"], served)


def test_settings_are_read():
    found = settings_of(["top_p=0.5", "stop=END", "seed=null"], {"seed": 3, "top_k": 4})
    assert found.given() == {"top_p": 0.5, "stop": ["END"], "top_k": 4}


def test_a_model_cannot_steer_the_terminal():
    assert clean("a\x1b[2Jb\r\x07\tc\n") == "a�[2Jb��\tc\n"


def test_kept_conversations_are_taken_away(home, tmp_path):
    run("chat", ONE, "talk")
    run("chat", ONE, "die", code=1)
    rows = tmp_path / "rows.jsonl"
    run("chats", "export", str(rows))
    assert [len(json.loads(line)["messages"]) for line in rows.read_text().splitlines()] == [2]
    assert refused("chats", "export", str(tmp_path / "x.doc")) == "chat_format"
    made = json.loads(run("chats", "dataset", "talks", "--json").stdout)
    assert made == {"name": "talks", "rows": 1, "left_out": 1}
    assert refused("chats", "dataset", "votes", "--preferences") == "no_rows"
    (kept,) = json.loads(run("chats", "list", "--search", "talk", "--json").stdout)["chats"]
    assert refused("chats", "delete", kept["id"], "--json") == "not_confirmed"
    run("chats", "delete", kept["id"], "--yes")
    assert refused("chats", "show", kept["id"]) == "unknown_chat"


class Terminal:
    """``finestra chat`` in a terminal of its own."""

    def __init__(self, *words):
        master, self._side = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app", "chat", *words], stdin=self._side,
            stdout=self._side, stderr=self._side, env={**os.environ, "TERM": "dumb"},
            start_new_session=True)
        self.master, self.text = master, ""
        # What is read at once may end in the middle of a letter.
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._side)

    def until(self, text, limit_s=30):
        """Read until a text comes; forget what was read."""
        deadline = time.monotonic() + limit_s
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.master], [], [], 0.1)[0]:
                read = self._decoder.decode(os.read(self.master, 65536))
                self.text = (self.text + read).replace("\r\n", "\n")
        before, _, self.text = self.text.partition(text)
        return before

    def type(self, text):
        os.write(self.master, text.encode() + b"\n")


@pytest.mark.faults
def test_a_talk_in_a_terminal(home, engine, tmp_path):
    with Terminal(ONE) as terminal:
        terminal.until("> ")
        terminal.type("talk")
        terminal.until(TEXT)
        terminal.until("5 tokens")
        terminal.until("> ")
        terminal.type("/system Be brief.")
        terminal.until("Be brief.\n")
        terminal.type("/set temperature=0.5")
        terminal.until("temperature=0.5\n")
        terminal.until("> ")
        terminal.type("slow")
        terminal.until("begun")
        terminal.type("/stop")
        terminal.until("stopped")
        engine.gate.set()
        terminal.until("> ")
        terminal.type("/retry")
        terminal.until("begun and done")
        terminal.until("> ")
        terminal.type('"""\necho\n"""')
        terminal.until("first after")
        terminal.type(f"/save {tmp_path / 'talk.md'}")
        terminal.until("Written to")
        terminal.type("/nonsense")
        terminal.until("There is no /nonsense")
        terminal.type("/quit")
        assert terminal.process.wait(30) == 0
    body = engine.asked[-1][1]
    assert body["temperature"] == 0.5 and [one["content"] for one in body["messages"]] == [
        "Be brief.", "talk", TEXT, "slow", "begun and done", "echo"]
    assert "begun and done" in (tmp_path / "talk.md").read_text()
    (kept,) = Book(home).list()[0]
    assert kept.turns == 3
