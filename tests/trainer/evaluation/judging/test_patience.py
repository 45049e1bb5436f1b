"""The judge through the evaluation's own way of asking an endpoint: busy, refusing, silent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.trainer.evaluation.judging.conftest import Reply, Stub, lines, longer
from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.engines.endpoints import Endpoint
from trainer.engines.route import Route
from trainer.evaluation import asking
from trainer.evaluation.choosing import Plan
from trainer.evaluation.finding import Remote
from trainer.evaluation.judging.judge import judge
from trainer.evaluation.judging.wish import JudgeResult, JudgeWish
from trainer.failures import Failure

MODELS = {"base": lines("d", ["four"] * 6), "tuned": lines("d", ["longer"] * 6)}
KEY = "secret-key-of-the-judge"


def judged(stub: Stub, folder: Path, at_once: int = 8) -> JudgeResult:
    """Judge by an endpoint as a run of the studio does."""
    endpoint = Endpoint("lab", stub.url, KEY, ("judge",), 0.0, "admin")
    plan = Plan(1, "lab/judge", Remote("lab/judge", endpoint, "judge"), None, "")
    # No engine is started for an endpoint: all that is asked of the hall is where it is.
    hall: Any = SimpleNamespace(route=lambda plan: Route(endpoint.base_url, KEY, "judge"))

    async def asked() -> JudgeResult:
        async with asking.HttpAsker(plan, hall, at_once, lambda code, text: None) as asker:
            wish = JudgeWish(JudgeConfig(model="lab/judge"), list(MODELS), MODELS, folder,
                             at_once=at_once)
            return await judge(wish, asker, lambda *at: None, lambda: False)

    return asyncio.run(asked())


def test_a_busy_judge_is_asked_again_when_it_says(stub: Stub, tmp_path: Path) -> None:
    def busy(question: str) -> str | Reply:
        return (429, "slowly", {"retry-after": "0"}) if len(stub.bodies) % 2 else longer(question)

    stub.says = busy
    (one,) = judged(stub, tmp_path, at_once=1).judged
    assert (one.wins, one.calls, one.cached) == (6, 12, 0) and len(stub.bodies) == 24
    assert {body["model"] for body in stub.bodies} == {"judge"}


def test_settings_that_a_server_does_not_take_are_left_out(stub: Stub, tmp_path: Path) -> None:
    """As newer models of OpenAI refuse them, one after the other."""
    def says(question: str) -> str | Reply:
        for name in ("max_tokens", "temperature"):
            if name in stub.bodies[-1]:
                return 400, {"error": {"message": f"Unsupported parameter: '{name}'"}}, {}
        return longer(question)

    stub.says = says
    (one,) = judged(stub, tmp_path, at_once=1).judged
    assert (one.n, one.wins, one.unreadable) == (6, 6, 0)
    assert stub.bodies[-1]["max_completion_tokens"] == 512


def test_a_wrong_key_ends_it_and_is_in_no_message(stub: Stub, tmp_path: Path) -> None:
    stub.says = lambda question: (401, {"error": {"message": f"no such key: {KEY}"}}, {})
    with pytest.raises(Failure) as raised:
        judged(stub, tmp_path)
    assert raised.value.code == "endpoint_refused" and KEY not in str(raised.value)
    assert not [path for path in tmp_path.iterdir() if KEY in path.read_text()]


def test_silence_ends_it_and_what_was_said_is_kept(stub: Stub, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "REMOTE_S", 0.2)
    monkeypatch.setattr(asking, "TRIES", 1)
    with stub.silent(lambda: len(stub.bodies) > 3), pytest.raises(Failure) as raised:
        judged(stub, tmp_path, at_once=1)
    assert raised.value.code == "endpoint_unreachable"
    monkeypatch.undo()
    (one,) = judged(stub, tmp_path).judged
    assert (one.n, one.cached, one.calls) == (6, 3, 9)
