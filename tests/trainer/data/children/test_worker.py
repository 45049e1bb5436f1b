"""The data worker: what it answers, and what hostile templates and sudden ends do to it (R7)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.data.children import operations
from trainer.data.children.workers import ARGV, Cancelled, DataWorker, Limits
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.sandbox import TemplateError

TALK = [{"role": "user", "content": "Hi"}]
LOOPS = "{% for a in range(9999) %}" * 3 + "{% set x = 1 %}" + "{% endfor %}" * 3
DOUBLING = ("{% set n = namespace(s='a' * 1000000) %}{% for i in range(40) %}"
            "{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s[0] }}")
JOINED = ("{% set s = ['a' * 1000000] * 1000 %}{% set t = (s | join) %}"
          "{{ [t, t, t, t] | join | length }}")
HUGE = "{{ ('a' * 8000000).replace('a', 'b' * 8000) }}"
LISTS = ("{% set n = namespace(s=[0] * 1000000) %}{% for i in range(40) %}"
         "{% set n.s = n.s + n.s %}{% endfor %}{{ n.s[0] }}")
DEEP = "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}"
ESCAPES = ("{{ ''.__class__.__mro__[1].__subclasses__() }}",
           "{{ cycler.__init__.__globals__.os.system('true') }}",
           "{{ messages.append({}) }}", "{{ raise_exception('no') }}", "{% if %}")


@pytest.fixture(scope="module")
def worker() -> Iterator[DataWorker]:
    with DataWorker(Limits(memory_mib=1024, render_s=0.5)) as found:
        yield found


@pytest.fixture
def hostile(model_folder: Path, tmp_path: Path) -> Any:
    """Return a function that makes a model folder with a template of ours."""
    def make(source: str) -> Path:
        folder = tmp_path / "hostile"
        folder.mkdir(exist_ok=True)
        shutil.copy(model_folder / "tokenizer.json", folder)
        (folder / "chat_template.jinja").write_text(source)
        return folder
    return make


def ask(worker: DataWorker, folder: Path, **values: Any) -> dict[str, Any]:
    return worker.call("encode_prompt", {"model_folder": str(folder), "messages": TALK, **values})


def pid_of(worker: DataWorker) -> int:
    worker.start()
    assert worker.pid is not None
    return worker.pid


def test_it_describes_a_template(worker: DataWorker, model_folder: Path) -> None:
    found = worker.call("describe", {"model_folder": str(model_folder)})
    assert (found["how"], found["name"], found["eos_ids"]) == ("marked", "auto", [2])
    assert found["template_source"] == (model_folder / "chat_template.jinja").read_text()
    assert "<|im_end|>" in found["special_tokens"]


def test_it_encodes_prompts(worker: DataWorker, model_folder: Path) -> None:
    one = ask(worker, model_folder)
    assert one["text"] == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert one["input_ids"][0] == 1
    many = worker.call("encode_prompts", {"model_folder": str(model_folder),
                                          "prompts": [{"messages": TALK}, {"messages": TALK}]})
    assert many == {"prompts": [one, one]}


def test_a_prompt_may_tell_the_template_more(worker: DataWorker, model_folder: Path,
                                             tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "thinks")
    (tmp_path / "thinks" / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if thinks is false %}!{% endif %}")
    plain, told = worker.call("encode_prompts", {"model_folder": str(tmp_path / "thinks"),
                                                 "prompts": [
        {"messages": TALK}, {"messages": TALK, "values": {"thinks": False}}]})["prompts"]
    assert told["text"] == plain["text"] + "!"


def test_a_folder_with_a_tokenizer_alone_is_enough_for_a_named_template(
        worker: DataWorker, model_folder: Path, tmp_path: Path) -> None:
    shutil.copy(model_folder / "tokenizer.json", tmp_path)
    assert ask(worker, tmp_path, template="chatml")["text"].endswith("<|im_start|>assistant\n")
    with pytest.raises(TemplateError) as caught:
        ask(worker, tmp_path)
    assert caught.value.code == "no_chat_template"


def test_only_a_slow_tokenizer_is_refused_with_advice(worker: DataWorker, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a\x0b")
    with pytest.raises(DatasetError, match=r"tokenizer\.json") as caught:
        ask(worker, tmp_path)
    assert caught.value.code == "tokenizer_missing"


def test_a_model_that_changed_is_read_again(worker: DataWorker, hostile: Any) -> None:
    assert ask(worker, hostile("one"))["text"] == "one"
    assert ask(worker, hostile("other"))["text"] == "other"


@pytest.mark.faults
@pytest.mark.parametrize("source", [LOOPS, HUGE], ids=["loops", "huge"])
def test_what_never_ends_or_grows_is_stopped(worker: DataWorker, hostile: Any, model_folder: Path,
                                             source: str) -> None:
    before = pid_of(worker)
    with pytest.raises(TemplateError) as caught:
        ask(worker, hostile(source))
    assert caught.value.code in ("template_time", "template_memory")
    assert caught.value.advice
    assert not Path(f"/proc/{before}").exists(), "the child is gone"
    assert ask(worker, model_folder)["input_ids"]


@pytest.mark.parametrize("source", [DOUBLING, JOINED, LISTS], ids=["doubling", "joined", "lists"])
def test_what_doubles_is_refused_and_costs_no_child(worker: DataWorker, hostile: Any,
                                                    source: str) -> None:
    before = pid_of(worker)
    with pytest.raises(TemplateError) as caught:
        ask(worker, hostile(source))
    assert caught.value.code in ("template_unsafe", "template_output")
    assert ask(worker, hostile("fine"))["text"] == "fine"
    assert pid_of(worker) == before


@pytest.mark.parametrize("source", [DEEP, *ESCAPES])
def test_what_the_sandbox_refuses_costs_no_child(worker: DataWorker, hostile: Any,
                                                 source: str) -> None:
    before = pid_of(worker)
    with pytest.raises(TemplateError):
        ask(worker, hostile(source))
    assert pid_of(worker) == before


@pytest.mark.faults
def test_a_child_that_says_nothing_is_killed(hostile: Any, model_folder: Path) -> None:
    """Also when its own alarm does not come, as in a long call of a library."""
    with DataWorker(Limits(render_s=600)) as worker:
        before = pid_of(worker)
        with pytest.raises(TemplateError) as caught:
            worker.call("encode_prompt", {"model_folder": str(hostile(LOOPS)), "messages": TALK},
                        timeout_s=1)
        assert caught.value.code == "template_time"
        assert not Path(f"/proc/{before}").exists()
        assert ask(worker, model_folder)


@pytest.mark.faults
def test_a_child_that_was_killed_is_told_of_and_replaced(model_folder: Path, hostile: Any) -> None:
    with DataWorker(Limits(render_s=60)) as worker:
        pid = pid_of(worker)
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(DatasetError, match="SIGKILL") as caught:
            ask(worker, hostile(LOOPS))
        assert caught.value.code == "worker_died"
        assert ask(worker, model_folder)
        os.kill(pid_of(worker), signal.SIGKILL)
        os.waitid(os.P_PID, pid_of(worker), os.WEXITED | os.WNOWAIT)
        assert ask(worker, model_folder), "one that died in between is not even noticed"


def test_an_error_that_nobody_planned_for_names_itself(worker: DataWorker,
                                                       model_folder: Path) -> None:
    with pytest.raises(DatasetError, match="KeyError: 'messages'") as caught:
        worker.call("encode_prompt", {"model_folder": str(model_folder)})
    assert caught.value.code == "worker_died"
    assert ask(worker, model_folder)


def test_an_operation_that_is_not_there(worker: DataWorker) -> None:
    with pytest.raises(DatasetError, match="'nope'"):
        worker.call("nope", {})
    documented = str(operations.__doc__)
    assert all(name in documented for name in operations.OPERATIONS)


def test_cancelling_ends_the_work_and_keeps_the_child(worker: DataWorker, model_folder: Path,
                                                      tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text('{"prompt": "Hi there", "completion": "Hello"}\n' * 20_000)
    cancel, before = threading.Event(), pid_of(worker)
    params = {"source": str(path), "model_folder": str(model_folder)}
    with pytest.raises(Cancelled):
        worker.call("lengths", params, cancel=cancel, progress=lambda said: cancel.set())
    assert pid_of(worker) == before
    assert ask(worker, model_folder)


@pytest.mark.faults
def test_cancelling_does_not_wait_for_what_does_not_listen(hostile: Any) -> None:
    cancel = threading.Event()
    with DataWorker(Limits(render_s=600)) as worker:
        threading.Timer(0.3, cancel.set).start()
        with pytest.raises(Cancelled):
            worker.call("encode_prompt", {"model_folder": str(hostile(LOOPS)), "messages": TALK},
                        timeout_s=600, cancel=cancel)


@pytest.mark.faults
def test_the_child_ends_with_its_input_also_in_the_middle_of_work(hostile: Any) -> None:
    child = subprocess.Popen(ARGV, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    for line in ({"memory_mib": 512, "files": 64, "render_s": 600},
                 {"op": "encode_prompt", "params": {"model_folder": str(hostile(LOOPS)),
                                                    "messages": TALK}}):
        child.stdin.write(json.dumps(line).encode() + b"\n")
    child.stdin.close()
    assert child.wait(20) == 0
    assert child.stdout is not None
    child.stdout.close()


def test_calls_from_threads_wait_for_each_other(worker: DataWorker, model_folder: Path) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ask(worker, model_folder)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4


@pytest.mark.faults
def test_secrets_reach_only_a_worker_that_needs_them(monkeypatch: pytest.MonkeyPatch,
                                                     model_folder: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 20)
    for keep in (False, True):
        with DataWorker(Limits(keep_secrets=keep)) as worker:
            assert ask(worker, model_folder)
            environment = Path(f"/proc/{pid_of(worker)}/environ").read_bytes()
            assert (b"HF_TOKEN" in environment) is keep
