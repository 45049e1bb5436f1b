"""The files of app/chats know only those before them; a slow listener loses nothing."""

import asyncio
import re

import app.chats
from app.chats.rooms import Watcher
from tests.source_tree import imports, modules, within
from trainer.contract.conversation import Chat


def test_each_file_knows_only_those_before_it():
    order = re.findall(r"``(\w+)``", app.chats.__doc__)
    files = {m.path.rpartition("/")[2].removesuffix(".py"): m for m in modules("app/chats")}
    assert set(order) == set(files) - {"__init__"}
    wrong = [(name, found) for at, name in enumerate(order) for found, _ in imports(files[name])
             if within(found, *(f"app.chats.{later}" for later in order[at:]))]
    assert wrong == []


def test_pieces_are_joined_until_they_are_taken():
    async def told():
        watcher, chat = Watcher(), Chat(id="chat-000000000000")
        assert [event for event, _ in watcher.take(chat)] == ["chat"]
        assert not await watcher.wait(0)
        for text in ("a", "b"):
            watcher.add({"answer": "a1", "lane": "x", "content": text})
        watcher.add({"answer": "a2", "lane": "y", "thinking": "c", "state": "writing"})
        assert await watcher.wait(0)
        assert watcher.take(chat) == [
            ("delta", {"answer": "a1", "lane": "x", "content": "ab"}),
            ("delta", {"answer": "a2", "lane": "y", "thinking": "c", "state": "writing"})]
        watcher.add({"answer": "a1", "lane": "x", "content": "d"})
        watcher.add(None)
        watcher.add({"answer": "a1", "lane": "x", "content": "e"})
        # The whole has the later piece as well: it is written when it is taken.
        assert [event for event, _ in watcher.take(chat)] == ["chat"]

    asyncio.run(told())
