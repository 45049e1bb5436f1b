"""A key in an error's text reaches neither the events nor the log of a run (rule R12)."""

from __future__ import annotations

import io

from trainer.__main__ import _failure
from trainer.contract.redact import HIDDEN
from trainer.streams import Forgiving

KEY = "a-planted-key-0123456789"


def test_the_last_word_and_the_traceback_are_redacted(monkeypatch, capsys):
    monkeypatch.setenv("SWANLAB_API_KEY", KEY)
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", Forgiving(log))
    event = _failure(RuntimeError(f"the tracker refused {KEY}"))
    assert KEY not in event.message and HIDDEN in event.message
    assert KEY not in log.getvalue() and "RuntimeError" in log.getvalue()
