"""A user's own reward function: only with consent, and in a child that may do as it likes."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.config import RewardUse
from trainer.contract.consent import consent_problem, digest
from trainer.failures import Failure
from trainer.rewards import make
from trainer.rewards.python_file import PythonFile
from trainer.sandbox.functions import Bounds


def write(folder: Path, body: str) -> Path:
    path = folder / "my_reward.py"
    path.write_text(textwrap.dedent(body), encoding="utf-8")
    return path


def reward_of(path: Path, **bounds: Any) -> PythonFile:
    return PythonFile(path, digest(path), Bounds(**bounds))


def score(path: Path, answers: list[str], **bounds: Any) -> list[float | None]:
    reward = reward_of(path, **bounds)
    try:
        return reward(["?"] * len(answers), answers, ["r"] * len(answers))
    finally:
        reward.close()


def test_it_scores_again_and_again_in_one_child(tmp_path: Path) -> None:
    path = write(tmp_path, """
        import os
        print("a word while it is loaded")
        def reward(prompts, completions, references):
            print("some words", flush=True)
            return [len(c) + (r == "é") + 0 * os.getpid() if c else None
                    for c, r in zip(completions, references)]
        """)
    reward = make(RewardUse(name="python", path=str(path), sha256=digest(path)))
    assert reward(["?", "?"], ["abc", ""], ["é", ""]) == [4.0, None]
    assert isinstance(reward, PythonFile)
    child = reward._function.start()
    assert reward(["?"], ["你好"], [""]) == [2.0] and reward._function.start() is child
    reward.close()
    assert not child.alive


def test_it_runs_only_as_it_was_read(tmp_path: Path) -> None:
    path = write(tmp_path, "def reward(p, c, r): return [1.0] * len(c)")
    use = RewardUse(name="python", path=str(path))
    asked = consent_problem(use, "rollout.rewards.0")
    assert asked is not None and asked.code == "reward_consent" and digest(path) in asked.advice
    with pytest.raises(Failure) as raised:
        make(use)
    assert raised.value.code == "reward_consent"
    given = use.model_copy(update={"sha256": digest(path)})
    assert consent_problem(given, "") is None
    reward = make(given)
    path.write_text("import pathlib; pathlib.Path('marker').touch()")
    assert reward(["?"], ["a"]) == [1.0]
    reward.close()
    with pytest.raises(Failure) as raised:
        make(given)
    assert raised.value.code == "reward_changed"
    with pytest.raises(Failure) as raised:
        make(RewardUse(name="python", path=str(tmp_path / "none.py"), sha256="0" * 64))
    assert raised.value.code == "reward_file"


def test_it_sees_no_secrets_and_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "FINESTRA_JUDGE_KEY", "MY_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hush")
    path = write(tmp_path, """
        import os, sys
        def reward(prompts, completions, references):
            leaked = [k for k, v in os.environ.items() if v == "hush"]
            home = os.listdir(os.path.expanduser("~"))
            torch = [m for m in sys.modules if m.partition(".")[0] in ("torch", "transformers")]
            return [len(leaked), len(home), len(torch)]
        """)
    assert score(path, ["", "", ""]) == [0, 0, 0]


@pytest.mark.parametrize(("body", "words"), [
    ("def reward(p, c, r): raise KeyError('nope')", "line 1: KeyError: 'nope'"),
    ("def reward(p, c, r):\n import os\n os._exit(3)", "status 3"),
    ("def reward(p, c, r):\n import os, signal\n os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    ("def reward(p, c, r): return [float('nan')] * len(c)", "no finite number"),
    ("def reward(p, c, r): return [float('inf')] * len(c)", "no finite number"),
    ("def reward(p, c, r): return [10 ** 400] * len(c)", "OverflowError"),
    ("def reward(p, c, r): return ['a'] * len(c)", "where a number belongs"),
    ("def reward(p, c, r): return [1.0]", "1 numbers for 2 answers"),
    ("def reward(p, c, r): return 1.0", "not a list"),
    ("def reward(p, c, r): return 'ab'", "not a list"),
    ("def reward(p, c, r):\n x = 'a' * 10 ** 10\n return [1, 2]", "MemoryError"),
    ("def other(): pass", "no function"), ("def reward(:", "line 1: SyntaxError"),
    ("import no_such_module", "No module named"), ("import sys; sys.exit(0)", "failed"),
    ("reward = 3", "no function")])
def test_what_goes_wrong_in_it_is_said(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(Failure) as raised:
        score(write(tmp_path, body), ["a", "b"])
    assert raised.value.code == "reward_function" and words in str(raised.value)


def test_a_function_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    path = write(tmp_path, """
        import subprocess, sys, time
        def reward(prompts, completions, references):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            open(references[0], "w").write(str(child.pid))
            while True:
                time.sleep(1)
        """)
    reward, noted = reward_of(path, batch_s=2.0), tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(Failure, match="did not finish within 2 s") as raised:
        reward(["?"], ["a"], [str(noted)])
    assert raised.value.code == "reward_time" and time.monotonic() - began < 10
    pid, until = int(noted.read_text()), time.monotonic() + 5
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    path = write(tmp_path, "import time\ndef reward(p, c, r):\n while True: time.sleep(1)")
    reward = reward_of(path, batch_s=1.0)
    child = reward._function.start()
    assert child.process.stdin is not None
    os.set_blocking(child.process.stdin.fileno(), True)
    child.process.stdin.write(b'{"prompts": [], "answers": [], "references": []}\n')
    child.process.stdin.close()
    assert child.process.wait(10) == 0
    assert os.path.isdir(child.home)
    reward.close()
    assert not os.path.isdir(child.home)
