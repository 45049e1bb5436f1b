import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.home import Home
from app.runs import Run, RunError, RunState
from app.serving.chat import ChatError, ChatService
from app.serving.child import ARGV, last_lines

FAKE = (sys.executable, str(Path(__file__).with_name("fake_chat.py")))


@dataclass
class Device:
    key: str = "cpu"
    name: str = "CPU"
    total_mib: int = 0
    free_mib: int = 0
    holder: str = ""
    problem: str = ""


@dataclass
class Desk:
    """What the chat asks of a studio."""

    home: Home
    known: dict[str, Run] = field(default_factory=dict)
    machine: list[Device] = field(default_factory=lambda: [Device()])

    def run(self, run_id):
        if run_id not in self.known:
            raise RunError("unknown_run", f"There is no run '{run_id}'.")
        return self.known[run_id]

    def runs(self, *, state=None, search="", tag=""):
        return [run for run in self.known.values() if state in (None, run.state)]

    def devices(self):
        return self.machine

    def add(self, run_id, state=RunState.COMPLETED, device=""):
        self.known[run_id] = Run(run_id, run_id, state, self.home.runs / run_id, device=device)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(Home.open(tmp_path / "home"))
    desk.add("one")
    desk.add("two")
    return desk


@pytest.fixture
def chat(desk):
    service = ChatService(desk, argv=FAKE)
    yield service
    service.close()


def said(text):
    return [{"role": "user", "content": text}]


def first(chat, text):
    """Ask, hear all of it, and return the first piece."""
    return list(chat.ask("one", said(text)))[0].text  # noqa: RUF015


def gone(pid, within_s=10.0):
    """Wait until a process has ended (a zombie has)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_the_command_is_constant():
    assert ARGV[1:] == ("-P", "-m", "trainer.chat")


def test_both_sides_answer(chat):
    deltas = list(chat.ask("one", said("hello")))
    assert [(d.side, d.text, d.done) for d in deltas] == [
        ("base", "base:hello", False), ("base", "", True),
        ("tuned", "tuned:hello", False), ("tuned", "", True)]
    assert deltas[1].stats == {"tokens": 1, "tokens_per_s": 9.5, "first_token_s": 0.1}
    assert chat.loaded == "one"
    assert not chat.busy


def test_the_engine_stays_loaded_and_changes_with_the_run(chat):
    list(chat.ask("one", said("a")))
    first = chat._loaded.child.pid
    list(chat.ask("one", said("b")))
    assert chat._loaded.child.pid == first
    list(chat.ask("two", said("c")))
    assert chat.loaded == "two"
    assert gone(first)


def test_only_a_completed_run_can_be_asked(chat, desk):
    desk.add("late", RunState.RUNNING)
    with pytest.raises(ChatError) as refused:
        list(chat.ask("late", said("a")))
    assert refused.value.code == "not_completed"
    with pytest.raises(RunError):
        list(chat.ask("nobody", said("a")))


def test_a_model_that_cannot_be_loaded_says_why(chat, desk):
    desk.add("broken")
    with pytest.raises(ChatError, match="adapter/ is missing"):
        list(chat.ask("broken", said("a")))
    assert chat.loaded == ""
    assert list(chat.ask("one", said("a")))


def test_an_error_of_the_engine_leaves_it_loaded(chat):
    with pytest.raises(ChatError, match="too long") as refused:
        list(chat.ask("one", said("refuse")))
    assert refused.value.code == "too_long"
    assert first(chat, "a") == "base:a"


def test_a_dead_engine_shows_its_last_lines_and_starts_again(chat):
    with pytest.raises(ChatError, match="status 3") as died:
        list(chat.ask("one", said("die")))
    lines = died.value.log.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "RuntimeError: HF_TOKEN=[secret]"
    assert first(chat, "a") == "base:a"


def test_a_killed_engine_names_the_signal(chat):
    with pytest.raises(ChatError, match=r"signal 9 \(often out of memory"):
        list(chat.ask("one", said("kill")))


def test_one_answer_at_a_time(chat):
    answer = chat.ask("one", said("slow 500"))
    next(answer)
    with pytest.raises(ChatError) as refused:
        next(chat.ask("one", said("b")))
    assert refused.value.code == "busy"
    with pytest.raises(ChatError):
        chat.unload()
    answer.close()
    assert first(chat, "b") == "base:b"


def test_stop_ends_the_answer_with_what_there_is(chat):
    answer = chat.ask("one", said("slow 500"))
    next(answer)
    chat.cancel()
    rest = list(answer)
    assert rest[-1].done and rest[-1].side == "tuned"
    assert len(rest) < 900


def test_stop_while_the_models_are_loaded_asks_nothing(chat, monkeypatch):
    load = chat._load

    def load_and_stop(run):
        loaded = load(run)
        chat.cancel()
        return loaded

    monkeypatch.setattr(chat, "_load", load_and_stop)
    assert list(chat.ask("one", said("a"))) == []
    monkeypatch.undo()
    assert not chat.busy and first(chat, "a") == "base:a"


def test_a_silent_engine_is_given_up(chat, monkeypatch):
    monkeypatch.setattr("app.serving.chat.ANSWER_TIMEOUT_S", 0.1)
    with pytest.raises(ChatError) as silent:
        list(chat.ask("one", said("hang")))
    assert silent.value.code == "engine_silent"
    monkeypatch.undo()
    assert first(chat, "a") == "base:a"


def test_an_abandoned_answer_is_taken_over(desk):
    now = [0.0]
    chat = ChatService(desk, argv=FAKE, clock=lambda: now[0])
    abandoned = chat.ask("one", said("slow 500"))
    next(abandoned)
    now[0] += 31
    taken = chat.ask("one", said("slow 100"))
    assert next(taken).text == "base:0"
    abandoned.close()
    assert [d.text for d in taken][-2] == "tuned:99"
    assert not chat.busy
    chat.close()


def test_an_idle_engine_is_let_go(desk):
    now = [0.0]
    chat = ChatService(desk, argv=FAKE, idle_s=300, clock=lambda: now[0])
    list(chat.ask("one", said("a")))
    pid = chat._loaded.child.pid
    now[0] += 299
    chat.unload_idle()
    assert chat.loaded == "one"
    now[0] += 2
    chat.unload_idle()
    assert chat.loaded == "" and gone(pid)


def test_training_comes_first_on_a_gpu(chat, desk):
    desk.machine = [Device("GPU-1", "H", 1000, 900), Device("GPU-2", "H", 1000, 950), Device()]
    assert first(chat, "env CUDA_VISIBLE_DEVICES") == "base:GPU-2"
    desk.add("busy", RunState.RUNNING, device="GPU-2")
    chat.unload_idle()
    assert chat.loaded == ""
    desk.machine = [Device("GPU-2", "H", 1000, 950, holder="busy"), Device()]
    with pytest.raises(ChatError) as refused:
        list(chat.ask("one", said("a")))
    assert refused.value.code == "device_busy"


def test_on_a_shared_processor_it_says_so(chat, desk):
    desk.machine = [Device(holder="busy")]
    assert first(chat, "env CUDA_VISIBLE_DEVICES") == "base:"
    assert "slow" in chat.notice


def test_secrets_do_not_reach_the_engine(chat, monkeypatch):
    monkeypatch.setenv("FINESTRA_TOKEN", "x" * 20)
    assert first(chat, "env FINESTRA_TOKEN") == "base:"


def test_close_ends_the_engine(desk):
    chat = ChatService(desk, argv=FAKE)
    list(chat.ask("one", said("a")))
    pid = chat._loaded.child.pid
    chat.close()
    assert gone(pid)
    with pytest.raises(ChatError, match="closing"):
        list(chat.ask("one", said("a")))


SERVER = """
import sys
sys.path[:0] = [{tests!r}]
from test_chat import FAKE, Desk, Home, said
from pathlib import Path
from app.serving.chat import ChatService
desk = Desk(Home.open(Path({home!r})))
desk.add("one")
chat = ChatService(desk, argv=FAKE)
list(chat.ask("one", said("a")))
print(chat._loaded.child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.faults
def test_the_engine_ends_with_a_killed_server(tmp_path):
    script = SERVER.format(tests=str(Path(__file__).parent), home=str(tmp_path / "home"))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:
        pid = int(server.stdout.readline())
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    assert gone(pid)


def test_a_missing_log_is_empty(tmp_path):
    assert last_lines(tmp_path / "none.log") == ""
