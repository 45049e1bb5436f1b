"""Talk to a finished run: base and tuned answers from one Transformers child."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from app.runs import ACTIVE, RunState
from app.serving.child import ARGV, Answer, ChatChild, ChatError
from trainer.contract.config import objectives_with

if TYPE_CHECKING:
    from app.runs import Run
    from app.studio import Studio

__all__ = ["ChatDelta", "ChatError", "ChatService"]

Side = Literal["base", "tuned"]
SIDES: tuple[Side, Side] = ("base", "tuned")
LOAD_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 120.0
IDLE_S = 300.0
ABANDONED_S = 5.0


@dataclass(frozen=True)
class ChatDelta:
    """A piece of an answer.

    Attributes:
        side: Which of the two models speaks.
        text: What was added.
        done: Whether this side has finished.
        stats: With ``done``: tokens, tokens_per_s, first_token_s as the engine counted them.
    """

    side: Side
    text: str = ""
    done: bool = False
    stats: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Loaded:
    run_id: str
    device: str
    child: ChatChild
    used_at: float


@dataclass
class _Turn:
    """One question; ``resting`` while whoever asked has not come back for the next piece."""

    seen_at: float
    resting: bool = False
    cancelled: bool = False


def _to_delta(answer: Answer) -> ChatDelta:
    done = answer.get("event") == "done"
    stats = {key: float(answer[key]) for key in ("tokens", "tokens_per_s", "first_token_s")
             if done and isinstance(answer.get(key), int | float)}
    return ChatDelta(answer["side"], str(answer.get("text") or ""), done, stats)


class ChatService:
    """Keeps at most one chat engine, loads it when asked, lets it go when idle.

    Args:
        studio: Where runs and devices are looked up.
        argv: The engine's command; constant but for tests.
        idle_s: Seconds without a question after which the engine is let go.
        clock: Seconds that never jump back.
    """

    def __init__(self, studio: Studio, *, argv: Sequence[str] = ARGV, idle_s: float = IDLE_S,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._studio, self._argv, self._idle_s, self._clock = studio, argv, idle_s, clock
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._turn: _Turn | None = None
        self._closed = False
        self.notice = ""

    @property
    def loaded(self) -> str:
        """The id of the run whose models are in memory, or ''."""
        loaded = self._loaded
        return loaded.run_id if loaded and loaded.child.alive else ""

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self._turn is not None

    def ask(self, run_id: str, messages: Sequence[Mapping[str, Any]], *,
            max_new_tokens: int = 256, temperature: float = 0.0, seed: int = 42,
            ) -> Iterator[ChatDelta]:
        """Ask both models; yield pieces as they come. Closing the iterator stops the answer.

        Args:
            run_id: A completed run.
            messages: ``{"role", "content"}`` each, the last one from the user.
            max_new_tokens: Longest answer, in tokens.
            temperature: 0 takes the likeliest token each time.
            seed: Makes sampling repeatable.

        Raises:
            ChatError: Another answer is being written, no device is free, or the engine failed.
            RunError: There is no such run.
        """
        run = self._studio.run(run_id)
        if run.state is not RunState.COMPLETED:
            raise ChatError("not_completed", f"The run '{run.name}' is {run.state}; only a "
                            "completed run can be talked to.", "Wait for it, or resume it.")
        if run.objective in objectives_with(head=True):
            raise ChatError("gives_scores", f"The run '{run.name}' trained a model that gives "
                            "scores, not words.", "Talk to another run.")
        turn = self._begin()
        try:
            loaded = self._load(run)
            if turn.cancelled:
                return
            yield from self._answers(loaded, turn, {
                "messages": [dict(message) for message in messages], "seed": seed,
                "max_new_tokens": max_new_tokens, "temperature": temperature})
        finally:
            with self._lock:
                self._turn = None if self._turn is turn else self._turn

    def _begin(self) -> _Turn:
        """Take the turn; one that was abandoned half-way (a closed tab) is taken over."""
        now = self._clock()
        with self._lock:
            old = self._turn
            if old and not (old.resting and now - old.seen_at > ABANDONED_S):
                raise ChatError("busy", "Another answer is being written.",
                                "Wait for it, or stop it.")
            self._turn = _Turn(now)
            turn = self._turn
        if old and self._loaded:
            self._loaded.child.cancel(forget=True)
        return turn

    def cancel(self) -> None:
        """Stop the answer that is being written; its iterator ends with what there is."""
        loaded, turn = self._loaded, self._turn
        if turn:
            turn.cancelled = True
        if loaded:
            loaded.child.cancel()

    def _answers(self, loaded: _Loaded, turn: _Turn,
                 values: Mapping[str, Any]) -> Iterator[ChatDelta]:
        waiting: set[object] = set(SIDES)

        def is_last(answer: Answer) -> bool:
            if answer.get("event") == "done":
                waiting.difference_update({answer["side"]} if answer.get("side") else SIDES)
            return not waiting

        for answer in loaded.child.request("ask", timeout_s=ANSWER_TIMEOUT_S, is_last=is_last,
                                           **values):
            loaded.used_at = turn.seen_at = self._clock()
            if answer.get("side") in SIDES:
                turn.resting = True
                yield _to_delta(answer)
                turn.resting = False

    def _load(self, run: Run) -> _Loaded:
        """Return the engine with the run's models, starting it when needed."""
        loaded = self._loaded
        if loaded and loaded.run_id == run.id and loaded.child.alive:
            return loaded
        self._drop()
        if self._closed:
            raise ChatError("closing", "The server is closing.")
        device = self._choose_device()
        home = self._studio.home
        environ = {"FINESTRA_HOME": str(home.root), "FINESTRA_RUNS": str(home.runs),
                   "CUDA_VISIBLE_DEVICES": "" if device == "cpu" else device}
        child = ChatChild(home.chat / f"{run.id}.log", environ=environ, argv=self._argv)
        loaded = self._loaded = _Loaded(run.id, device, child, self._clock())
        try:
            for _ in child.request("load", timeout_s=LOAD_TIMEOUT_S, run_dir=str(run.dir),
                                   is_last=lambda answer: answer.get("event") == "loaded"):
                pass
        except ChatError:
            self._drop()
            raise
        return loaded

    def _choose_device(self) -> str:
        """Return 'cpu' or the uuid of a free GPU.

        Raises:
            ChatError: Every GPU is held by a run; chat never takes memory from training.
        """
        devices = self._studio.devices()
        gpus = [device for device in devices if device.key != "cpu" and not device.problem]
        free = [device for device in gpus if not device.holder]
        self.notice = ""
        if gpus and not free:
            raise ChatError("device_busy", f"The run {gpus[0].holder} is using {gpus[0].name}.",
                            "Ask again when it has ended, or stop it.")
        if gpus:
            return max(free, key=lambda device: device.free_mib or 0).key
        if any(device.holder for device in devices):
            self.notice = "A run is training on the same processor: answers will be slow."
        return "cpu"

    def _drop(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded:
            loaded.child.close()

    def unload(self) -> None:
        """Let the engine go; ChatError('busy') while it answers."""
        turn = self._begin()
        try:
            self._drop()
        finally:
            with self._lock:
                self._turn = None if self._turn is turn else self._turn

    def unload_idle(self) -> None:
        """Let the engine go when nobody has asked for a while, or a run needs its GPU."""
        loaded = self._loaded
        if loaded is None or self._turn is not None:
            return
        idle = self._clock() - loaded.used_at > self._idle_s
        if idle or not loaded.child.alive or self._is_needed(loaded.device):
            with suppress(ChatError):
                self.unload()

    def _is_needed(self, device: str) -> bool:
        return device != "cpu" and any(
            run.device == device for state in ACTIVE for run in self._studio.runs(state=state))

    def close(self) -> None:
        """End the engine, in the middle of an answer if need be; nothing is loaded afterwards."""
        self._closed = True
        self._drop()
