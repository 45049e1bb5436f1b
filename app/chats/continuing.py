"""An answer that goes on with a text that was begun, for engines that know how and others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from app.chats.asking import Asker
from app.chats.stream import pieces
from app.serving.openai_errors import ApiError
from trainer.engines.route import Route

TEXT = "/completions"
_ASKED = ("continue_final_message", "add_generation_prompt")
# A text has no turns, no tools and no template.
_OF_CHATS = ("messages", "tools", "chat_template_kwargs")
LONGEST = 1_000_000


@asynccontextmanager
async def continued(asker: Asker, route: Route, body: dict[str, Any], prefix: str
                    ) -> AsyncIterator[httpx.Response]:
    """Ask for an answer that begins with ``prefix``; only what follows comes back.

    vLLM and others go on with the last message. Where that is refused, the prompt's tokens are
    asked for, the text's laid behind them, and the whole is continued as a text.

    Raises:
        ApiError: The engine can do neither ('no_continuing'), or refuses the question.
    """
    messages = [*body["messages"], {"role": "assistant", "content": prefix}]
    asked = {**body, "messages": messages, _ASKED[0]: True, _ASKED[1]: False}
    async with AsyncExitStack() as stack:
        try:
            response = await stack.enter_async_context(asker.asking(route, asked))
        except ApiError as error:
            if not any(name in str(error) for name in _ASKED):
                raise
            text = await _as_text(asker, route, body, prefix)
            response = await stack.enter_async_context(asker.asking(route, text, TEXT))
        yield response


async def _as_text(asker: Asker, route: Route, body: dict[str, Any], prefix: str
                   ) -> dict[str, Any]:
    before = await prompt_ids(asker, route, body)
    begun = await prompt_ids(asker, route, {"model": body["model"], "prompt": prefix}, TEXT)
    if not before or not begun:
        raise ApiError(400, "no_continuing", "This engine cannot go on with a text that was "
                       "begun. Regenerate without it.")
    # A tokenizer may put its first token before any text; the prompt has it already.
    ids = [*before, *(begun[1:] if begun[0] == before[0] else begun)]
    rest = {key: value for key, value in body.items() if key not in _OF_CHATS}
    return {"max_tokens": LONGEST, **rest, "prompt": ids}


async def prompt_ids(asker: Asker, route: Route, body: dict[str, Any],
                     path: str = "/chat/completions") -> list[int]:
    """Return the tokens of a prompt, [] when the engine does not tell; asks for one token."""
    async with asker.asking(route, {**body, "max_tokens": 1}, path) as response:
        found: list[int] = []
        async for piece in pieces(response):
            found = found or piece.prompt_ids or []
        return found
