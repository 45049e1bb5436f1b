"""Programs that a model could write: what they may do, and what really happens when they try."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.source_tree import ROOT
from trainer.sandbox import programs
from trainer.sandbox.inside.locks import missing
from trainer.sandbox.programs import Job, NoLock, NoTests, run

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
TESTS = "assert f(2) == 4\nassert f(3) == 9\n"
RIGHT = "def f(x): return x * x\n"


def ran(answer, tests=TESTS, prompt="Write f.", **more):
    return run(Job(prompt, textwrap.dedent(answer), tests, **more))


def held(before):
    """Run a program that does something before it defines the right function."""
    return ran(textwrap.dedent(before) + RIGHT)


def assert_refused(tries):
    """Run a program that tries each of these and passes when each was not permitted."""
    found = held(f"""
        import fcntl, multiprocessing, os, resource, socket, subprocess, time
        told = []
        for way in {list(tries)!r}:
            try:
                exec(way)
                told.append(way)
            except PermissionError:
                pass
            except BaseException as error:
                told.append(f"{{way}}: {{error!r}}")
        assert not told, told
        """)
    assert found.passed, found.why


@pytest.mark.parametrize("answer", [
    RIGHT, f"Here it is:\n\n```python\n{RIGHT}```\nIt squares.", f"```\n{RIGHT}",
    f"<think>```python\nno\n```</think>\n```py\n{RIGHT}```",
    f"```bash\npip install x\n```\n```python\n{RIGHT}```",
    f"```python\nprint(f(1))\n```\n```python\n{RIGHT}```",
    "import math, re, json, dataclasses, itertools\n" + RIGHT,
    "import threading\nt = threading.Thread(target=print)\nt.start(); t.join()\n" + RIGHT,
    "import contextlib, io, os\nwith contextlib.redirect_stdout(open(os.devnull, 'w')): print(1)\n"
    + RIGHT,
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
    "def f(x): return P(x * x).x",
    "if __name__ == '__main__':\n    print(f(input()))\n" + RIGHT])
def test_a_right_program_passes(answer):
    assert run(Job("Write f.", answer, TESTS)).passed


@pytest.mark.parametrize(("answer", "formed", "words"), [
    ("def f(x): return x", True, "AssertionError"),
    ("def f(x) return x", False, "line 1: SyntaxError"),
    ("It is x * x, of course.", False, "SyntaxError"), ("", True, "NameError"),
    ("def g(x): return x", True, "NameError"),
    ("def f(x):\n    return x / 0", True, "line 2: ZeroDivisionError"),
    ("def f(x): return f(x)", True, "RecursionError"), ("a\0b", False, "null bytes"),
    ("x = '\ud800'", False, "surrogates"), ("(" * 100_000, False, ""),
    ("x = " + "-" * 90_000 + "1", False, ""), ("import no_such_module", True, "no_such_module"),
    ("import ctypes\nctypes.string_at(0)", True, "SIGSEGV")])
def test_a_wrong_one_does_not_and_says_why(answer, formed, words):
    found = ran(answer)
    assert not found.passed and words in found.why
    assert found.formed is formed or not words


@pytest.mark.parametrize("before", [
    "import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n", "raise SystemExit\n", "quit()\n",
    "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "print('{\"ran\": true}', flush=True)\nimport os\nos._exit(0)\n",
    """
    import os
    for place in range(300):
        try: os.write(place, b'{"ran": true}\\n{"word": null}\\n')
        except OSError: pass
    os._exit(0)
    """])
def test_a_program_that_ends_before_its_tests_has_not_passed(before):
    assert not held(before).passed


@pytest.mark.parametrize("before", [
    "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None\n",
    "import sys\nsys.settrace(lambda *a: exit(0))\n",
    "AssertionError = None\nimport builtins\nbuiltins.AssertionError = ValueError\n",
    "import sys\nsys.excepthook = lambda *a: None\n"])
def test_what_a_program_exchanges_does_not_spare_it_the_tests(before):
    assert not ran(before + "def f(x): return 1").passed


def test_an_endless_loop_ends():
    found = ran("while True: pass", seconds=0.5)
    assert not found.passed and "processor time" in found.why


def test_an_endless_sleep_ends(monkeypatch):
    monkeypatch.setattr(programs, "START_S", 1.0)
    found = ran("import time\ntime.sleep(600)", seconds=0.5)
    assert not found.passed and "did not finish" in found.why


def test_there_are_no_other_processes():
    assert_refused(["os.fork()", "os.forkpty()", "subprocess.run(['true'])",
                    "multiprocessing.Process(target=print).start()",
                    "os.execv('/bin/true', ['true'])", "os.posix_spawn('/bin/true', ['t'], {})"])
    assert "not permitted" in held("import os\nwhile True: os.fork()\n").why


@pytest.mark.parametrize("before", ["x = 'a' * 2**30\n", "import mmap\nx = mmap.mmap(-1, 2**30)\n",
                                    "x = [bytearray(2**26) for _ in range(16)]\n"])
def test_a_gigabyte_is_too_much(before):
    found = held(before)
    assert not found.passed and ("MemoryError" in found.why or "allocate" in found.why)


def test_a_file_in_memory_is_no_way_around_the_limit():
    assert_refused(["os.memfd_create('x')"])


def test_a_hundred_megabytes_of_output_go_nowhere():
    assert held("import sys\nfor _ in range(100): print('x' * 10**6, file=sys.stderr)\n").passed
    assert held("for _ in range(100): print('x' * 10**6)\n").passed


def test_nothing_is_written_or_changed(tmp_path):
    kept, new = tmp_path / "kept", str(tmp_path / "new")
    kept.write_text("as it was", encoding="utf-8")
    before, old = kept.stat(), str(kept)
    assert_refused([
        f"open({new!r}, 'w')", "open('here', 'w')", f"os.mkdir({new!r})", f"os.chmod({old!r}, 0)",
        "open(os.path.expanduser('~/x'), 'w')", f"os.remove({old!r})", f"os.truncate({old!r}, 0)",
        f"os.utime({old!r}, (1, 1))", f"os.rename({old!r}, {new!r})", f"os.mkfifo({new!r})",
        f"os.symlink({old!r}, {new!r})", f"os.link({old!r}, {new!r})",
        f"os.open({old!r}, os.O_RDWR)", f"os.open({old!r}, os.O_RDONLY | os.O_TRUNC)",
        f"os.setxattr({old!r}, 'user.a', b'b')", f"os.chown({old!r}, 0, 0)",
        "open('/dev/shm/finestra', 'w')"])
    assert [p.name for p in tmp_path.iterdir()] == ["kept"] and kept.read_text() == "as it was"
    assert (kept.stat().st_mode, kept.stat().st_mtime) == (before.st_mode, before.st_mtime)


def test_nobodys_files_are_read(tmp_path):
    (tmp_path / "secret").write_text("hush", encoding="utf-8")
    folders = (tmp_path, os.path.expanduser("~"), "/proc/self", "/etc", "/root", "/tmp", ROOT)
    files = (tmp_path / "secret", "/etc/passwd", f"/proc/{os.getpid()}/environ",
             ROOT / "pyproject.toml")
    assert_refused([*(f"os.listdir({str(place)!r})" for place in folders),
                    *(f"open({str(place)!r}).read()" for place in files)])
    assert held("import os\nassert [] == os.listdir('.')\n").passed
    assert held("import os\nassert [] == os.listdir(os.path.expanduser('~'))\n").passed


def test_there_are_no_secrets_in_the_environment(monkeypatch):
    for name in ("HF_TOKEN", "FINESTRA_JUDGE_KEY", "MY_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hush-hush")
    assert held("import os\nassert 'hush-hush' not in os.environ.values()\n").passed


def test_nobody_can_be_called():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        assert_refused([f"socket.create_connection(('127.0.0.1', {port}))", "socket.socket()",
                        "socket.socket(socket.AF_UNIX)", "socket.socket(type=socket.SOCK_DGRAM)"])
        with pytest.raises(BlockingIOError):
            server.accept()


def test_other_processes_are_left_alone():
    me = os.getpid()
    assert_refused([
        f"os.kill({me}, 9)", "os.kill(os.getppid(), 9)", "os.kill(-1, 9)", "os.killpg(0, 9)",
        f"resource.prlimit({me}, resource.RLIMIT_CPU, (1, 1))", "os.pidfd_open(os.getppid())",
        f"fcntl.fcntl(0, fcntl.F_SETOWN, {me})", "os.setpriority(os.PRIO_USER, 0, 19)",
        "os.sched_setaffinity(os.getppid(), [0])", "socket.sethostname('x')"])


@pytest.mark.skipif(os.getuid() != 0, reason="only root has rights to lose")
def test_root_has_no_rights_left():
    assert_refused(["os.setuid(1)", "os.setgroups([1])", "time.clock_settime(0, 1)", "os.nice(-5)"])


def test_the_tests_may_be_functions():
    check = "METADATA = {}\ndef check(candidate):\n    assert candidate(3) == 9\n"
    prompt = 'import math\n\ndef f(x):\n    """Square."""\n'
    for given in (prompt, f"Complete this.\n```python\n{prompt}```"):
        assert ran("    return int(math.pow(x, 2))\n\nprint(1 / 0)", check, given).passed
        assert ran("def f(x):\n    return int(math.pow(x, 2))", check, given).passed
        assert not ran("    return x", check, given).passed
    assert ran(RIGHT, check).passed and ran(RIGHT, check + "check(f)").passed
    assert ran(RIGHT, "def test_two():\n    assert f(2) == 4").passed
    assert not ran(RIGHT, "def test_two():\n    assert f(2) == 5").passed


@pytest.mark.parametrize("tests", ["42", "assert", "def helper():\n    assert False", "\0",
                                   "print(1)", "class A:\n    pass"])
def test_what_asserts_nothing_is_no_test(tests):
    with pytest.raises(NoTests):
        ran(RIGHT, tests)


def test_without_a_lock_nothing_runs(monkeypatch, tmp_path):
    module = tmp_path / "no_lock.py"
    module.write_text("import trainer.sandbox.inside.program as program\n"
                      "program.lock_in = lambda *given: 'its kernel has no Landlock'\n"
                      "raise SystemExit(program.main())\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(programs, "MODULE", "no_lock")
    with pytest.raises(NoLock, match="no Landlock"):
        ran(RIGHT)


def test_no_folder_stays_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert held(f"import os\nassert os.getcwd().startswith({str(tmp_path)!r})\n").passed
    ran("while True: pass", seconds=0.1)
    assert not list(tmp_path.iterdir())


def test_a_program_ends_with_whoever_runs_it():
    """The evaluation is killed while a program runs for ever."""
    code = ("import threading\nfrom trainer.sandbox import process, programs\n"
            "kept = process.Child.ask\n"
            "def ask(child, *given):\n"
            "    print(child.process.pid, flush=True)\n"
            "    return kept(child, *given)\n"
            "process.Child.ask = ask\n"
            "programs.run(programs.Job('', 'while True: pass', 'assert 1', 60))\n")
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        while "S" in state(pid):
            time.sleep(0.02)
        runner.kill()
    until = time.monotonic() + 20
    while state(pid) not in ("", "Z") and time.monotonic() < until:
        time.sleep(0.02)
    assert state(pid) in ("", "Z")


def state(pid):
    """Return the letter of a process's state; '' when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return ""
