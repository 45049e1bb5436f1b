"""What vLLM serves without a key is shut; the rest goes through as it came."""

import asyncio
import importlib.util

import pytest

from trainer.engines.kinds import VLLM_SIDE

spec = importlib.util.spec_from_file_location("finestra_door", VLLM_SIDE / "finestra_door.py")
door = importlib.util.module_from_spec(spec)
spec.loader.exec_module(door)


def asked(kind, path):
    """Return what an app behind the door was asked, and what the door itself sent."""
    came, sent = [], []

    async def app(scope, receive, send):
        came.append(scope["path"])

    async def send(message):
        sent.append(message)

    asyncio.run(door.Door(app)({"type": kind, "path": path}, None, send))
    return came, sent


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/chat/completions"])
def test_what_the_key_guards_passes(path):
    assert asked("http", path) == ([path], [])


@pytest.mark.parametrize("path", ["/", "/metrics", "/invocations", "/adapters", "/v1", "/v10/x",
                                  "/health/x", "/inference/v1/generate", "//v1/models"])
def test_everything_else_is_not_there(path):
    came, sent = asked("http", path)
    assert came == [] and sent[0]["status"] == 404 and sent[-1]["body"] == b""


def test_websockets_are_shut_and_the_start_is_not():
    assert asked("websocket", "/realtime")[1] == [{"type": "websocket.close", "code": 1008}]
    assert asked("lifespan", "") == ([""], [])


def test_the_door_lies_alone():
    """Its folder is on vLLM's path: nothing else there may be taken for a package."""
    assert [p.name for p in VLLM_SIDE.iterdir() if p.name != "__pycache__"] == ["finestra_door.py"]
