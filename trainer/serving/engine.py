"""The one thread that generates: it reads what waits and continues what runs, step by step."""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch

from trainer.serving.answering import Answer, Piece, Post, Question, Ticket
from trainer.serving.batch import Batch, Cache
from trainer.serving.failures import Refused, explain
from trainer.serving.grammar import Grammars
from trainer.serving.hot import Loaded
from trainer.serving.loading import Served
from trainer.serving.prompts import PromptReader, PromptScores, alike, filled
from trainer.serving.speech import Speech, special_ids

MAX_ROWS = 32
MAX_WAITING = 1024
READ_AT_ONCE = 4
SLICE = 8
Result = TypeVar("Result")


@dataclass(eq=False)
class Group:
    """Answers with one adapter that are continued together, a row of the batch each."""

    adapter: Loaded | None
    batch: Batch
    answers: list[Answer] = field(default_factory=list)


class Engine:
    """Answers questions; everything that touches the model happens in its thread."""

    def __init__(self, served: Served, grammars: Grammars) -> None:
        """Prepare; see ``start``."""
        self._served, self._grammars = served, grammars
        self._hidden = frozenset(special_ids(served.tokenizer))
        self._box: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: deque[Ticket] = deque()
        self._groups: list[Group] = []
        self._leaving: list[Loaded] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, wait_s: float = 5.0) -> None:
        """End the thread with the next token; whoever waits is told."""
        self._closed.set()
        self._box.put(None)
        if self._thread.ident is not None:
            self._thread.join(wait_s)

    def ask(self, question: Question, post: Post) -> Ticket:
        """Hand in a question; its pieces are posted from the engine's thread.

        Raises:
            Refused: Too many wait already.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise Refused(f"{MAX_WAITING:,} requests wait already. Try again later.",
                          code="overloaded", status=503)
        ticket = Ticket(question, post)
        self._box.put(lambda: self._waiting.append(ticket))
        return ticket

    def do(self, work: Callable[[], Result]) -> Future[Result]:
        """Run something in the engine's thread, between two tokens; errors become Refused."""
        future: Future[Result] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                future.set_result(work())

        self._box.put(lambda: self._try(run, future.set_exception))
        return future

    def unload(self, adapter: Loaded) -> Future[None]:
        """Take an adapter off the model as soon as no answer needs it any more."""
        return self.do(lambda: self._leaving.append(adapter))

    def _run(self) -> None:
        while not self._closed.is_set():
            self._read_box()
            self._read_waiting()
            for group in list(self._groups):
                self._continue(group)
            self._take_off()
        gone = Refused("The engine is closing.", code="closing", status=503)
        for ticket in [*self._waiting, *{a.ticket: 0 for g in self._groups for a in g.answers}]:
            ticket.post(gone)

    def _read_box(self) -> None:
        """Do what other threads asked for; wait for it when there is nothing else to do."""
        idle = not self._waiting and not self._groups
        while idle or not self._box.empty():
            command = self._box.get()
            if command is None:
                return
            command()
            idle = False

    def _try(self, work: Callable[[], None], fail: Callable[[Refused], None]) -> None:
        """Do something; what goes wrong with it concerns those that asked for it, nobody else."""
        try:
            work()
        except InterruptedError:
            return
        except Exception as error:
            refused = explain(error)
            if refused.status >= 500:
                traceback.print_exception(error, file=sys.stderr)
                _free()
            fail(refused)

    def _read_waiting(self) -> None:
        for _ in range(min(READ_AT_ONCE, len(self._waiting))):
            ticket = self._waiting[0]
            if ticket.question.prompt_top is not None and not ticket.told:
                self._tell_alike()
                return
            running = sum(len(group.answers) for group in self._groups)
            if running and running + ticket.question.answers > MAX_ROWS:
                return
            self._waiting.popleft()
            if ticket.waits:
                begin = partial(self._begin if ticket.question.max_tokens else _end, ticket)
                self._try(begin, ticket.post)

    def _tell_alike(self) -> None:
        """Tell of the prompts of some that wait, in one pass."""
        wait = [one for one in self._waiting
                if one.question.prompt_top is not None and not one.told]
        tickets = alike(wait, self._served.forward.can_join)
        for ticket in tickets:
            self._waiting.remove(ticket)
        tickets = [ticket for ticket in tickets if ticket.waits]

        def fail(refused: Refused) -> None:
            for ticket in tickets:
                ticket.post(refused)

        if tickets:
            self._try(partial(self._tell, tickets), fail)

    def _tell(self, tickets: Sequence[Ticket]) -> None:
        """Read prompts for what the model says of them; who wants a longer answer waits on."""
        adapter = tickets[0].question.adapter
        self._served.adapters.use(adapter)
        reader = PromptReader(
            self._served.forward, [ticket.question.ids for ticket in tickets],
            max(ticket.question.prompt_top or 0 for ticket in tickets), adapter)
        reader.read(lambda: not self._closed.is_set() and any(one.waits for one in tickets))
        for ticket, scores, last in zip(tickets, reader.scores, reader.last, strict=True):
            self._try(partial(self._told, ticket, scores, last), ticket.post)

    def _told(self, ticket: Ticket, scores: PromptScores, last: torch.Tensor) -> None:
        asked, ticket.told = ticket.question, True
        for index in range(asked.answers):
            ticket.post(Piece(index, "", (), "", time.monotonic(), scores))
            # One token is drawn from the same pass.
            if asked.max_tokens == 1:
                self._answer(ticket, index).take(last)
        if asked.max_tokens == 0:
            _end(ticket)
        if asked.max_tokens > 1:
            self._waiting.append(ticket)

    def _begin(self, ticket: Ticket) -> None:
        """Read a prompt and draw the first token of each answer."""
        asked, joins = ticket.question, self._served.forward.can_join
        answers = [self._answer(ticket, index) for index in range(asked.answers)]
        for some in [answers] if joins else [[answer] for answer in answers]:
            logits, cache = self._read(ticket)
            for answer in some:
                answer.take(logits[0])
            alive = [answer for answer in some if not answer.done]
            if alive:
                group = self._group(asked.adapter)
                before = asked.adapter.tokens if asked.adapter else 0
                group.batch.join(cache, before + len(asked.ids), len(alive))
                group.answers += alive

    def _answer(self, ticket: Ticket, index: int) -> Answer:
        asked, served = ticket.question, self._served
        speech = Speech(served.tokenizer, hidden=self._hidden - asked.shown, stops=asked.stops,
                        before=asked.ids if asked.is_text else ())
        grammar = (self._grammars.start(asked.grammar, served.forward.width)
                   if asked.grammar else None)
        return Answer(ticket, index, speech, grammar)

    def _read(self, ticket: Ticket) -> tuple[torch.Tensor, Cache]:
        """Return the scores after a prompt, and its cache."""
        asked, forward = ticket.question, self._served.forward
        adapter = asked.adapter
        self._served.adapters.use(adapter)
        cache = forward.new_cache()
        if adapter and adapter.past:
            cache = filled(adapter.past)
        return forward.read(asked.ids, cache, embeds=adapter.embeds if adapter else None,
                            goes_on=lambda: ticket.waits and not self._closed.is_set())

    def _group(self, adapter: Loaded | None) -> Group:
        """Return a group with that adapter and room for more; a new one when there is none."""
        if self._served.forward.can_join:
            for group in self._groups:
                if group.adapter is adapter:
                    return group
        group = Group(adapter, Batch(self._served.forward))
        self._groups.append(group)
        self._groups.sort(key=lambda one: one.adapter.key if one.adapter else "")
        return group

    def _continue(self, group: Group) -> None:
        """Give the answers of a group their next tokens: some at once where adapters take turns."""
        turns = SLICE if len({id(one.adapter) for one in self._groups}) > 1 else 1
        tickets = list(dict.fromkeys(answer.ticket for answer in group.answers))

        def fail(refused: Refused) -> None:
            group.answers.clear()
            for ticket in tickets:
                ticket.post(refused)

        self._try(partial(self._steps, group, turns), fail)
        if not group.answers:
            self._groups.remove(group)

    def _steps(self, group: Group, turns: int) -> None:
        self._served.adapters.use(group.adapter)
        for _ in range(turns):
            self._keep(group, [answer.ticket.waits for answer in group.answers])
            if not group.answers or self._closed.is_set():
                return
            logits = group.batch.step([answer.last for answer in group.answers])
            likeliest: list[Any] = [None] * len(group.answers)
            if any(answer.reads_only for answer in group.answers):
                likeliest = logits.argmax(dim=-1).tolist()
            for answer, row, best in zip(group.answers, logits, likeliest, strict=True):
                answer.take(row, best)
            self._keep(group, [not answer.done for answer in group.answers])

    def _keep(self, group: Group, wanted: Sequence[bool]) -> None:
        if all(wanted):
            return
        rows = [row for row, keep in enumerate(wanted) if keep]
        group.answers[:] = [group.answers[row] for row in rows]
        group.batch.keep(rows)

    def _take_off(self) -> None:
        """Unload adapters that were given up, once nobody asks them any more."""
        used = {id(group.adapter) for group in self._groups}
        used |= {id(ticket.question.adapter) for ticket in self._waiting}
        for adapter in [one for one in self._leaving if id(one) not in used]:
            self._leaving.remove(adapter)
            self._try(partial(self._served.adapters.unload, adapter), lambda refused: None)


def _end(ticket: Ticket) -> None:
    """End the answers to a question that wants no token."""
    for index in range(ticket.question.answers):
        ticket.post(Piece(index, "", (), "length", time.monotonic()))


def _free() -> None:
    """Give memory back after an error: it may have been the lack of it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
