"""The chat's stream: both sides grow, output stays text, what comes is what is shown."""

import asyncio

import gradio as gr

from app.board.pages._chat import conversation, panel, stream
from app.serving.chat import ChatDelta


class TwoVoices:
    def __init__(self):
        self.asked = None

    def ask(self, run_id, messages, **settings):
        self.asked = (run_id, messages, settings)
        yield ChatDelta("base", "I <b>do</b>")
        yield ChatDelta("tuned", "In ")
        yield ChatDelta("base", " not know", True, {"tokens": 4.0, "tokens_per_s": 61.24})
        yield ChatDelta("tuned", "Duskwater.", True)


def test_both_answers_grow_and_end():
    chat = TwoVoices()
    drawn = list(stream(chat, "en", "r-1", conversation(" Where? ", "Be kind."),
                        max_new_tokens=32, temperature=0.5))
    assert chat.asked == ("r-1", [{"role": "system", "content": "Be kind."},
                                  {"role": "user", "content": "Where?"}],
                          {"max_new_tokens": 32, "temperature": 0.5, "seed": 0})
    assert "Thinking" in drawn[0][0] and 'aria-busy="true"' in drawn[0][1]
    base, tuned = drawn[-1]
    assert "I &lt;b&gt;do&lt;/b&gt; not know" in base and "4 tokens · 61.2 tokens/s" in base
    assert "In Duskwater." in tuned and 'aria-busy="false"' in tuned
    assert all("<b>" not in html for pair in drawn for html in pair)


def test_without_a_system_prompt_there_is_none():
    assert conversation("Hello", " ") == [{"role": "user", "content": "Hello"}]


class Talker:
    """Talks on both sides until it is cancelled."""

    loaded, notice = "r-1", "Answers will be slow."

    def __init__(self):
        self.cancelled = False

    def cancel(self):
        self.cancelled = True

    def ask(self, run_id, messages, **settings):
        while not self.cancelled:
            yield ChatDelta("base", "and ", True)
            yield ChatDelta("tuned", "so ")


def handlers(chat, locale="en"):
    """Return what pressing Ask and pressing Stop call."""
    async def build():
        with gr.Blocks() as built:
            panel(chat, locale, gr.Textbox())
        return built

    # Where no event loop runs, Gradio makes some and does not close them.
    blocks = asyncio.run(build())
    by_id = {block.elem_id: number for number, block in blocks.blocks.items()
             if getattr(block, "elem_id", None)}
    return [next(fn.fn for fn in blocks.fns.values() if (by_id[name], "click") in fn.targets)
            for name in ("run-chat-send", "run-chat-stop")]


def test_stop_ends_both_answers_with_what_there_is():
    chat = Talker()
    ask, stop = handlers(chat)
    drawn = ask("r-1", "Where?", "", 32, 0)
    next(drawn), next(drawn)
    stop("r-1")
    notice, *answers = list(drawn)[-1]
    assert chat.cancelled and all('aria-busy="false"' in answer for answer in answers)
    assert "and" in answers[0] and "Answers will be slow." in notice


def test_stop_leaves_the_answer_of_another_run_alone():
    chat = Talker()
    handlers(chat)[1]("r-2")
    assert not chat.cancelled


def test_the_notice_is_said_in_chinese():
    assert "回答会比较慢" in next(handlers(Talker(), "zh")[0]("r-1", "Where?", "", 32, 0))[0]
