"""Asking a model over HTTP, patiently: busy servers, broken connections, engines that die."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from trainer.contract.redact import redact
from trainer.engines.errors import EngineError
from trainer.engines.lines import Lines
from trainer.engines.route import Route
from trainer.evaluation.choosing import VLLM, Plan
from trainer.evaluation.seam import Ability, Unanswerable
from trainer.evaluation.starting import ADVICE, Hall
from trainer.failures import Failure

Warn = Callable[[str, str], None]
# Deaths of an engine one after the other, without an answer between them.
RESTARTS = 3
# Deaths of one request, the last two of them while nothing else was asked.
DEATHS = 3
TRIES = 6
# An engine of this machine that answers 500 to a question will do so again.
LOCAL_TRIES = 2
LONGEST_PAUSE_S = 30.0
LOCAL_S, REMOTE_S, CONNECT_S = 3600.0, 300.0, 20.0
_MEMORY = ("cuda_oom", "out_of_memory")
_REFUSED = (400, 413, 422)
_FROM_THEM = re.compile(r"\b(max_tokens|temperature|seed|top_p)\b")
_NOT_TAKEN = re.compile(r"unsupported|not supported|unrecognized|unknown|deprecated", re.I)


class Gate:
    """Lets so many pass at once; narrower when memory runs out."""

    def __init__(self, width: int) -> None:
        """Begin with nobody inside."""
        self.width, self._inside, self._closed = width, 0, False
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        """Wait for room."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: not self._closed and self._inside < self.width)
            self._inside += 1

    async def __aexit__(self, *_: object) -> None:
        """Make room."""
        async with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait until nobody is inside, and let nobody else in."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._closed)
            self._closed = True
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._inside)
            yield
        finally:
            async with self._changed:
                self._closed = False
                self._changed.notify_all()

    def narrow(self, seen: int) -> bool:
        """Let half as many pass as were ``seen`` to; False when that was done or is one already."""
        if seen != self.width or seen == 1:
            return False
        self.width = seen // 2
        return True


@dataclass
class _Fate:
    """What has become of a request: how often it was tried, and how often the engine died of it."""

    tried: int = 0
    deaths: int = 0


class HttpAsker:
    """A model of an evaluation, see ``trainer.evaluation.seam.Asker``.

    It belongs to one event loop and is used in an ``async with`` block. Its engine is started with
    the first question, and again when it dies. What it was answering then is asked one by one, so
    that a request that ends it is found; it is unanswerable where others have answers.
    """

    def __init__(self, plan: Plan, hall: Hall, at_once: int, warn: Warn) -> None:
        """Prepare; nothing is started."""
        self.name, self.plan = plan.name, plan
        self.gate = Gate(at_once)
        self._hall, self._warn = hall, warn
        self._starting = asyncio.Lock()
        self._known: Route | None = None
        self._deaths, self._last_death, self._answered = 0, "", False
        self._dead: Failure | None = None
        self._left_out: set[str] = set()
        limit_s = LOCAL_S if plan.kind else REMOTE_S
        self._lines = Lines(trust_env=plan.kind is None,
                            timeout=httpx.Timeout(limit_s, connect=CONNECT_S, pool=None))

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        """Let go of connections; the engine stays."""
        await self._lines.close()

    def can(self, ability: Ability) -> str:
        """Return '' when it can, else why not."""
        return self.plan.blind if ability == "likelihood" else ""

    async def ready(self) -> None:
        """Start the engine, if there is one and it does not run; Failure when it cannot."""
        await self._route()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request; see the seam."""
        fate = _Fate()
        while True:
            route, width = await self._route(), self.gate.width
            sent = self._adapted(body, route)
            async with self.gate.alone() if fate.deaths else self.gate:
                try:
                    answer = await self._lines.post(
                        f"{route.base_url}{path}", json=sent,
                        headers={"Authorization": f"Bearer {route.key}"} if route.key else {})
                except httpx.RequestError as error:
                    await self._broken(error, route, fate)
                    continue
            if answer.status_code == 200 and (said := _document(answer)) is not None:
                self._deaths, self._answered = 0, True
                return said
            fate.tried += 1
            code, text = _reason(answer, route.key)
            if code in _MEMORY:
                self._narrow(text, width, fate.tried)
            else:
                await self._refused(answer, text, fate.tried, sent)

    async def _route(self) -> Route:
        """Return where to ask; whoever is first starts the engine."""
        async with self._starting:
            if self._dead:
                raise self._dead
            if self._known is None:
                try:
                    self._known = await asyncio.to_thread(self._hall.route, self.plan)
                except Failure as error:
                    self._dead = error
                    raise
            return self._known

    def _adapted(self, body: dict[str, Any], route: Route) -> dict[str, Any]:
        sent = {**body, "model": route.model}
        if self.plan.engine == VLLM and sent.get("tools"):
            # It reads no calls out of answers unless told for each model how; ours does.
            sent.setdefault("tool_choice", "none")
        for name in self._left_out & sent.keys():
            value = sent.pop(name)
            if name == "max_tokens":
                sent["max_completion_tokens"] = value
        return sent

    async def _broken(self, error: httpx.RequestError, route: Route, fate: _Fate) -> None:
        """Find out why a connection broke; returns when it is worth another try.

        Raises:
            Unanswerable: The engine dies of this request.
            Failure: It dies of others too, or nobody answers.
        """
        why, mine = type(error).__name__, self.plan.kind is not None
        fate.tried += 1
        died = await asyncio.to_thread(self._hall.why_ended, route) if mine else None
        if died is not None:
            self._note_death(route, died, fate)
        elif fate.tried < TRIES:
            await _pause(fate.tried)
        elif mine:
            raise Failure("engine_silent", f"The engine of '{self.name}' does not answer ({why}).",
                          "Look at its log, then resume the run.")
        else:
            raise Failure("endpoint_unreachable", f"The endpoint of '{self.name}' cannot be "
                          f"reached ({why}).", "Check that it runs, then resume the run.")

    def _note_death(self, route: Route, died: EngineError, fate: _Fate) -> None:
        """Have the engine started again.

        Raises:
            Unanswerable: It has died of this request alone, twice, and has answered others.
            Failure: It dies of whatever it is asked.
        """
        fate.tried = 0
        if self._last_death == route.key:
            fate.deaths = max(1, fate.deaths)
            return
        self._last_death, self._known = route.key, None
        self._deaths, fate.deaths = self._deaths + 1, fate.deaths + 1
        if "signal 9" in str(died):
            self.gate.narrow(self.gate.width)
        if self._deaths > RESTARTS:
            self._dead = Failure("engine_died", f"'{self.name}': {died}", ADVICE)
            raise self._dead
        self._warn("engine_restarted", f"The engine of '{self.name}' died and is started again; "
                   f"what it was answering is asked again, one by one. {died}")
        if fate.deaths >= DEATHS and self._answered:
            raise Unanswerable(f"The engine died of it {fate.deaths} times, the last two while "
                               f"nothing else was asked. {died}")

    def _narrow(self, text: str, width: int, tried: int) -> None:
        """Ask less at once from here on, since memory ran out.

        Raises:
            Unanswerable: One row alone is too much.
        """
        if width == 1 and tried >= LOCAL_TRIES:
            raise Unanswerable(text)
        if self.gate.narrow(width):
            self._warn("narrower", f"'{self.name}' ran out of memory: {self.gate.width} rows are "
                       "answered at once from here on.")

    async def _refused(self, answer: httpx.Response, text: str, tried: int,
                       sent: dict[str, Any]) -> None:
        """Return when it is worth another try.

        Raises:
            Unanswerable, Failure: See ``Asker.post``.
        """
        status = answer.status_code
        if status in _REFUSED:
            if not self._can_leave_out(text, sent):
                raise Unanswerable(text)
            return
        if status != 429 and status < 500 and status != 200:
            what = "endpoint_refused" if self.plan.kind is None else "engine_refused"
            raise Failure(what, f"'{self.name}' is refused with status {status}: {text}",
                          "Check the endpoint's address, key and model."
                          if self.plan.kind is None else "Look at the engine's log.")
        if self.plan.kind is not None and status != 503 and tried >= LOCAL_TRIES:
            raise Unanswerable(text)
        if tried >= TRIES:
            raise Failure("endpoint_unreachable", f"'{self.name}' was asked {tried} times and "
                          f"answers with status {status}: {text}", "Resume the run later.")
        await _pause(tried, answer.headers.get("retry-after", ""))

    def _can_leave_out(self, text: str, sent: dict[str, Any]) -> bool:
        """Tell whether an endpoint only minds a setting, which is left out from then on."""
        named = _FROM_THEM.search(text)
        if self.plan.kind is not None or not named or not _NOT_TAKEN.search(text) \
                or named[1] not in sent:
            return False
        if named[1] not in (*self._left_out, "max_tokens"):
            self._warn("setting_left_out", f"The endpoint of '{self.name}' takes no {named[1]}: "
                       "its answers may differ from time to time.")
        self._left_out.add(named[1])
        return True


async def _pause(tried: int, wanted: str = "") -> None:
    """Wait before another try, as long as the server says or twice as long each time."""
    seconds = float(wanted) if wanted.isdecimal() else 0.25 * 2.0 ** tried
    await asyncio.sleep(min(LONGEST_PAUSE_S, seconds))


def _document(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        value = answer.json()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _reason(answer: httpx.Response, key: str) -> tuple[str, str]:
    """Return (code, what a server says is wrong), in OpenAI's shape or as text."""
    value = _document(answer) or {}
    error = value.get("error", value)
    found = error if isinstance(error, dict) else {"message": error}
    text = str(found.get("message") or found.get("detail") or answer.text or "no reason given")
    return str(found.get("code") or ""), redact(text, [key] if key else [])[:500]
