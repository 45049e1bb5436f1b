import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import pytest

from app.lock import LockError, ServerLock

HOLD = ("import sys\nfrom pathlib import Path\nfrom app.lock import ServerLock\n"
        "with ServerLock(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()")


def hold_elsewhere(path):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    return child


@pytest.mark.faults
def test_f7_the_second_server_learns_who_the_first_is_and_takes_over_when_it_dies(tmp_path):
    path = tmp_path / "server.lock"
    first = hold_elsewhere(path)
    with pytest.raises(LockError) as refused, ServerLock(path):
        pass
    assert refused.value.code == "server_running"
    assert f"pid {first.pid} on {socket.gethostname()}" in str(refused.value)
    first.kill()
    first.wait()
    first.stdin.close()
    first.stdout.close()
    with ServerLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_the_lock_is_let_go(tmp_path):
    for _ in range(2):
        with ServerLock(tmp_path / "server.lock"):
            pass


def test_whoever_asks_for_the_holder_takes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "server.lock"
    lock = ServerLock(path)
    assert lock.holder() == "" and not path.exists()
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", lambda *_: pytest.fail("taken"))
        path.write_text("{")
        assert lock.holder() == ""
    first = hold_elsewhere(path)
    assert lock.holder() == f"pid {first.pid} on {socket.gethostname()}"
    first.kill()
    first.communicate()
    assert lock.holder() == ""
    with ServerLock(path):
        assert f"pid {os.getpid()} " in lock.holder()
    assert lock.holder() == ""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_f8_a_file_system_without_locks_is_refused(tmp_path, monkeypatch, number):
    def refuse(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(LockError) as refused, ServerLock(tmp_path / "server.lock"):
        pass
    assert refused.value.code == "no_locking" and "local disk" in str(refused.value)
