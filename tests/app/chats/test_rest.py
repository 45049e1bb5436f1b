"""Conversations as a page sees them."""

import json
import re
import stat

import pytest

from app.api.chats import router
from tests.app.chats.conftest import LANE, OTHER, Watch, shown
from tests.app.chats.talker import CALL, TEXT, WORDS
from tests.source_tree import ROOT


def test_every_route_is_documented():
    text = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    served = {(method, route.path) for route in router.routes for method in route.methods}
    assert set(re.findall(r"^\| ([A-Z]+) (/\S*) \|", text, re.M)) == served


def test_an_answer_is_written_and_kept(desk, engine):
    chat = desk.new(system="Be brief.", settings={"temperature": 0.5, "top_k": 3})
    assert chat["lanes"] == [LANE] and chat["leaf"] is None and not chat["hidden"]
    chat = desk.ask(chat, "talk")
    answer = shown(chat)
    assert (answer["state"], answer["content"], answer["finish_reason"]) == ("done", TEXT, "stop")
    stats = answer["stats"]
    assert (stats["prompt_tokens"], stats["completion_tokens"]) == (3, 5)
    assert 0 < stats["first_token_s"] <= stats["total_s"] and stats["tokens_per_s"] > 0
    assert chat["title"] == "talk" and answer["settings"] == {"temperature": 0.5, "top_k": 3}
    _, body = engine.asked[0]
    assert body["messages"] == [{"role": "system", "content": "Be brief."},
                                {"role": "user", "content": "talk"}]
    assert body["model"] == "one" and body["top_k"] == 3 and "top_p" not in body
    path = desk.studio.home.root / "chats" / f"{chat['id']}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["turns"]["t1"]["answers"][LANE][0]["content"] == TEXT
    assert not path.with_suffix(".writing.json").exists()


def test_several_may_watch_and_hear_the_same(desk, engine):
    chat = desk.say(desk.new(), "slow")
    assert engine.begun.wait(20)
    with Watch(desk, chat["id"]) as first, Watch(desk, chat["id"]) as second:
        engine.gate.set()
        for watch in (first, second):
            watch.until(lambda watch=watch: not watch.active)
            (answer,) = watch.answers()
            assert answer["content"] == "begun and done" and answer["state"] == "done"
            assert answer["stats"]["completion_tokens"] == 5
            assert {event for event, _ in watch.events} == {"chat", "delta"}
    assert desk.get(chat) == first.chat | {"updated_at": desk.get(chat)["updated_at"]}


def test_a_whole_answer_comes_in_pieces(desk, engine):
    chat = desk.new()
    with Watch(desk, chat["id"]) as watch:
        desk.say(chat, "talk")
        watch.until(lambda: watch.chat["leaf"] and not watch.active)
        assert watch.answers()[0]["content"] == TEXT
    assert len(WORDS) == 5


def test_stop_keeps_the_text(desk, engine):
    chat = desk.say(desk.new(), "slow")
    assert engine.begun.wait(20)
    chat = desk.post(chat, "/stop")
    answer = shown(chat)
    assert (answer["state"], answer["content"]) == ("stopped", "begun")
    assert desk.get(chat) == chat
    assert desk.ask(chat, "echo")["turns"]["t2"]["after"] == {LANE: "a1"}
    assert engine.asked[-1][1]["messages"][1] == {"role": "assistant", "content": "begun"}


def test_one_lane_is_stopped_and_the_other_goes_on(desk, engine):
    chat = desk.say(desk.new(LANE, OTHER), "slow")
    assert engine.begun.wait(20)
    desk.post(chat, "/stop", turn=chat["leaf"], lane=OTHER)
    engine.gate.set()
    chat = desk.ended(chat)
    assert shown(chat)["state"] == "done" and shown(chat, lane=OTHER)["state"] == "stopped"


def test_nobody_goes_on_while_an_answer_is_written(desk, engine):
    chat = desk.say(desk.new(), "slow")
    said = {"parent": "t1", "inputs": [{"role": "user", "content": "x"}]}
    desk.refused(desk.client.post(f"/{chat['id']}/turns", json=said), 409, "still_writing")
    desk.refused(desk.client.post(f"/{chat['id']}/turns/t1/answers", json={"lane": LANE}), 409,
                 "still_writing")
    desk.post(chat, "/stop")


def test_regenerating_and_editing_make_branches(desk, engine):
    chat = desk.ask(desk.new(), "talk")
    chat = desk.ask(chat, "echo")
    assert shown(chat)["content"] == "3"
    desk.post(chat, "/turns/t1/answers", lane=LANE)
    chat = desk.ended(chat)
    first, second = chat["turns"]["t1"]["answers"][LANE]
    assert (first["id"], second["id"]) == ("a1", "a3") and chat["turns"]["t1"]["shown"] == {
        LANE: "a3"}
    assert chat["turns"]["t2"]["after"] == {LANE: "a1"} and chat["leaf"] == "t2"
    chat = desk.ask(chat, "model", parent="t1")
    assert chat["leaf"] == "t3" and chat["turns"]["t3"]["after"] == {LANE: "a3"}
    chat = desk.ask(chat, "echo", parent=None)
    assert shown(chat)["content"] == "1" and len(chat["turns"]) == 4
    chat = desk.patch(chat, leaf="t2", shown={"turn": "t1", "lane": LANE, "answer": "a1"})
    assert chat["leaf"] == "t2" and chat["turns"]["t1"]["shown"] == {LANE: "a1"}


@pytest.mark.parametrize(("word", "thinking", "content"), [
    ("think", "hm hm", "It is."), ("turn", "I wonder", "So."),
    ("reason", "apart", "<think> is a tag")])
def test_thinking_is_told_apart(desk, word, thinking, content):
    chat = desk.new()
    with Watch(desk, chat["id"]) as watch:
        desk.say(chat, word)
        watch.until(lambda: watch.chat["leaf"] and not watch.active)
        (seen,) = watch.answers()
    kept = shown(desk.get(chat))
    assert (kept["thinking"], kept["content"]) == (thinking, content)
    assert (seen["thinking"], seen["content"]) == (thinking, content)


def test_tools_are_called_and_answered(desk, engine):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    chat = desk.ask(desk.new(LANE, OTHER, tools=tools), "tools")
    assert engine.asked[0][1]["tools"] == tools
    answer = shown(chat)
    assert answer["tool_calls"] == [CALL] and answer["finish_reason"] == "tool_calls"
    told = [{"role": "tool", "tool_call_id": "call_7", "content": "rain"}]
    wrong = {"parent": "t1", "lane": LANE, "inputs": [{**told[0], "tool_call_id": "other"}]}
    desk.refused(desk.client.post(f"/{chat['id']}/turns", json=wrong), 422, "tool_answers")
    chat = desk.ended(desk.post(chat, "/turns", parent="t1", lane=LANE, inputs=told))
    assert list(chat["turns"]["t2"]["answers"]) == [LANE]
    assert engine.asked[-1][1]["messages"] == [
        {"role": "user", "content": "tools"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]}, *told]
    chat = desk.ended(desk.post(chat, "/turns", parent="t2", lane=OTHER, inputs=told))
    desk.ask(chat, "echo")
    both = {body["model"]: body["messages"] for _, body in engine.asked[-2:]}
    assert both["one"] == both["two"] and [one["role"] for one in both["one"]] == [
        "user", "assistant", "tool", "assistant", "user"]


def test_a_lane_that_comes_later_takes_over_what_was_said(desk, engine):
    chat = desk.ask(desk.new(), "talk")
    chat = desk.patch(chat, lanes=[LANE, OTHER])
    chat = desk.ask(chat, "model")
    assert shown(chat, lane=OTHER)["content"] == "I am two"
    asked = next(body for _, body in engine.asked if body["model"] == "two")
    assert [one["content"] for one in asked["messages"]] == ["talk", TEXT, "model"]


def test_what_an_engine_does_not_know_is_left_out(desk, engine):
    engine.refuses = ("return_token_ids", "stream_options")
    strict = "strict/one"
    assert shown(desk.ask(desk.new(strict), "talk"), lane=strict)["content"] == TEXT
    asked = [sorted({"return_token_ids", "stream_options"} & set(body))
             for _, body in engine.asked]
    assert asked[-1] == [] and len(asked) <= 3


def test_an_answer_goes_on_with_what_was_begun(desk, engine):
    chat = desk.ask(desk.new(), "talk")
    desk.post(chat, "/turns/t1/answers", lane=LANE, prefix="It")
    chat = desk.ended(chat)
    _, body = engine.asked[-1]
    assert body["messages"][-1] == {"role": "assistant", "content": "It"}
    assert body["continue_final_message"] and body["add_generation_prompt"] is False
    assert shown(chat)["content"].startswith("It")


def test_where_an_engine_cannot_go_on_the_tokens_are_continued(desk, engine):
    engine.refuses = ("continue_final_message",)
    chat = desk.ask(desk.new(settings={"temperature": 0.5}), "talk")
    desk.post(chat, "/turns/t1/answers", lane=LANE, prefix="It")
    answer = shown(desk.ended(chat))
    path, body = engine.asked[-1]
    assert path == "/v1/completions" and body["temperature"] == 0.5
    # The prompt's tokens, then the text's, whose first token the prompt has already.
    assert body["prompt"] == [0, 1, 2, 8, 9]
    assert (answer["content"], answer["state"]) == ("It more", "done")


@pytest.mark.parametrize(("word", "code", "content"), [
    ("die", "engine_died", "I was"), ("break", "cuda_oom", "I was"),
    ("long", "context_length_exceeded", "")])
def test_what_fails_says_why_and_keeps_the_text(desk, engine, word, code, content):
    chat = desk.ask(desk.new(), word)
    answer = shown(chat)
    assert (answer["state"], answer["content"]) == ("failed", content)
    assert answer["error"]["code"] == code and answer["error"]["message"]
    desk.refused(desk.client.post(f"/{chat['id']}/turns/t9/answers", json={"lane": LANE}), 404,
                 "unknown_turn")
    desk.post(chat, "/turns/t1/answers", lane=LANE)
    assert len(desk.ended(chat)["turns"]["t1"]["answers"][LANE]) == 2


def test_models_that_are_not_there_are_told(desk):
    chat = desk.ask(desk.new("no-such", "gone/m"), "talk")
    assert shown(chat, lane="no-such")["error"]["code"] == "unknown_model"
    assert shown(chat, lane="gone/m")["error"]["code"] == "engine_died"
    nothing = desk.ask(chat, "talk")
    assert shown(nothing, lane="no-such")["error"]["code"] == "no_answer"


@pytest.mark.parametrize(("inputs", "code"), [
    ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}],
     "url_not_allowed"),
    ([{"role": "user", "content": " "}], "empty_message"),
    ([{"role": "system", "content": "x"}], "invalid_turn"),
    ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "invalid_turn"),
])
def test_what_v1_refuses_is_refused(desk, engine, inputs, code):
    chat = desk.new()
    answer = desk.client.post(f"/{chat['id']}/turns", json={"parent": None, "inputs": inputs})
    desk.refused(answer, 422, code)
    assert engine.asked == [] and desk.get(chat)["turns"] == {}


def test_pictures_reach_the_engine(desk, engine):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What?"}, picture]
    chat = desk.new()
    desk.ended(desk.post(chat, "/turns", parent=None,
                         inputs=[{"role": "user", "content": content}]))
    assert engine.asked[0][1]["messages"][0]["content"] == content


def test_unknown_things(desk):
    desk.refused(desk.client.get("/chat-000000000000"), 404, "unknown_chat")
    for name in ("..", "chat-0", "..%5ckeys", "chat-00000000000g"):
        desk.refused(desk.client.get(f"/{name}x"), 404, "unknown_chat")
    desk.refused(desk.client.get("/chat-000000000000/events"), 404, "unknown_chat")
    chat = desk.new()
    desk.refused(desk.client.post(f"/{chat['id']}/stop", json={"lane": "none"}), 422,
                 "unknown_lane")
    answer = desk.client.patch(f"/{chat['id']}", json={"settings": {"temperature": -1}})
    assert answer.status_code == 422
    assert desk.client.patch(f"/{chat['id']}", json={"chat_template": "x"}).status_code == 422


def test_search_and_delete(desk):
    chat = desk.ask(desk.new(title="Kraken"), "talk")
    desk.new(title="Another")
    found = desk.ok(desk.client.get("", params={"search": "kRAken"}))["chats"]
    assert [(one["id"], one["turns"], one["lanes"]) for one in found] == [(chat["id"], 1, [LANE])]
    found = desk.ok(desk.client.get("", params={"search": "of five"}))["chats"]
    assert chat["id"] in {one["id"] for one in found} and "of five" in found[0]["snippet"]
    assert desk.client.delete(f"/{chat['id']}").status_code == 204
    desk.refused(desk.client.get(f"/{chat['id']}"), 404, "unknown_chat")
    assert not list((desk.studio.home.root / "chats").glob(f"{chat['id']}*"))


def test_a_deleted_conversation_ends_its_stream(desk, engine):
    chat = desk.say(desk.new(), "slow")
    assert engine.begun.wait(20)
    with Watch(desk, chat["id"]) as watch:
        assert desk.client.delete(f"/{chat['id']}").status_code == 204
        watch.until(lambda: watch.events[-1][0] == "gone")


def test_a_fork_has_the_way_to_a_turn(desk):
    chat = desk.ask(desk.ask(desk.ask(desk.new(), "talk"), "echo", parent=None), "model")
    copy = desk.post(chat, "/fork", turn="t3")
    assert copy["id"] != chat["id"] and list(copy["turns"]) == ["t1", "t2"]
    assert copy["leaf"] == "t2" and copy["turns"]["t2"]["after"] == {LANE: "a1"}
    assert shown(copy)["content"] == "I am one"
    assert shown(desk.ask(copy, "echo"))["content"] == "5"
    assert len(desk.get(chat)["turns"]) == 3


def test_presets(desk):
    names = [one["name"] for one in desk.ok(desk.client.get("/presets"))["presets"]]
    assert names[:4] == ["precise", "balanced", "creative", "same-every-time"]
    saved = desk.ok(desk.client.put("/presets/mine", json={"settings": {"top_p": 0.5}}))
    mine = saved["presets"][-1]
    assert mine["name"] == "mine" and mine["settings"]["top_p"] == 0.5
    desk.refused(desk.client.put("/presets/precise", json={"settings": {}}), 409,
                 "builtin_preset")
    assert desk.client.delete("/presets/mine").status_code == 204
    desk.refused(desk.client.delete("/presets/mine"), 404, "unknown_preset")


def test_the_prompt_of_an_answer(desk, engine):
    chat = desk.ask(desk.new(), "talk")
    found = desk.ok(desk.client.get(f"/{chat['id']}/turns/t1/answers/a1/prompt"))
    assert found["token_ids"] == [0, 1, 2] and found["answer_token_ids"] == [10, 11, 12, 13, 14]
    assert found["tokens"] is None and found["note_code"] == "no_tokenizer"
    count = len(engine.asked)
    copy = desk.post(chat, "/fork", turn="t1")
    found = desk.ok(desk.client.get(f"/{copy['id']}/turns/t1/answers/a1/prompt"))
    assert found["token_ids"] == [0, 1, 2] and found["note_code"] == "asked_now"
    assert len(engine.asked) == count + 1 and engine.asked[-1][1]["max_tokens"] == 1
