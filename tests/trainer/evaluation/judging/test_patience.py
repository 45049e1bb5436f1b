"""The judge through the evaluation's own way of asking an endpoint: busy, refusing, silent."""

from __future__ import annotations

import pytest

from tests.trainer.evaluation.judging.conftest import KEY, Court, Reply, Stub, lines, longer
from trainer.evaluation import asking
from trainer.failures import Failure

MODELS = {"base": lines("d", ["four"] * 6), "tuned": lines("d", ["longer"] * 6)}


def test_a_busy_judge_is_asked_again_when_it_says(court: Court, stub: Stub) -> None:
    def busy(question: str) -> str | Reply:
        return (429, "slowly", {"retry-after": "0"}) if len(stub.bodies) % 2 else longer(question)

    stub.says = busy
    (one,) = court.judge(MODELS, at_once=1).judged
    assert (one.wins, one.calls, one.cached) == (6, 12, 0) and len(stub.bodies) == 24
    assert {body["model"] for body in stub.bodies} == {"judge"}


def test_settings_that_a_server_does_not_take_are_left_out(court: Court, stub: Stub) -> None:
    """As newer models of OpenAI refuse them, one after the other."""
    def says(question: str) -> str | Reply:
        for name in ("max_tokens", "temperature"):
            if name in stub.bodies[-1]:
                return 400, {"error": {"message": f"Unsupported parameter: '{name}'"}}, {}
        return longer(question)

    stub.says = says
    (one,) = court.judge(MODELS, at_once=1).judged
    assert (one.n, one.wins, one.unreadable) == (6, 6, 0)
    assert stub.bodies[-1]["max_completion_tokens"] == 512


def test_a_wrong_key_ends_it_and_is_in_no_message(court: Court, stub: Stub) -> None:
    stub.says = lambda question: (401, {"error": {"message": f"no such key: {KEY}"}}, {})
    with pytest.raises(Failure) as raised:
        court.judge(MODELS)
    assert raised.value.code == "endpoint_refused" and KEY not in str(raised.value)
    assert not [path for path in court.folder.iterdir() if KEY in path.read_text()]


def test_silence_ends_it_and_what_was_said_is_kept(court: Court, stub: Stub,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "REMOTE_S", 0.2)
    monkeypatch.setattr(asking, "TRIES", 1)
    with stub.silent(lambda: len(stub.bodies) > 3), pytest.raises(Failure) as raised:
        court.judge(MODELS, at_once=1)
    assert raised.value.code == "endpoint_unreachable"
    monkeypatch.undo()
    (one,) = court.judge(MODELS).judged
    assert (one.n, one.cached, one.calls) == (6, 3, 9)
