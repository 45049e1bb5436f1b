"""The Run page's question: there for a result that answers, sent on to the Chat page."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.board import shell
from app.board.pages._ask import ask_card, chat_address, slow_note
from app.board.pages.run import answers
from app.devices import Device
from app.runs import Run, RunState

NASTY = '"><script>alert(1)</script><img src=x onerror=alert(1)>\', base'
RUN = Run("tuned-7", "tuned", RunState.COMPLETED, Path("/runs/tuned-7"), objective="sft",
          model="/models/my, base")
HOST, GPU = Device("cpu", "CPU"), Device("GPU-1", "H", 1000, 900)


class Read(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_a_runs_page_opens_it_beside_its_base():
    assert chat_address(RUN) == "./chat?models=%2Fmodels%2Fmy%2C%20base,tuned-7"


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_card_is_a_form_of_one_question(locale):
    read = Read(ask_card(locale, replace(RUN, model=NASTY)))
    tags = [tag for tag, _ in read.found]
    by_id = {attrs["id"]: attrs for _, attrs in read.found if "id" in attrs}
    assert not {"script", "img"} & set(tags) and tags.count("textarea") == 1
    assert set(by_id) == {"run-chat", "run-chat-form", "run-chat-prompt", "run-chat-send"}
    assert by_id["run-chat-form"]["data-address"].endswith("%2C%20base,tuned-7")
    assert by_id["run-chat-prompt"]["placeholder"] and by_id["run-chat-send"]["type"] == "submit"
    assert ("label", {"for": "run-chat-prompt"}) in read.found


@pytest.mark.parametrize(("change", "can"), [
    ({}, True), ({"state": RunState.RUNNING}, False), ({"state": RunState.STOPPED}, False),
    ({"objective": "dpo"}, True), ({"objective": "reward"}, False),
    ({"objective": "export"}, False), ({"objective": "merge"}, False),
    ({"latest": {"proposed_learning_rate": 1e-4, "lr_finder_rate": 1e-3}}, False)])
def test_only_what_speaks_is_asked(change, can):
    assert answers(replace(RUN, **change)) is can


def test_a_shared_processor_is_told():
    busy = replace(HOST, holder="night")
    assert slow_note("en", [HOST]) == slow_note("en", [GPU, busy]) == ""
    assert "answers will be slow" in slow_note("en", [busy])
    assert "回答会比较慢" in slow_note("zh", [replace(GPU, problem="lost"), busy])


def test_only_a_question_that_was_asked_in_this_tab_is_sent():
    """A stranger's link with a question starts no engine and costs nobody's endpoint a token."""
    run, chat = ((shell.STATIC / name).read_text(encoding="utf-8")
                 for name in ("board.js", "chat.js"))
    assert 'sessionStorage.setItem("finestra_chat_ask", question)' in run
    assert re.search(r"if \(!ours \|\| box\.value !== ours\) return;[^}]*\n[^}]*\};\n"
                     r"[^}]*send\(\);\n  \}", chat)
    assert 'sessionStorage.removeItem("finestra_chat_ask")' in chat
