"""``finestra chat``: talk to models, one question or many; no server needed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli_options import command
from app.cli_output import note, print_json
from app.recordfile import RecordError

if TYPE_CHECKING:
    from app.chats.service import Chats

MOST_STDIN = 4_000_000
TICK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """What ``chat`` can be told."""

    words: Annotated[list[str], typer.Argument(
        metavar="MODEL... [QUESTION]", help="1 to 4 models, as GET /v1/models lists them; then a "
        "question, - for standard input, or nothing to talk.")]
    system: Annotated[str, typer.Option(help="The system prompt.")] = ""
    preset: Annotated[str, typer.Option(help="precise, balanced, creative, same-every-time, or "
                                             "one that you saved.")] = ""
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest token.")] = None
    top_p: Annotated[float | None, typer.Option(help="Tokens of this probability.")] = None
    top_k: Annotated[int | None, typer.Option(help="So many tokens.")] = None
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer.")] = None
    seed: Annotated[int | None, typer.Option(help="The same answer every time.")] = None
    sets: Annotated[list[str] | None, typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting. Repeat it.")] = None
    blind: Annotated[bool, typer.Option("--blind", help="Hide the names until a vote.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False

    def given(self) -> dict[str, Any]:
        """Return the settings that stand on the command line."""
        named = ("temperature", "top_p", "top_k", "max_tokens", "seed")
        return {name: value for name in named if (value := getattr(self, name)) is not None}


@asynccontextmanager
async def open_chats() -> AsyncIterator[Chats]:
    """Open the home's conversations with engines of our own, which end with the block."""
    from app.chats.service import Chats
    from app.serving.endpoints import EndpointBackend, EndpointBook
    from app.serving.engines.local import LocalBackend
    from app.serving.proxy import Backends
    from app.studio import Studio

    studio = Studio.open()
    engines = LocalBackend(studio)
    chats = Chats(studio.home, Backends([EndpointBackend(EndpointBook(studio.home)), engines]))

    async def keep() -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await asyncio.to_thread(engines.tick)

    ticking = asyncio.create_task(keep())
    try:
        yield chats
    finally:
        ticking.cancel()
        await chats.close()
        await asyncio.to_thread(engines.close)
        studio.close()


def chat(options: ChatOptions) -> None:
    """Talk to a model, or to several at once; every conversation is kept."""
    from anyio.from_thread import start_blocking_portal

    from app.chats.requests import NewChat
    from app.cli_chat_talk import Talk, editing, settings_of

    with start_blocking_portal() as portal, \
            portal.wrap_async_context_manager(open_chats()) as chats:
        served = {one.name for one in chats.backend.served()}
        lanes, question = split_words(options.words, served)
        question = _question(question, options.as_json)
        settings = settings_of(options.sets or [], {**_preset(chats, options.preset),
                                                    **options.given()})
        wanted = NewChat(lanes=lanes, system=options.system, settings=settings,
                         blind=options.blind)
        talk = Talk(portal, chats, portal.call(chats.create, wanted))
        if question is None:
            with editing():
                talk.run()
            return
        found = talk.ask(question, plain=not sys.stdout.isatty(), silent=options.as_json)
    _end(found, options.as_json)


def split_words(words: list[str], served: set[str]) -> tuple[list[str], str | None]:
    """Tell models from the question: the last word is one unless a model is called so.

    Raises:
        RecordError: A word that is not the last is no model, or there are too many.
    """
    models, question = list(words), None
    if len(words) > 1 and words[-1] not in served:
        question = models.pop()
    if unknown := [one for one in models if one not in served]:
        raise RecordError("unknown_model", f"There is no model '{unknown[0][:100]}'.",
                          f"There are: {', '.join(sorted(served)[:20])}.")
    if len(models) > 4:
        raise RecordError("too_many_lanes", f"These are {len(models)} models.",
                          "Ask up to four at once.")
    return models, question


def _question(question: str | None, as_json: bool) -> str | None:
    """Return what is asked; None when it is to be typed."""
    if question == "-" or (question is None and not sys.stdin.isatty()):
        question = sys.stdin.read(MOST_STDIN)
    if question is None and not as_json:
        return None
    if question is None or not question.strip():
        raise RecordError("no_question", "There is no question.",
                          "Write it behind the models, or into standard input.")
    return question


def _preset(chats: Chats, name: str) -> dict[str, Any]:
    known = {one["name"]: one["settings"] for one in chats.presets.all()}
    if name and name not in known:
        raise RecordError("unknown_preset", f"There is no preset '{name[:60]}'.",
                          f"There are: {', '.join(known)}.")
    return dict(known.get(name, {}))


def _end(found: dict[str, Any], as_json: bool) -> None:
    """Print the document; exit 1 when nobody could answer as asked."""
    turn = found["turns"][found["leaf"]]
    answers = [{"lane": lane, **next(one for one in turn["answers"][lane]
                                     if one["id"] == turn["shown"][lane])}
               for lane in turn["answers"]]
    if as_json:
        print_json({"chat": found["id"], "answers": answers})
    elif sys.stdout.isatty():
        note(f"kept as {found['id']}")
    if any(one["state"] != "done" for one in answers):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    from app import cli_chats

    command(app, "chat", ChatOptions, chat)
    app.add_typer(cli_chats.app, name="chats")
