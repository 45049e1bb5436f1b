"""A first chat: one question, the base's answer and the tuned model's answer side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from app.board.doors import error_note
from app.board.i18n import said, t
from app.board.pages._parts import html, note, text
from app.board.wording import number

SIDES = ("base", "tuned")
_REDRAW_S = 0.1


@dataclass
class Answer:
    """What one side has said so far."""

    words: str = ""
    done: bool = False
    stats: dict[str, Any] = field(default_factory=dict)


def answer_html(locale: str, side: str, answer: Answer | None) -> str:
    """Return one side's answer; model output is text, never HTML."""
    title = text(t(locale, f"chat.{side}"))
    if answer is None:
        body = f'<p class="f-quiet">{text(t(locale, f"chat.{side}_hint"))}</p>'
        return f'<div class="f-answer"><h3>{title}</h3>{body}</div>'
    cursor = "" if answer.done else '<i class="f-cursor" aria-hidden="true"></i>'
    waiting = not answer.words and not answer.done
    words = t(locale, "chat.waiting") if waiting else answer.words.strip()
    style = ' class="f-dim"' if waiting else ""
    return (f'<div class="f-answer" aria-live="polite" aria-busy="{str(not answer.done).lower()}">'
            f"<h3>{title}<small>{text(_speed(locale, answer))}</small></h3>"
            f"<p{style}>{text(words)}{cursor}</p></div>")


def _speed(locale: str, answer: Answer) -> str:
    tokens, speed = answer.stats.get("tokens"), answer.stats.get("tokens_per_s")
    if not tokens or not speed:
        return ""
    return t(locale, "chat.speed", tokens=int(tokens), speed=number(float(speed), 3))


def conversation(prompt: str, system: str) -> list[dict[str, str]]:
    """Return the messages of one question, the system prompt first when there is one."""
    asked = [{"role": "user", "content": prompt.strip()}]
    return [{"role": "system", "content": system.strip()}, *asked] if system.strip() else asked


def stream(chat: Any, locale: str, run_id: str, messages: list[dict[str, str]], *,
           max_new_tokens: int, temperature: float) -> Iterator[tuple[str, str]]:
    """Yield (base HTML, tuned HTML) while the answers grow."""
    answers = {side: Answer() for side in SIDES}

    def drawn() -> tuple[str, str]:
        return (answer_html(locale, "base", answers["base"]),
                answer_html(locale, "tuned", answers["tuned"]))

    yield drawn()
    last = 0.0
    for delta in chat.ask(run_id, messages, max_new_tokens=max_new_tokens,
                          temperature=temperature, seed=0):
        answer = answers[delta.side]
        answer.words += delta.text or ""
        answer.done = answer.done or delta.done
        answer.stats = delta.stats or answer.stats
        if delta.done or time.monotonic() - last > _REDRAW_S:
            last = time.monotonic()
            yield drawn()
    for answer in answers.values():
        answer.done = True
    yield drawn()


def panel(chat: Any, locale: str, run_id: gr.Textbox) -> Any:
    """Lay out the chat; return the column so that the page can show it when there is a model."""
    with gr.Column(visible=False, elem_id="run-chat", elem_classes="f-card f-chat") as column:
        html(f'<div class="f-card-head"><h2>{text(t(locale, "chat.title"))}</h2></div>'
             f'<p class="f-quiet">{text(t(locale, "chat.lead"))}</p>')
        prompt = gr.Textbox(label=t(locale, "chat.prompt"), lines=2, max_lines=8,
                            placeholder=t(locale, "chat.placeholder"), elem_id="run-chat-prompt")
        with gr.Accordion(t(locale, "chat.settings"), open=False, elem_classes="f-fold"):
            system = gr.Textbox(label=t(locale, "chat.system"), lines=1,
                                elem_id="run-chat-system")
            with gr.Row():
                longest = gr.Slider(8, 1024, value=128, step=8, label=t(locale, "chat.longest"),
                                    elem_id="run-chat-longest")
                heat = gr.Slider(0, 1.5, value=0, step=0.05, label=t(locale, "chat.temperature"),
                                 elem_id="run-chat-temperature")
        with gr.Row(elem_classes="f-actions"):
            send = gr.Button(t(locale, "chat.send"), variant="primary", scale=0, min_width=110,
                             elem_id="run-chat-send")
            halt = gr.Button(t(locale, "chat.stop"), scale=0, min_width=90,
                             elem_id="run-chat-stop")
        slow = html("", "run-chat-notice")
        with gr.Row(elem_classes="f-answers"):
            base = html(answer_html(locale, "base", None), "run-chat-base")
            tuned = html(answer_html(locale, "tuned", None), "run-chat-tuned")
    _wire(chat, locale, [run_id, prompt, system, longest, heat], [slow, base, tuned],
          send=send, halt=halt)
    return column


def _wire(chat: Any, locale: str, asked: list[Any], shown: list[Any], *, send: gr.Button,
          halt: gr.Button) -> None:
    """Connect the buttons; ``asked[0]`` holds the run's id, ``asked[1]`` the question."""

    def ask(key: str, words: str, role: str, tokens: float, temperature: float) -> Iterator[Any]:
        if not (words or "").strip():
            yield gr.skip(), gr.skip(), gr.skip()
            return
        try:
            for answers in stream(chat, locale, key, conversation(words, role or ""),
                                  max_new_tokens=int(tokens), temperature=float(temperature)):
                yield _notice(locale, chat.notice), *answers
        except Exception as error:
            yield "", error_note(locale, error), answer_html(locale, "tuned", None)

    def stop(key: str) -> None:
        # There is one engine: the answer that another run's page waits for is not ours to stop.
        if chat.loaded == key:
            chat.cancel()

    gr.on([send.click, asked[1].submit], ask, asked, shown, show_progress="hidden",
          concurrency_limit=4, trigger_mode="once", api_visibility="private")
    halt.click(stop, asked[0], None, queue=False, show_progress="hidden",
               api_visibility="private")


def _notice(locale: str, notice: str) -> str:
    """Return what the service says about its engine as a banner, or ''."""
    return note("info", said(locale, "chat_slow", notice, "")[0]) if notice else ""
