"""The chat's stream: both sides grow, output stays text, what comes is what is shown."""

from app.board.pages._chat import conversation, stream
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
