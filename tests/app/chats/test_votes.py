"""Votes that people gave on this server, as an evaluation reads them from its home."""

import json

from tests.app.chats.conftest import LANE, OTHER
from tests.app.chats.talker import TEXT
from trainer.contract.votes import read_votes


def voted(desk, chat, winner, turn="t1"):
    chat = desk.post(chat, f"/turns/{turn}/vote", winner=winner)
    return chat["turns"][turn]["vote"]["winner"]


def votes(desk, *models):
    return read_votes(desk.studio.home.root / "chats", models or (LANE, OTHER))


def test_blind_votes_are_read_newest_first(desk):
    before = votes(desk)
    first = desk.ask(desk.new(LANE, OTHER, blind=True, system="Be brief."), "model")
    winner = voted(desk, first, "A")
    neither = desk.ask(desk.new(LANE, OTHER, blind=True), "talk")
    voted(desk, neither, "neither")
    found = votes(desk)
    assert found.pairs[2:] == before.pairs
    assert [one.winner for one in found.pairs[:2]] == ["tie", winner]
    assert found.pairs[0].answers == {LANE: TEXT, OTHER: TEXT}
    assert found.pairs[1].messages == ({"role": "system", "content": "Be brief."},
                                       {"role": "user", "content": "model"})
    assert found.pairs[1].answers == {LANE: "I am one", OTHER: "I am two"}
    assert votes(desk, OTHER, LANE, "someone").pairs == found.pairs
    assert votes(desk, LANE, "someone").pairs == () == votes(desk, LANE).pairs


def test_what_cannot_be_used_is_counted(desk):
    before = votes(desk)
    seen = desk.ask(desk.new(LANE, OTHER), "model")
    voted(desk, seen, LANE)
    blind = desk.ask(desk.new(LANE, OTHER, blind=True), "model")
    voted(desk, blind, "tie")
    later = desk.ask(desk.get(blind), "talk")  # the names are known by now
    voted(desk, later, LANE, "t2")
    desk.ask(desk.new(LANE, OTHER, blind=True), "model")
    folder = desk.studio.home.root / "chats"
    damaged = folder / "chat-00000000000a.json"
    damaged.write_text('{"vote": {}, "id": 7}')
    (folder / "chat-not-one.json").write_text('{"vote": {}}')
    found = votes(desk)
    damaged.unlink()
    assert len(found.pairs) == len(before.pairs) + 1 and found.open == before.open + 2
    assert (found.apart, found.damaged) == (before.apart, 1)


def test_answers_to_different_questions_are_apart(desk):
    before = votes(desk)
    chat = desk.ask(desk.new(LANE, OTHER, blind=True), "model")
    chat = desk.ask(chat, "model")
    voted(desk, chat, "A", "t2")
    found = votes(desk)
    assert (found.apart, found.pairs) == (before.apart + 1, before.pairs)
    saved = json.loads((desk.studio.home.root / "chats" / f"{chat['id']}.json").read_text())
    assert saved["turns"]["t2"]["vote"]["blind"]
