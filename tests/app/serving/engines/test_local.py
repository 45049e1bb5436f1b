import asyncio
import stat
import time
from pathlib import Path

import httpx
import pytest

from app.serving.engines.leases import folder_of, known
from app.serving.route import Backend
from tests.app.serving.engines.desk import ask, say
from trainer.contract.identity import find_by_environ
from trainer.engines.errors import EngineError
from trainer.engines.sockets import MARK, listening

pytestmark = pytest.mark.faults


def wait_for(condition, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def refused(served, name, **options):
    with pytest.raises(EngineError) as error:
        ask(served, name, **options)
    return error.value


def processes(desk):
    return find_by_environ({"FINESTRA_HOME": str(desk.home.root)})


def test_runs_on_one_base_share_an_engine(desk, serve):
    served: Backend = serve()
    one, two, base = (ask(served, name) for name in ("one", "two", str(desk.base())))
    assert [answer["model"] for answer in (one, two, base)] == ["one", "two", "base"]
    assert one["pid"] == two["pid"] == base["pid"]
    (engine,) = served.status()
    assert engine["adapters"] == ["one", "two"] and engine["state"] == "ready"
    assert engine["answering"] == 0 and engine["why"] == "it serves every method"
    assert ask(served, "one", "calls")["said"] == "load two"


def test_a_request_of_many_starts_one_engine(serve):
    served = serve()

    async def many():
        async def one(name):
            async with served.using(name) as route:
                return (await say(route, "hello"))["pid"]

        return await asyncio.gather(*(one(name) for name in ("one", "two") * 8))

    assert len(set(asyncio.run(many()))) == 1
    assert len(served.status()) == 1 and served.status()[0]["answering"] == 0


def test_it_listens_on_loopback_only_asks_for_a_key_and_leaves_no_secret(desk, serve):
    served = serve()
    ask(served, "one")
    (engine,) = served.status()
    (port,) = listening(engine["id"])
    assert port[0] is True

    async def without_key():
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{port[1]}/v1/models")).status_code

    assert asyncio.run(without_key()) == 401
    assert "key" not in str(engine).lower()
    for path in folder_of(desk.home).iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.suffix == ".port", path
    key = (folder_of(desk.home) / f"{engine['id']}.key").read_text()
    for process in find_by_environ({MARK: engine["id"]}):
        assert key not in Path(f"/proc/{process.pid}/cmdline").read_text()


def test_a_port_beyond_this_machine_is_told(serve, monkeypatch, caplog):
    monkeypatch.setattr("app.serving.engines.engine.listening",
                        lambda engine_id: [(True, 1), (False, 4711)])
    served = serve()
    ask(served, "one")
    assert served.status()[0]["exposed_ports"] == [4711]
    assert "beyond this machine on port 4711" in caplog.text


def test_secrets_of_the_studio_do_not_reach_an_engine(serve, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "x" * 20)
    served = serve()
    assert ask(served, "one", "env HF_TOKEN")["said"] == ""
    assert ask(served, "one", "env HF_HUB_OFFLINE")["said"] == "1"
    assert ask(served, "one", "env CUDA_VISIBLE_DEVICES")["said"] == ""


def test_close_ends_everything_and_leaves_the_log(desk, serve):
    served = serve()
    ask(served, "one")
    served.close()
    assert processes(desk) == [] and list(known(desk.home)) == []
    assert {path.suffix for path in folder_of(desk.home).iterdir()} == {".log"}
    assert refused(served, "one").code == "closing"


def test_an_idle_engine_is_let_go_and_never_while_it_answers(desk, serve):
    now = [0.0]
    served = serve(clock=lambda: now[0], idle_s=300)

    async def hold():
        async with served.using("one") as route:
            now[0] += 1000
            await asyncio.to_thread(served.tick)
            return await say(route, "still here")

    assert asyncio.run(hold())["said"] == "still here"
    now[0] += 299
    served.tick()
    assert served.status()[0]["state"] == "ready"
    now[0] += 2
    served.tick()
    assert served.status()[0]["state"] == "ended" and processes(desk) == []
    assert ask(served, "one")["said"] == "hello"


def test_another_base_takes_the_place_of_an_idle_engine(desk, serve):
    served = serve()
    other = desk.base("other", 7)
    desk.add("third", other)
    first = ask(served, "one")["pid"]
    assert ask(served, "third")["pid"] != first
    assert [engine["state"] for engine in served.status()] == ["ready", "ended"]
    assert [engine["model"] for engine in served.status()] == ["other", "base"]


def test_another_base_waits_for_an_engine_that_answers(desk, serve):
    served = serve()
    desk.add("third", desk.base("other", 7))

    async def both():
        async with served.using("one") as route:
            later = asyncio.create_task(asyncio.to_thread(ask, served, "third"))
            await asyncio.sleep(0.05)
            assert (await say(route, "hello"))["said"] == "hello" and not later.done()
        return await later

    assert asyncio.run(both())["model"] == "third"


def test_who_waits_too_long_is_told_who_answers(desk, serve):
    served = serve(wait_s=0.1)
    desk.add("third", desk.base("other", 7))

    async def both():
        async with served.using("one"), served.using("third"):
            pass

    with pytest.raises(EngineError, match="'base' is answering") as error:
        asyncio.run(both())
    assert error.value.code == "device_busy"
    assert served.status()[0]["answering"] == 0


def test_a_client_that_leaves_while_it_loads_holds_nothing(serve):
    served = serve()

    async def leave():
        task = asyncio.create_task(anext(served.using("one").gen))
        while not served.status():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    wait_for(lambda: served.status()[0]["answering"] == 0)
    assert ask(served, "one")["said"] == "hello"
    assert len(served.status()) == 1


def test_unload_asks_before_it_ends_an_answer(desk, serve):
    served = serve()

    async def unload():
        async with served.using("one") as route:
            (engine,) = served.status()
            with pytest.raises(EngineError) as busy:
                await asyncio.to_thread(served.unload, engine["id"])
            assert busy.value.code == "engine_busy"
            await asyncio.to_thread(lambda: served.unload(engine["id"], force=True))
            await say(route, "hello")

    with pytest.raises(EngineError, match="unloaded while it answered") as ended:
        asyncio.run(unload())
    assert ended.value.code == "engine_ended"
    with pytest.raises(EngineError) as none:
        served.unload("nobody")
    assert none.value.code == "unknown_engine"


def test_restart_starts_the_same_model_anew(serve):
    served = serve()
    before = ask(served, "two")["pid"]
    old = served.status()[0]["id"]
    new = served.restart(old)
    assert new != old
    after = ask(served, "two")
    assert after["pid"] != before and after["model"] == "two"
    assert served.status()[0]["id"] == new


def test_few_adapters_are_kept_and_a_changed_one_is_loaded_again(desk, serve):
    served = serve(adapters=2)
    base = desk.base()
    desk.add("three", base)
    for name in ("one", "two", "one", "three"):
        assert ask(served, name)["model"] == name
    assert served.status()[0]["adapters"] == ["one", "three"]
    assert ask(served, "three", "calls")["said"] == "load two unload two load three"
    folder = desk.home.runs / "three" / "adapter" / "adapter_model.safetensors"
    folder.write_bytes(folder.read_bytes())
    served._targets.clear()
    assert ask(served, "three", "calls")["said"].endswith("unload three load three")


def test_an_adapter_that_does_not_fit_leaves_the_engine(desk, serve):
    served = serve()
    desk.add("broken", desk.base())
    ask(served, "one")
    error = refused(served, "broken")
    assert error.code == "adapter_refused" and "does not fit" in str(error)
    assert ask(served, "two")["model"] == "two" and len(served.status()) == 1


def test_names_that_cannot_answer_say_why(desk, serve):
    served = serve()
    desk.add("judge", desk.base(), config={"objective": "reward", "data": {"train": ["x"]}})
    assert refused(served, "nobody").code == "unknown_model"
    assert refused(served, "judge").code == "gives_scores"
    assert refused(served, "one", engine="magic").code == "unknown_engine"
    assert served.status() == []
