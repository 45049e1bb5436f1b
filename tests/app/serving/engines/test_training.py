"""F34: an engine gives way to training, and never in silence."""

import asyncio

import pytest

from app.devices import Device, DeviceProbe
from app.scheduler import pick_device
from app.serving.engines.leases import EngineProbe, Lease
from app.serving.engines.placing import choose_device
from app.serving.engines.training import needed
from tests.app.serving.engines.desk import GPU1, GPU2, HOST, ask, say
from trainer.engines.errors import EngineError


def refused(served, name):
    with pytest.raises(EngineError) as error:
        ask(served, name)
    return error.value


def test_the_gpu_with_most_free_memory_that_no_run_has():
    assert choose_device([HOST], {}, {}, ()) == "cpu"
    assert choose_device([GPU1, GPU2, HOST], {}, {}, ()) == "GPU-2"
    assert choose_device([GPU1, GPU2, HOST], {"GPU-2": "run"}, {}, ()) == "GPU-1"
    assert choose_device([GPU1, GPU2, HOST], {}, {"GPU-2": 1}, ()) == "GPU-1"
    assert choose_device([GPU1, GPU2, HOST], {}, {"GPU-1": 2, "GPU-2": 1}, ()) == "GPU-2"
    assert choose_device([GPU1, GPU2, HOST], {}, {}, {"GPU-2"}) == "GPU-1"
    lost = Device("GPU-3", "lost", 1, 10_000, problem="unavailable: the driver says: no")
    assert choose_device([GPU1, lost, HOST], {}, {}, ()) == "GPU-1"
    for claims, elsewhere, who in (({"GPU-1": "night"}, (), "night"), ({}, {"GPU-1"}, "process")):
        with pytest.raises(EngineError, match=who) as busy:
            choose_device([GPU1, HOST], claims, {}, elsewhere)
        assert busy.value.code == "device_busy"


def test_a_run_that_can_have_another_device_needs_no_engines():
    assert needed("GPU-1", {"a": "GPU-2", "b": "GPU-1"}, [GPU1, GPU2, HOST]) == "b"
    assert needed("GPU-1", {"a": "auto"}, [GPU1, GPU2, HOST]) == ""
    assert needed("GPU-1", {"a": "auto"}, [GPU1, HOST]) == "a"
    assert needed("GPU-1", {"a": "cpu"}, [GPU1, HOST]) == ""


def test_training_waits_for_a_gpu_whose_engine_answers(desk):
    lease = Lease(desk.home, "abc", {"device": "GPU-1", "label": "starter"})
    try:
        probe = EngineProbe(desk.home, DeviceProbe(lambda: [GPU1, GPU2]))
        assert pick_device("GPU-1", probe.list(), set()) == "GPU-1"
        lease.set_busy(True)
        (first, second, _) = probe.list()
        assert first.problem == "An engine is answering: starter" and not second.problem
        assert pick_device("GPU-1", probe.list(), set()) is None
        assert pick_device("auto", probe.list(), set()) == "GPU-2"
        lease.set_busy(False)
        assert pick_device("GPU-1", probe.list(), set()) == "GPU-1"
    finally:
        lease.end()


@pytest.mark.faults
def test_f34_an_idle_engine_goes_when_a_run_has_its_gpu(desk, serve):
    desk.machine = [GPU1, HOST]
    served = serve()
    assert ask(served, "one", "env CUDA_VISIBLE_DEVICES")["said"] == "GPU-1"
    desk.training("night", "GPU-1")
    served.tick()
    assert served.status()[0]["state"] == "ended"
    error = refused(served, "one")
    assert error.code == "device_busy" and "night" in str(error)


@pytest.mark.faults
@pytest.mark.parametrize("waits", [True, False])
def test_f34_a_busy_engine_is_asked_about(desk, serve, waits):
    desk.machine = [GPU1, HOST]
    served = serve()

    async def train_meanwhile():
        async with served.using("one") as route:
            if waits:
                desk.queue["night"] = "auto"
            else:
                desk.training("night", "GPU-1")
            await asyncio.to_thread(served.tick)
            (conflict,) = served.conflicts()
            with pytest.raises(EngineError, match="night") as busy:
                async with served.using("two"):
                    pass
            return conflict, busy.value.code, await say(route, "to its end")

    conflict, code, answer = asyncio.run(train_meanwhile())
    assert answer["said"] == "to its end" and code == "device_busy"
    assert (conflict.run, conflict.device, conflict.waits) == ("night", "GPU-1", waits)
    assert "night" in conflict.message and "unload the engine" in conflict.message
    served.tick()
    assert served.conflicts() == () and served.status()[0]["state"] == "ended"


@pytest.mark.faults
def test_f34_a_busy_engine_is_ended_where_that_was_chosen(desk, serve):
    desk.machine = [GPU1, HOST]
    served = serve(on_training="evict")

    async def train_meanwhile():
        async with served.using("one") as route:
            desk.training("night", "GPU-1")
            await asyncio.to_thread(served.tick)
            await say(route, "hello")

    with pytest.raises(EngineError, match="The run night needs the device") as error:
        asyncio.run(train_meanwhile())
    assert error.value.code == "device_busy"
    assert served.status()[0]["state"] == "ended" and served.conflicts() == ()


@pytest.mark.faults
def test_two_gpus_hold_two_engines(desk, serve):
    desk.machine = [GPU1, GPU2, HOST]
    desk.add("third", desk.base("other", 7))
    served = serve()
    assert ask(served, "one", "env CUDA_VISIBLE_DEVICES")["said"] == "GPU-2"
    assert ask(served, "third", "env CUDA_VISIBLE_DEVICES")["said"] == "GPU-1"
    assert [engine["state"] for engine in served.status()] == ["ready", "ready"]
