"""What a data worker may use: memory, files, and time for one rendering (rule R7).

Only the worker process asks for this. A template is strangers' code: it may loop for ever or build
a text of any size, so each rendering has a time by which it must be done, and the process a ceiling
of memory. A clock that ticks a few times a second looks at the time: an alarm for each rendering
would cost more than many renderings do.
"""

from __future__ import annotations

import atexit
import gc
import resource
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from trainer.data.shapes.messages import Message
from trainer.data.templates.chat import ChatTemplate, Plain, Rendered
from trainer.data.templates.sandbox import TemplateError

TICK_S = 0.1
IDLE_TICKS = 50
FATAL = ("template_time", "template_memory")
_ADVICE = "Use another template, or another model."


def too_slow(seconds: float) -> TemplateError:
    """Return the error for a template that did not finish in time."""
    return TemplateError("template_time", f"The chat template did not finish within {seconds:g} s "
                         "and was stopped.", _ADVICE)


def too_large() -> TemplateError:
    """Return the error for a template that needs more memory than it may have."""
    return TemplateError("template_memory", "The chat template needs more memory than it is "
                         "allowed and was stopped.", _ADVICE)


class _TimeUp(BaseException):
    """The alarm rang; no handler of templates or of libraries catches it."""


class _Clock:
    """Ticks while there is something to end in time, and a little longer."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []
        self.ticking = False
        self._idle = 0

    def start(self) -> None:
        """Tick from now on; system calls of libraries go on after a tick."""
        signal.signal(signal.SIGALRM, self._tick)
        signal.siginterrupt(signal.SIGALRM, False)
        # A tick after the interpreter has put the signal back would kill a process that ends well.
        atexit.register(self.stop)
        signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
        self.ticking, self._idle = True, 0

    def stop(self) -> None:
        """Tick no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        atexit.unregister(self.stop)
        self.ticking = False

    def _tick(self, number: int, frame: FrameType | None) -> None:
        if self.deadlines:
            self._idle = 0
            if time.monotonic() >= self.deadlines[-1]:
                self.deadlines[-1] = float("inf")
                raise _TimeUp
            return
        self._idle += 1
        if self._idle > IDLE_TICKS:
            self.stop()


_CLOCK = _Clock()


def restrict(*, memory_mib: int, files: int) -> None:
    """Set this process's limits, for good; a limit that the system does not know is left out."""
    size = memory_mib * 2**20
    for kind, value in ((resource.RLIMIT_DATA, size), (resource.RLIMIT_NOFILE, files),
                        (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Stop what is done inside after so many seconds; main thread of a worker only.

    Raises:
        TemplateError: ``template_time`` or ``template_memory``.
    """
    if not _CLOCK.ticking:
        _CLOCK.start()
    _CLOCK.deadlines.append(time.monotonic() + seconds)
    try:
        yield
    except _TimeUp:
        raise too_slow(seconds) from None
    except MemoryError:
        raise too_large() from None
    finally:
        _CLOCK.deadlines.pop()


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for garbage more rarely while millions of small values are made that leave none."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class LimitedTemplate:
    """A chat template each of whose renderings has to end within a time."""

    def __init__(self, template: ChatTemplate, seconds: float) -> None:
        """Keep the template and the time that one rendering may take."""
        self.template, self._seconds = template, seconds

    def with_values(self, values: Mapping[str, Plain]) -> LimitedTemplate:
        """Return the template with further values; see ``ChatTemplate.with_values``."""
        if not values:
            return self
        return LimitedTemplate(self.template.with_values(values), self._seconds)

    def render(self, messages: Sequence[Message | Mapping[str, Any]],
               tools: Sequence[Mapping[str, Any]] | None = None, **options: bool) -> Rendered:
        """Render as ``ChatTemplate.render`` does, within the limits."""
        with within(self._seconds):
            return self.template.render(messages, tools, **options)

    def render_answer(self, prompt: Sequence[Message], answer: Sequence[Message],
                      tools: Sequence[Mapping[str, Any]] | None = None) -> Rendered:
        """Render as ``ChatTemplate.render_answer`` does, within the limits."""
        with within(self._seconds):
            return self.template.render_answer(prompt, answer, tools)
