"""The proxy's parts: who is asked, what is renamed, what never reaches an engine."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.serving.openai_errors import ApiError
from app.serving.proxy import Backends, Proxy, Renamer
from app.serving.questions import read_question
from app.serving.route import Served
from trainer.engines.errors import EngineError
from trainer.engines.route import Route

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def read(path="/chat/completions", **changes):
    return read_question(path, json.dumps({**CHAT, **changes}).encode())


def refused(path="/chat/completions", **changes):
    with pytest.raises(ApiError) as found:
        read(path, **changes)
    assert found.value.status == 400
    return found.value


def renamed(name, pieces):
    renamer = Renamer(name)
    return b"".join([*(renamer.feed(piece) for piece in pieces), renamer.end()])


def test_only_the_value_of_model_is_replaced():
    text = '{"model": "x\\"y", "text": "a \\"model\\":\\"x\\" b", "n":["model","model"],"m":1}'
    found = renamed('my "own"', [text.encode()])
    assert json.loads(found) == {**json.loads(text), "model": 'my "own"'}
    assert found.replace(b'"my \\"own\\""', b'"x\\"y"').replace(b'"model":', b'"model": ', 1) \
        == text.encode()


@given(st.text(), st.text(), st.text(max_size=5), st.lists(st.integers(1, 40), max_size=30))
def test_a_stream_is_the_same_however_it_is_cut(name, text, model, cuts):
    one = {"model": model, "choices": [{"delta": {"content": text, "role": '"model":"z"'}}]}
    raw = b"".join(b"data: " + json.dumps(one, ensure_ascii=bool(n)).encode(
        "utf-8", "surrogatepass") + b"\n\n" for n in range(2)) + b"data: [DONE]"
    pieces, at = [], 0
    for size in cuts:
        pieces.append(raw[at:at + size])
        at += size
    found = renamed(name, [*pieces, raw[at:]]).split(b"\n\n")
    assert found[-1] == b"data: [DONE]"
    assert [json.loads(line[6:]) for line in found[:-1]] == [{**one, "model": name}] * 2


def test_a_line_without_end_is_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr("app.serving.proxy.LONGEST_LINE", 100)
    renamer = Renamer("m")
    renamer.feed(b"x" * 100)
    with pytest.raises(EngineError):
        renamer.feed(b"x")


class Fixed:
    """A backend that knows some names."""

    def __init__(self, base_url, *names, fault=None):
        self.base_url, self.names, self.fault, self.held = base_url, names, fault, 0

    def served(self):
        return [Served(name, "base", self.base_url, 1) for name in self.names]

    @contextlib.asynccontextmanager
    async def using(self, name):
        if name not in self.names:
            raise EngineError("unknown_model", "no")
        if self.fault:
            raise self.fault
        self.held += 1
        try:
            yield Route(self.base_url, "", name)
        finally:
            self.held -= 1


async def asked(backends, name):
    async with backends.using(name) as route:
        return route.base_url


def test_the_first_backend_that_knows_a_name_answers():
    first, second = Fixed("first", "a"), Fixed("second", "a", "b")
    both = Backends([first, second])
    assert asyncio.run(asked(both, "a")) == "first" and asyncio.run(asked(both, "b")) == "second"
    assert [(one.name, one.label) for one in both.served()] == [("a", "first"), ("b", "second")]
    assert first.held == second.held == 0
    with pytest.raises(EngineError, match="no model 'c'"):
        asyncio.run(asked(both, "c"))


def test_a_backend_that_cannot_answer_is_not_passed_over():
    busy = Fixed("first", "a", fault=EngineError("device_busy", "A run holds the GPU."))
    with pytest.raises(EngineError, match="holds the GPU"):
        asyncio.run(asked(Backends([busy, Fixed("second", "a")]), "a"))


def test_what_happens_while_an_answer_is_written_is_seen_by_its_backend():
    seen = []

    class Watching(Fixed):
        @contextlib.asynccontextmanager
        async def using(self, name):
            try:
                yield Route("", "", name)
            except OSError as error:
                seen.append(error)
                raise EngineError("engine_died", "with its log") from error

    async def broken():
        async with Backends([Watching("", "a")]).using("a"):
            raise OSError("gone")

    with pytest.raises(EngineError, match="with its log"):
        asyncio.run(broken())
    assert len(seen) == 1


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b'{"model": NaN}',
                                 b"[" * 3000])
def test_bodies_that_are_no_questions(raw):
    with pytest.raises(ApiError) as found:
        read_question("/chat/completions", raw)
    assert (found.value.status, found.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(("path", "changes", "param"), [
    ("/chat/completions", {"model": None}, "model"), ("/chat/completions", {"model": ""}, "model"),
    ("/chat/completions", {"model": "m" * 301}, "model"),
    ("/chat/completions", {"model": ["m"]}, "model"),
    ("/chat/completions", {"messages": []}, "messages"),
    ("/chat/completions", {"messages": "hi"}, "messages"),
    ("/chat/completions", {"messages": ["hi"]}, "messages"),
    ("/chat/completions", {"stream": "yes"}, "stream"), ("/completions", {}, "prompt"),
    ("/embeddings", {"input": ""}, "input"),
])
def test_the_wrong_field_is_named(path, changes, param):
    assert refused(path, **changes).param == param


def test_everything_else_passes_as_it_came():
    more = {"temperature": 0, "top_k": 5, "logprobs": True, "n": 2, "stop": ["a"], "seed": 2**53,
            "response_format": {"type": "json_object"}, "tools": [{"function": {"parameters": {
                "properties": {"image_url": {"type": "string"}, "url": "http://x"}}}}],
            "chat_template_kwargs": {"enable_thinking": False, "effort": "very high", "n": 3},
            "messages": [{"role": "user", "content": "模型"}, {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}
    found = read(**more)
    assert json.loads(found.to("theirs")) == {**CHAT, **more, "model": "theirs"}


@pytest.mark.parametrize("changes", [
    {"chat_template": "{{ x }}"}, {"chat_template": ""}, {"prompt_embeds": "gAR9"},
    {"logits_processors": ["os.system"]}, {"mm_processor_kwargs": {"trust_remote_code": True}},
    {"kv_transfer_params": {"remote_host": "h"}}, {"chat_template_kwargs": {"chat_template": "x"}},
    {"chat_template_kwargs": {"tokenize": False}}, {"chat_template_kwargs": {"x": "{{ y }}"}},
    {"chat_template_kwargs": {"x": {"y": 1}}}, {"chat_template_kwargs": {"x": ["y"]}},
    {"chat_template_kwargs": {"__class__ x": 1}}, {"chat_template_kwargs": "x"},
    {"chat_template_kwargs": {"x": "y" * 65}},
], ids=str)
@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings"])
def test_templates_and_programs_are_refused(path, changes):
    assert refused(path, prompt="x", input="x", **changes).param in changes


@pytest.mark.parametrize("part", [
    {"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}},
    {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
    {"type": "image_url", "image_url": "file:///etc/passwd"},
    {"type": "image_url", "image_url": {"url": " data:x"}},
    {"type": "image_url", "image_url": {"url": 5}},
    {"type": "video_url", "video_url": {"url": "http://x"}},
    {"type": "audio_url", "audio_url": {"deep": [{"url": "gopher://x"}]}},
    {"type": "image_embeds", "image_embeds": "gAR9"}, {"type": "prompt_embeds", "data": "gAR9"},
    {"image_url": "http://x"},
], ids=str)
def test_nothing_in_a_message_is_fetched_or_unpacked(part):
    message = {"role": "user", "content": [{"type": "text", "text": "hi"}, part]}
    assert refused(messages=[CHAT["messages"][0], message]).param == "messages.1"
    assert refused("/embeddings", input="x", messages=[message]).param == "messages.0"


def test_a_message_that_is_nested_without_end_is_refused():
    deep = []
    for _ in range(50):
        deep = [{"content": deep}]
    assert refused(messages=[{"role": "user", "content": deep}])


@pytest.mark.parametrize("changes", [{"prompt_logprobs": 0}, {"echo": True, "logprobs": 0}])
def test_an_engine_that_would_end_is_not_asked_how_likely_a_text_is(changes):
    question = read_question("/completions", json.dumps(
        {"model": "m", "prompt": "hi", **changes}).encode())
    assert question.wants_likelihoods
    sent = []

    class Silent(Fixed):
        @contextlib.asynccontextmanager
        async def using(self, name):
            # Nothing listens there: whoever was asked would say 503.
            yield Route("http://127.0.0.1:1/v1", "", name, tells_likelihoods=False)

    async def ask():
        async def send(message):
            sent.append(message)

        await Proxy(Silent("", "m")).answer(question, asyncio.Event().wait, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 400 and b"how likely" in sent[1]["body"]


def test_most_questions_ask_for_no_likelihoods():
    assert not read(logprobs=True, top_logprobs=2).wants_likelihoods
    assert not read(echo=True).wants_likelihoods
