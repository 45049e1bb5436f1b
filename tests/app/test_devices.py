import threading
from dataclasses import replace

from app.devices import CPU, Device, DeviceError, DeviceProbe, visible
from app.scheduler import pick_device

A = Device("GPU-aaaa", "Big", 80_000, 70_000)
B = Device("GPU-bbbb", "Small", 24_000, 20_000)
HOST = Device(CPU, "CPU")


def probe(ask):
    return DeviceProbe(ask, timeout_s=0.05, fresh_s=-1)


def test_the_cpu_is_always_there_with_its_memory():
    (cpu,) = probe(list).list()
    assert cpu.key == CPU and cpu.kind == "cpu" and 0 < cpu.free_mib <= cpu.total_mib


def test_f25_a_broken_or_hanging_driver_is_shown_not_suffered(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    release, answer = threading.Event(), [lambda: [A]]
    found = probe(lambda: answer[0]())
    assert found.list()[0] == A

    def broken():
        raise DeviceError("GPU is lost")

    answer[0] = broken
    assert "GPU is lost" in found.list()[0].problem and len(found.list()) == 2
    answer[0] = lambda: release.wait(20) and [A]
    assert "does not answer" in found.list()[0].problem
    threads = threading.active_count()
    found.list()
    assert threading.active_count() == threads
    release.set()


def test_a_fresh_answer_is_not_asked_for_twice():
    asked = []
    found = DeviceProbe(lambda: asked.append(1) or [], fresh_s=60)
    found.list()
    found.list()
    assert asked == [1]


def test_what_cuda_visible_devices_leaves():
    assert visible([A, B], None) == [A, B]
    assert visible([A, B], "") == [] and visible([A, B], "-1") == []
    assert visible([A, B], "1") == [B] and visible([A, B], "GPU-a") == [A]


def test_which_device_a_run_gets():
    assert pick_device("auto", [HOST], set()) == CPU
    assert pick_device("auto", [HOST], {CPU}) is None
    assert pick_device("auto", [B, A, HOST], set()) == A.key
    assert pick_device("auto", [B, A, HOST], {A.key}) == B.key
    assert pick_device("auto", [B, A, HOST], {A.key, B.key}) is None
    assert pick_device("cpu", [A, HOST], set()) == CPU
    assert pick_device(B.key, [A, B, HOST], {B.key}) is None
    assert pick_device("GPU-gone", [A, HOST], set()) is None
    lost = replace(A, problem="unavailable")
    assert pick_device(A.key, [lost, HOST], set()) is None
    assert pick_device("auto", [lost, HOST], set()) is None
