"""Conversations taken away: as text, as rows, as datasets that the Data page knows."""

import json

import pytest

from tests.app.chats.conftest import LANE, OTHER
from tests.app.chats.talker import CALL, TEXT


def exported(desk, form, *chats):
    answer = desk.client.get("/export", params={"format": form,
                                                "ids": ",".join(one["id"] for one in chats)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return answer.text


def test_markdown_shows_the_branch_that_is_shown(desk):
    chat = desk.ask(desk.new(system="Be brief."), "think")
    chat = desk.ask(chat, "talk")
    text = exported(desk, "markdown", chat)
    assert text.startswith("# think\n") and "## System\n\nBe brief." in text
    assert "> hm hm\n\nIt is." in text and f"## {LANE}\n\n{TEXT}" in text
    failed = desk.ask(desk.new(), "die")
    assert "I was\n\n*(failed: engine_died)*" in exported(desk, "markdown", failed)


def test_json_has_everything(desk):
    chat = desk.ask(desk.ask(desk.new(), "talk"), "echo", parent=None)
    (found,) = json.loads(exported(desk, "json", chat))["chats"]
    assert found == desk.get(chat)


def test_rows_are_what_the_data_page_reads(desk):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    chat = desk.ask(desk.new(LANE, OTHER, tools=tools), "tools")
    told = [{"role": "tool", "tool_call_id": "call_7", "content": "rain"}]
    chat = desk.ended(desk.post(chat, "/turns", parent="t1", lane=LANE, inputs=told))
    first, second = [json.loads(line) for line in exported(desk, "jsonl", chat).splitlines()]
    assert first["tools"] == tools
    assert [one["role"] for one in first["messages"]] == ["user", "assistant", "tool",
                                                          "assistant"]
    assert second["messages"][-1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}


def test_a_row_ends_with_a_finished_answer(desk, engine):
    chat = desk.ask(desk.ask(desk.new(), "talk"), "die")
    row = json.loads(exported(desk, "jsonl", chat))
    assert [one["content"] for one in row["messages"]] == ["talk", TEXT]
    assert exported(desk, "jsonl", desk.ask(desk.new(), "die")) == ""


def test_a_dataset_of_conversations(desk):
    chats = [desk.ask(desk.new(system="Be brief."), "talk"), desk.ask(desk.new(), "think"),
             desk.ask(desk.new(), "die")]
    made = desk.ok(desk.client.post("/dataset", json={
        "name": "talks", "ids": [one["id"] for one in chats]}))
    assert made == {"name": "talks", "rows": 2, "left_out": 1}
    report = desk.studio.data.report("talks")[0]
    assert report.document["usable"] == 2 and desk.studio.data.choice("talks").kind == "openai"
    again = desk.client.post("/dataset", json={"name": "talks", "ids": [chats[0]["id"]]})
    assert again.status_code == 422
    desk.refused(desk.client.post("/dataset", json={"name": "none", "ids": []}), 422, "no_rows")


def test_votes_become_preferences(desk):
    chat = desk.ask(desk.new(LANE, OTHER, blind=True), "model")
    chat = desk.post(chat, "/turns/t1/vote", winner="A")
    winner = chat["turns"]["t1"]["vote"]["winner"]
    tie = desk.ask(desk.new(LANE, OTHER), "model")
    desk.post(tie, "/turns/t1/vote", winner="tie")
    same = desk.ask(desk.new(LANE, OTHER), "talk")
    desk.post(same, "/turns/t1/vote", winner=LANE)
    # The lanes were told different things before: their answers are to different prompts.
    later = desk.ask(chat, "model")
    desk.post(later, "/turns/t2/vote", winner=LANE)
    made = desk.ok(desk.client.post("/dataset", json={
        "name": "votes", "kind": "preferences", "ids": [chat["id"], tie["id"], same["id"]]}))
    assert made == {"name": "votes", "rows": 1, "left_out": 2}
    (row,) = [json.loads(line) for line in
              desk.studio.data.spec("votes").path.read_text().splitlines()]
    assert row["prompt"] == [{"role": "user", "content": "model"}]
    said = {LANE: "I am one", OTHER: "I am two"}
    assert row["chosen"] == [{"role": "assistant", "content": said[winner]}]
    assert row["rejected"][0]["content"] in set(said.values()) - {said[winner]}
    assert desk.studio.data.choice("votes").kind == "preference"


def test_pictures_are_left_out_of_rows(desk):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    chat = desk.new()
    chat = desk.ended(desk.post(chat, "/turns", parent=None, inputs=[
        {"role": "user", "content": [{"type": "text", "text": "What?"}, picture]}]))
    assert exported(desk, "jsonl", chat) == ""
    assert "What?\n\n*(with a picture)*" in exported(desk, "markdown", chat)
    assert chat["title"] == "What?"


@pytest.mark.parametrize(("ids", "form", "status"), [
    ("chat-000000000000", "json", 404), ("", "pdf", 422)])
def test_refusals(desk, ids, form, status):
    answer = desk.client.get("/export", params={"format": form, "ids": ids})
    assert answer.status_code == status
