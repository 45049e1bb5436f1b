import pytest

from app.outcome import Exit, Result, decide
from trainer.contract.events import EndEvent

COMPLETED = EndEvent(outcome="completed", metrics={"train_loss": 0.5, "x": float("nan")})


def test_the_last_word_counts_whatever_the_exit():
    for gone in (Exit(0), Exit(None), Exit(-9, killed_by_us=True), Exit(1)):
        result = decide(COMPLETED, gone)
        assert (result.outcome, result.metrics) == ("completed", {"train_loss": 0.5})
    failed = decide(EndEvent(outcome="failed", code="cuda_oom", message="m", advice="a"), Exit(1))
    assert (failed.outcome, failed.code, failed.message, failed.advice, failed.exit_code) == (
        "failed", "cuda_oom", "m", "a", 1)


@pytest.mark.parametrize(("gone", "outcome", "code", "says"), [
    (Exit(-9), "failed", "killed", "killed by signal 9 (often out of memory)"),
    (Exit(-11), "failed", "killed", "killed by signal 11 (SIGSEGV)"),
    (Exit(-9, out_of_memory=True), "failed", "out_of_memory", "memory limit"),
    (Exit(1, log_tail="KeyError: x"), "failed", "exit_status", "KeyError: x"),
    (Exit(0), "failed", "exit_status", "status 0"),
    (Exit(None), "interrupted", "supervisor_lost", "nobody watched"),
    (Exit(None, started=False), "interrupted", "never_started", "Never started"),
    (Exit(None, started=False, stop_requested=True), "stopped", "never_started", "before it"),
    (Exit(-9, stop_requested=True, killed_by_us=True), "stopped", "stop_killed", "was killed"),
    (Exit(-15, stop_requested=True), "stopped", "stop_unsaved", "before the trainer could save"),
])
def test_without_a_last_word_the_exit_is_judged(gone, outcome, code, says):
    result = decide(None, gone)
    assert (result.outcome, result.code) == (outcome, code) and says in result.message
    assert result.signal == (-gone.status if gone.status and gone.status < 0 else None)


def test_results_are_read_back():
    result = decide(COMPLETED, Exit(0))
    assert Result.read(result.document()) == result
    for broken in (None, {}, [], {"outcome": "great"}):
        assert Result.read(broken) is None


def test_a_secret_in_the_last_words_is_hidden(monkeypatch):
    monkeypatch.setenv("SWANLAB_API_KEY", "environment-key-1")
    end = EndEvent(outcome="failed", code="error",
                   message="OSError: 401 for hf_abcdefghijklmnopqrstuv and environment-key-1",
                   advice="Look at stored-secret-2.")
    document = str(decide(end, Exit(1), ["stored-secret-2"]).document())
    for secret in ("hf_abcdefghijklmnopqrstuv", "environment-key-1", "stored-secret-2"):
        assert secret not in document
    assert document.count("[secret]") == 3
    assert "environment-key-1" not in decide(None, Exit(1, log_tail="environment-key-1")).message
