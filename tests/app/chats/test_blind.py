"""Lanes without names: nothing that is sent tells them before a vote."""

import json

from tests.app.chats.conftest import LANE, OTHER, Watch, shown


def begin(desk, **more):
    return desk.new(LANE, OTHER, blind=True, **more)


def test_no_name_is_told_before_a_vote(desk, engine):
    chat = begin(desk)
    assert chat["hidden"] and chat["lanes"] == ["A", "B"]
    with Watch(desk, chat["id"]) as watch:
        chat = desk.ask(chat, "break")
        watch.until(lambda: watch.chat["leaf"] and not watch.active)
        seen = json.dumps([watch.events, chat, desk.get(chat),
                           desk.client.get("", params={"search": "break"}).json(),
                           desk.client.get("/export", params={"ids": chat["id"],
                                                              "format": "json"}).text])
    assert LANE not in seen and OTHER not in seen
    assert list(chat["turns"]["t1"]["answers"]) == ["A", "B"]
    assert {one["error"]["code"] for one in watch.answers()} == {"cuda_oom"}


def test_a_vote_reveals(desk, engine):
    chat = desk.ask(begin(desk), "model")
    said = {letter: shown(chat, lane=letter)["content"] for letter in "AB"}
    assert set(said.values()) == {"I am one", "I am two"}
    chat = desk.post(chat, "/turns/t1/vote", winner="B")
    winner = {"I am one": LANE, "I am two": OTHER}[said["B"]]
    assert chat["turns"]["t1"]["vote"]["winner"] == winner and chat["turns"]["t1"]["vote"]["blind"]
    assert chat["lanes"] == [LANE, OTHER] and not chat["hidden"]
    assert [chat["lanes"][at] for at in chat["order"]][1] == winner
    assert shown(chat, lane=winner)["content"] == said["B"]


def test_letters_name_lanes_while_they_are_hidden(desk, engine):
    chat = desk.say(begin(desk), "slow")
    chat = desk.post(chat, "/stop", lane="A")
    desk.refused(desk.client.post(f"/{chat['id']}/stop", json={"lane": LANE}), 422,
                 "unknown_lane")
    engine.gate.set()
    chat = desk.ended(chat)
    assert [shown(chat, lane=one)["state"] for one in "AB"] == ["stopped", "done"]
    desk.post(chat, "/turns/t1/answers", lane="A")
    chat = desk.ended(chat)
    assert len(chat["turns"]["t1"]["answers"]["A"]) == 2
    chat = desk.patch(chat, shown={"turn": "t1", "lane": "A", "answer": chat["turns"]["t1"][
        "answers"]["A"][0]["id"]})
    assert shown(chat, lane="A")["state"] == "stopped"


def test_what_would_tell_the_names_is_refused(desk, engine):
    chat = desk.ask(begin(desk), "talk")
    address = f"/{chat['id']}/turns/t1/answers/a1/prompt"
    desk.refused(desk.client.get(address), 409, "names_hidden")
    desk.refused(desk.client.patch(f"/{chat['id']}", json={"lanes": [LANE]}), 409, "not_blind")
    open_chat = desk.ask(desk.new(LANE, OTHER), "talk")
    desk.refused(desk.client.patch(f"/{open_chat['id']}", json={"blind": True}), 409, "not_blind")
    desk.refused(desk.client.post("", json={"lanes": [LANE], "blind": True}), 422, "blind_alone")


def test_a_vote_needs_two_ended_answers(desk, engine):
    alone = desk.ask(desk.new(), "talk")
    desk.refused(desk.client.post(f"/{alone['id']}/turns/t1/vote", json={"winner": LANE}), 422,
                 "no_vote")
    chat = desk.say(desk.new(LANE, OTHER), "slow")
    vote = f"/{chat['id']}/turns/t1/vote"
    desk.refused(desk.client.post(vote, json={"winner": "tie"}), 409, "still_writing")
    desk.post(chat, "/stop")
    desk.refused(desk.client.post(vote, json={"winner": "C"}), 422, "unknown_lane")
    chat = desk.post(chat, "/turns/t1/vote", winner="neither")
    assert chat["turns"]["t1"]["vote"]["winner"] == "neither"
    assert not chat["turns"]["t1"]["vote"]["blind"]


def test_the_order_is_drawn(desk):
    chats = [begin(desk) for _ in range(24)]
    book = desk.studio.home.root / "chats"
    drawn = {tuple(json.loads((book / f"{one['id']}.json").read_text())["order"])
             for one in chats}
    assert drawn == {(0, 1), (1, 0)}
