"""The page's door: what a handler raises becomes a sentence, never a traceback."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from app.board.i18n import problem_text, said, t
from app.board.pages._parts import note, paragraph, text
from trainer.contract.problems import ConfigError, message_and_advice

# How an event is wired that neither waits in Gradio's queue nor shows its own progress.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "concurrency_limit": None,
                         "api_visibility": "private"}
_log = logging.getLogger(__name__)


def explain(locale: str, error: Exception) -> tuple[str, str]:
    """Return (message, advice) of an error that a person may see.

    Errors with a stable ``code`` were written for people; of all others only the log has
    the words.
    """
    if isinstance(error, ConfigError) and error.problems:
        return problem_text(locale, error.problems[0])
    code = getattr(error, "code", None)
    if isinstance(error, ValueError) and isinstance(code, str):
        return said(locale, code, *message_and_advice(error))
    return t(locale, "error.inside"), t(locale, "error.inside_advice")


def error_note(locale: str, error: Exception) -> str:
    """Return an error as a banner."""
    message, advice = explain(locale, error)
    return note("bad", message, paragraph(advice))


def door(locale: str, failed: Callable[[str], Any]) -> Callable[[Callable[..., Any]],
                                                              Callable[..., Any]]:
    """Guard a handler; on an error it returns ``failed(banner_html)`` instead."""
    def guard(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        def guarded(*args: Any) -> Any:
            try:
                return handler(*args)
            except Exception as error:
                _log.warning("a page's handler failed", exc_info=not hasattr(error, "code"))
                return failed(error_note(locale, error))
        return guarded
    return guard


def toast(locale: str, error: Exception) -> None:
    """Show an error in the corner of the page."""
    message, advice = explain(locale, error)
    gr.Warning(text(f"{message} {advice}".strip()), title=t(locale, "error.title"), duration=12)
