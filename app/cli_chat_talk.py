"""A conversation in a terminal: answers as they are written, commands between them."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.text import Text

from app.chats.blind import Names, document
from app.chats.requests import Changes, NewAnswer, NewTurn, NewVote, Stop
from app.chats.rows import FORMATS, export
from app.cli_output import console, note
from app.recordfile import RecordError
from trainer.contract.conversation import Answer, Chat, Settings

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from app.chats.service import Chats

Document = dict[str, Any]
LOOK_S = 0.1
HELP = '''/system TEXT     set the system prompt, without a text show it
/set NAME=VALUE  set temperature, top_p, max_tokens, ...; without one show them
/retry [MODEL]   answer the last question once more
/stop            end the answer that is being written (so does Ctrl-C)
/vote A|B|tie|neither   say which answer was better
/save [FILE]     write the conversation to a .md, .json or .jsonl file
/quit            leave; so does Ctrl-D
End a line with \\ to go on in the next one, or write several between lines of """.'''


def clean(text: str) -> str:
    """Return a model's text for a terminal: no control characters but line ends and tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


class Screen:
    """Writes the answers to one turn as they grow, one lane after the other."""

    def __init__(self, turn_id: str, *, plain: bool) -> None:
        """Begin; ``plain`` writes what is said and nothing else, for pipes."""
        self._turn, self._plain, self._out = turn_id, plain, console()
        self._done: set[str] = set()
        self._shown = {"thinking": 0, "content": 0}
        self._headed = False

    def draw(self, chat: Chat) -> None:
        """Write what is new."""
        turn, names = chat.turn(self._turn), Names(chat)
        for lane in chat.ordered():
            answer = turn.shown_answer(lane)
            if answer is None or lane in self._done:
                continue
            self._head(names.shown(lane), alone=len(turn.answers) == 1)
            self._grow(answer)
            if answer.active:
                return
            self._end(answer, names)
            self._done.add(lane)

    def _head(self, name: str, *, alone: bool) -> None:
        if not self._headed and not alone:
            self._put(f"{name}:\n", "bold")
        self._headed = True

    def _grow(self, answer: Answer) -> None:
        for key in ("thinking", "content"):
            text, shown = getattr(answer, key), self._shown[key]
            if key == "content" and text and not shown and self._shown["thinking"]:
                self._put("\n", "dim")
            if len(text) > shown and not (self._plain and key == "thinking"):
                self._put(text[shown:], "dim" if key == "thinking" else "")
            # Less than before: what was said turned out to be thinking, and is on the screen.
            self._shown[key] = len(text)

    def _end(self, answer: Answer, names: Names) -> None:
        for call in answer.tool_calls:
            told = call["function"]
            self._put(f"\n→ {told['name']}({told['arguments']})", "cyan")
        self._put("\n")
        if answer.error:
            error = answer.error
            note(clean(names.text(f"error: {error.message} {error.advice}".rstrip())))
            if error.log:
                note(clean(error.log))
        elif not self._plain:
            self._put(f"{_numbers(answer)}\n", "dim")
        self._shown, self._headed = {"thinking": 0, "content": 0}, False

    def _put(self, text: str, style: str = "") -> None:
        if self._plain:
            sys.stdout.buffer.write(clean(text).encode("utf-8", "replace"))
            sys.stdout.flush()
        else:
            self._out.print(Text(clean(text), style=style), end="", soft_wrap=True)


def _numbers(answer: Answer) -> str:
    stats, parts = answer.stats, []
    if answer.state == "stopped":
        parts.append("stopped")
    if stats.completion_tokens is not None:
        parts.append(f"{stats.completion_tokens} tokens")
    if stats.tokens_per_s:
        parts.append(f"{stats.tokens_per_s:.1f} tokens/s")
    if stats.first_token_s is not None:
        parts.append(f"first after {stats.first_token_s:.2f} s")
    return " · ".join(parts)


class Talk:
    """A conversation, spoken from a thread that may block."""

    def __init__(self, portal: BlockingPortal, chats: Chats, chat: Document) -> None:
        """Go on with a conversation."""
        self._portal, self._chats = portal, chats
        self.chat = chat
        self._typed: list[str] = []

    def _call(self, work: Callable[..., Any], *values: Any) -> Document:
        found: Document = self._portal.call(work, self.chat["id"], *values)
        return found

    def ask(self, text: str, *, plain: bool = False, silent: bool = False) -> Document:
        """Ask something; return the conversation when all have answered."""
        said = NewTurn(parent=self.chat["leaf"], inputs=[{"role": "user", "content": text}])
        self.chat = self._call(self._chats.add_turn, said)
        return self._heard(None if silent else Screen(self.chat["leaf"], plain=plain))

    def retry(self, name: str) -> None:
        """Let the lanes, or one of them, answer the last question once more."""
        if self.chat["leaf"] is None:
            raise RecordError("no_question", "Nothing has been asked yet.")
        for lane in [name] if name else list(self.chat["turns"][self.chat["leaf"]]["answers"]):
            self.chat = self._call(self._chats.add_answer, self.chat["leaf"], NewAnswer(lane=lane))
        self._heard(Screen(self.chat["leaf"], plain=False))

    def stop(self) -> None:
        """End what is being written."""
        self._call(self._chats.stop, Stop())

    def _heard(self, screen: Screen | None) -> Document:
        """Show answers until all have ended; Ctrl-C and a typed /stop end them."""
        future: Future[Document] = self._portal.start_task_soon(self._listen, screen)
        while True:
            try:
                self.chat = future.result(LOOK_S)
                return self.chat
            except TimeoutError:
                if self._stop_was_typed():
                    self.stop()
            except KeyboardInterrupt:
                self.stop()

    async def _listen(self, screen: Screen | None) -> Document:
        async with self._chats.watched(self.chat["id"]) as (room, watcher):
            while True:
                await watcher.wait(1.0)
                watcher.take(room.chat)
                if screen:
                    screen.draw(room.chat)
                if not room.tasks:
                    return document(room.chat)

    def _stop_was_typed(self) -> bool:
        if not sys.stdin.isatty() or not select.select([sys.stdin], [], [], 0)[0]:
            return False
        line = sys.stdin.readline().rstrip("\n")
        if line.strip() != "/stop":
            self._typed += [line] if line.strip() else []
            return False
        return True

    # Commands

    def run(self) -> None:
        """Ask and answer until whoever types leaves."""
        note(f"{self.chat['id']} · /help says what there is besides questions")
        for text in self._questions():
            try:
                if not text.startswith("/"):
                    self.ask(text)
                elif text.split()[0] == "/quit":
                    return
                else:
                    self._command(*_split(text))
            except RecordError as error:
                note(f"error: {error} {error.advice}".rstrip())
            except OSError as error:
                note(f"error: {error.strerror or error}")

    def _command(self, name: str, rest: str) -> None:
        known: dict[str, Callable[[str], None]] = {
            "/help": lambda _: note(HELP), "/system": self._system, "/set": self._set,
            "/retry": self.retry, "/save": self._save, "/vote": self._vote,
            "/stop": lambda _: note("Nothing is being written.")}
        if name in known:
            known[name](rest)
        else:
            note(f"There is no {name}; see /help.")

    def _system(self, text: str) -> None:
        if text:
            self.chat = self._call(self._chats.change, Changes(system=text))
        note(self.chat["system"] or "There is no system prompt.")

    def _set(self, text: str) -> None:
        if text:
            settings = settings_of([text], self.chat["settings"])
            self.chat = self._call(self._chats.change, Changes(settings=settings))
        given = {key: value for key, value in self.chat["settings"].items() if value is not None}
        note(" ".join(f"{key}={value}" for key, value in given.items()) or "All as the model's.")

    def _vote(self, winner: str) -> None:
        if self.chat["leaf"] is None:
            raise RecordError("no_question", "Nothing has been asked yet.")
        vote = NewVote(winner=winner or "tie")
        self.chat = self._call(self._chats.vote, self.chat["leaf"], vote.winner)
        note(f"Kept. The lanes are {', '.join(self.chat['lanes'])}.")

    def _save(self, name: str) -> None:
        if not name:
            note(f"It is kept as {self.chat['id']}: finestra chats show {self.chat['id']}")
            return
        write_export(Path(os.path.expanduser(name)), [self._chats.book.load(self.chat["id"])])
        note(f"Written to {name}.")

    def _questions(self) -> Iterator[str]:
        """Yield what is typed, several lines at once where they belong together."""
        while True:
            try:
                text = self._typed.pop(0) if self._typed else _read()
            except EOFError:
                return
            except KeyboardInterrupt:
                note("")
                continue
            if text.strip():
                yield text.strip()


def _read() -> str:
    line = input("> ")
    if line.strip() == '"""':
        lines = []
        while (line := input("… ")).strip() != '"""':
            lines.append(line)
        return "\n".join(lines)
    while line.endswith("\\"):
        line = f"{line[:-1]}\n{input('… ')}"
    return line


def _split(text: str) -> tuple[str, str]:
    name, _, rest = text.partition(" ")
    return name, rest.strip()


def settings_of(pairs: list[str], known: Document) -> Settings:
    """Return settings with ``name=value`` laid over; 'null' is the model's default.

    Raises:
        RecordError: There is no such setting, or it cannot have the value.
    """
    values = dict(known)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if not equals or name.strip() not in Settings.model_fields:
            raise RecordError("chat_setting", f"'{pair[:80]}' is no setting.", "Write NAME=VALUE "
                              f"with one of: {', '.join(Settings.model_fields)}.")
        values[name.strip()] = [value] if name.strip() == "stop" and isinstance(
            value, str) else value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecordError("chat_setting", f"{'.'.join(map(str, first['loc']))}: "
                          f"{first['msg']}.") from None


def write_export(path: Path, chats: list[Chat]) -> None:
    """Write conversations in the format that the file's name says; RecordError for another."""
    form = next((form for form, (_, ending) in FORMATS.items() if path.suffix == ending), "")
    if not form:
        raise RecordError("chat_format", f"'{path.name}' says no format.",
                          f"End it with {', '.join(ending for _, ending in FORMATS.values())}.")
    path.write_text(export(chats, form), encoding="utf-8")


@contextmanager
def editing() -> Iterator[None]:
    """Let the arrow keys work while lines are typed."""
    import readline

    readline.set_history_length(500)
    yield
