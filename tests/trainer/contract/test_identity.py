import os
import signal
import subprocess
import sys

import pytest

from tests.app.conftest import wait_for
from trainer.contract.identity import Identity, boot_id, find_by_environ, read_stat, sweep

NAP = [sys.executable, "-c", "import time; time.sleep(300)"]


@pytest.fixture
def nap():
    child = subprocess.Popen(NAP)
    yield child
    child.kill()
    child.wait()


def test_a_process_is_known_by_pid_start_and_boot(nap):
    identity = Identity.of(nap.pid)
    assert identity.alive() and identity.boot == boot_id()
    assert Identity.read(identity.document()) == identity
    assert not Identity(identity.pid, identity.start + 1, identity.boot).alive()
    assert not Identity(identity.pid, identity.start, "another-boot").alive()


@pytest.mark.parametrize("value", [None, {}, [], {"pid": "1"}, {"pid": 0, "start": 1, "boot": "b"}])
def test_what_is_no_identity(value):
    assert Identity.read(value) is None


def test_a_zombie_is_dead(nap):
    identity = Identity.of(nap.pid)
    nap.send_signal(signal.SIGKILL)
    wait_for(lambda: read_stat(nap.pid).state == "Z")
    assert not identity.alive()


@pytest.mark.faults
def test_f6_no_signal_reaches_a_stranger(nap):
    mine = Identity.of(nap.pid)
    for stranger in (Identity(mine.pid, mine.start - 1, mine.boot),
                     Identity(mine.pid, mine.start, "an-earlier-boot")):
        assert stranger.signal(signal.SIGKILL) is False
    assert mine.alive() and nap.poll() is None
    assert mine.signal(signal.SIGTERM) is True
    assert nap.wait(timeout=10) == -signal.SIGTERM
    assert mine.signal(signal.SIGTERM) is False


def test_processes_are_found_by_their_environment():
    mark = {"FINESTRA_RUN_ID": f"find-{os.getpid()}", "FINESTRA_HOME": "/x"}
    child = subprocess.Popen(NAP, env={**os.environ, **mark})
    try:
        wait_for(lambda: find_by_environ(mark) == [Identity.of(child.pid)])
        assert find_by_environ({**mark, "FINESTRA_HOME": "/y"}) == []
    finally:
        child.kill()
        child.wait()


@pytest.mark.faults
def test_sweep_kills_those_that_left_the_session_and_no_others(nap):
    mark = {"FINESTRA_RUN_ID": f"sweep-{os.getpid()}"}
    code = ("import subprocess, sys, time\n"
            f"for new in (False, True): subprocess.Popen({NAP!r}, start_new_session=new)\n"
            "time.sleep(300)")
    leader = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **mark},
                              start_new_session=True)
    wait_for(lambda: len(find_by_environ(mark)) == 3)
    killed = sweep(mark, Identity.of(leader.pid))
    assert killed == 3 and find_by_environ(mark) == []
    assert leader.wait() == -signal.SIGKILL and nap.poll() is None
