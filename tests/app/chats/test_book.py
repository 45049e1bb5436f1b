"""Files of conversations: found, damaged, left behind by a process that died."""

import json
import os
import stat

import pytest

from app.chats.book import Book
from app.chats.rooms import Room
from app.home import Home
from app.recordfile import RecordError
from trainer.contract.conversation import Chat
from trainer.contract.identity import Identity


@pytest.fixture
def book(tmp_path):
    return Book(Home.open(tmp_path / "home"))


def saved(book, **values):
    chat = Chat(id=book.new_id(), lanes=["starter"], **values)
    book.save(chat.id, chat.model_dump_json().encode())
    return chat


def unfinished(book, writer=None):
    chat = Chat(id=book.new_id(), lanes=["starter"], writer=writer)
    turn = chat.add_turn(None, [{"role": "user", "content": "What?"}])
    turn.answers["starter"][0].state = "writing"
    book.save(chat.id, chat.model_dump_json().encode())
    book.save_growing(chat.id, {"a1": {"state": "writing", "content": "so far", "thinking": "hm",
                                       "tool_calls": []}})
    return chat


def answer(room):
    return room.chat.turns["t1"].answers["starter"][0]


def test_what_is_saved_is_read(book):
    chat = saved(book, title="One", system="Be brief.")
    assert book.load(chat.id) == chat
    assert stat.S_IMODE(book.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(book.path(chat.id).stat().st_mode) == 0o600


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"id": 3}', b'{"format": 2, "id": "x"}',
                                 b'{"id": "chat-0", "new_field": 1}'])
def test_a_damaged_file_is_told_and_left_as_it_is(book, raw):
    good, bad = saved(book, title="good"), saved(book)
    book.path(bad.id).write_bytes(raw)
    found, damaged = book.list()
    assert [one.id for one in found] == [good.id]
    assert [(one.id, bool(one.reason)) for one in damaged] == [(bad.id, True)]
    for work in (book.load, book.delete):
        with pytest.raises(RecordError) as error:
            work(bad.id)
        assert error.value.code == "damaged_chat"
    assert book.path(bad.id).read_bytes() == raw


@pytest.mark.parametrize("name", ["..", "chat-", "chat-00000000000Z", "chat-000000000000.x",
                                  "/etc"])
def test_what_is_no_id_is_no_path(book, name):
    with pytest.raises(RecordError) as error:
        book.load(name)
    assert error.value.code == "unknown_chat"


def test_lists_are_searched_and_follow_changes(book):
    chat = saved(book, title="Old")
    turned = Chat.model_validate(chat.model_dump())
    turned.add_turn(None, [{"role": "user", "content": "Where is Łódź, x " + "y" * 500}])
    assert [one.id for one in book.list("old")[0]] == [chat.id] and not book.list("łódź")[0]
    book.save(chat.id, turned.model_dump_json().encode())
    (found,) = book.list("łÓDŹ")[0]
    assert "Łódź" in found.document("łódź")["snippet"] and found.turns == 1
    assert len(found.document("")["snippet"]) <= 161


def test_what_a_dead_process_wrote_is_kept_as_stopped(book):
    dead = {**Identity.mine().document(), "start": 1}
    chat = unfinished(book, dead)
    room = Room(book, chat.id)
    assert answer(room).content == "so far" and answer(room).thinking == "hm"
    assert room.settle() and answer(room).state == "stopped" and room.chat.writer is None
    assert not room.settle()


def test_what_a_living_process_writes_is_left_to_it(book):
    parent = Identity.of(os.getppid())
    room = Room(book, unfinished(book, parent.document()).id)
    assert room.is_elsewhere and not room.settle() and answer(room).state == "writing"
    book.save_growing(room.chat.id, {"a1": {"content": "more"}})
    assert room.refresh() and answer(room).content == "more"


def test_an_answer_that_was_saved_is_not_overwritten_by_what_grew(book):
    chat = unfinished(book)
    chat.turns["t1"].answers["starter"][0].state = "done"
    chat.turns["t1"].answers["starter"][0].content = "whole"
    book.save(chat.id, chat.model_dump_json().encode())
    assert answer(Room(book, chat.id)).content == "whole"


def test_deleting_leaves_nothing(book):
    chat = unfinished(book)
    book.save_tokens(chat.id, "a1", {"prompt": [1]})
    assert json.loads(book.tokens(chat.id, "a1").read_text()) == {"prompt": [1]}
    book.delete(chat.id)
    assert list(book.folder.iterdir()) == []
