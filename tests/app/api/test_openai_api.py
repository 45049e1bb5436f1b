"""/v1 as its clients see it: OpenAI's own client and curl, a real server, a stub engine."""

import asyncio
import contextlib
import json
import socket
import subprocess
import threading
import time

import httpx
import openai
import pytest

from app.apikeys import KeyRing
from app.server import ServerSettings, bind, create_app
from app.serving.endpoints import EndpointBook
from tests.app.api.conftest import Live, opened
from tests.app.serving.stub_engine import MODEL, TEXT, WORDS, StubEngine

NAME = f"lab/{MODEL}"
TOKEN = "a token of enough length"


def say(word):
    return [{"role": "user", "content": word}]


@pytest.fixture(scope="module")
def engine():
    with StubEngine() as stub:
        yield stub


@pytest.fixture
def stub(engine):
    engine.asked.clear()
    engine.left.clear()
    engine.thinking.clear()
    engine.busy = 0
    return engine


@pytest.fixture(scope="module")
def server(tmp_path_factory, engine):
    """A studio without a login and without keys, whose models are the stub's."""
    with opened(tmp_path_factory.mktemp("v1") / "home") as studio:
        EndpointBook(studio.home).add("lab", engine.base_url, [MODEL, "other"], key=engine.key)
        EndpointBook(studio.home).add("badkey", engine.base_url, ["m"], key="wrong")
        EndpointBook(studio.home).add("gone", "http://127.0.0.1:9/v1", ["m"])
        with Live(create_app(studio, ServerSettings(board=False, tick_s=0.05))) as live:
            live.studio = studio
            yield live


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="anything",
                       http_client=httpx.Client(trust_env=False)) as client:
        yield client


@pytest.fixture(scope="module")
def once(client):
    """The same without the client's retries."""
    return client.with_options(max_retries=0)


def test_models_are_listed_and_found(client):
    listed = {one.id: one for one in client.models.list()}
    saved = {name for name, one in listed.items() if one.owned_by == "endpoint"}
    assert saved == {NAME, "lab/other", "badkey/m", "gone/m"}
    assert client.models.retrieve(NAME) == listed[NAME]
    assert (listed[NAME].object, listed[NAME].owned_by) == ("model", "endpoint")
    with pytest.raises(openai.NotFoundError) as found:
        client.models.retrieve("lab/none")
    assert found.value.code == "model_not_found"


def test_an_answer_in_one_piece(client, stub):
    found = client.chat.completions.create(model=NAME, messages=say("talk"), n=2, stop=["x"],
                                           logprobs=True, seed=7, extra_body={"top_k": 3})
    assert [choice.message.content for choice in found.choices] == [TEXT, TEXT]
    assert found.model == NAME and found.usage.total_tokens == 8
    assert found.choices[0].logprobs.content[0].top_logprobs[0].token == "A"
    path, headers, body = stub.asked[0]
    assert path == "/v1/chat/completions"
    assert body == {"model": MODEL, "messages": say("talk"), "n": 2, "stop": ["x"],
                    "logprobs": True, "seed": 7, "top_k": 3}
    assert headers["authorization"] == f"Bearer {stub.key}"
    assert "anything" not in str(headers) and "x-stainless" not in str(headers).lower()


@pytest.mark.parametrize("word", ["talk", "torn", "bare"])
def test_a_stream_comes_as_it_was_sent(client, stub, word):
    chunks = list(client.chat.completions.create(model=NAME, messages=say(word), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert {chunk.model for chunk in chunks} == {NAME}
    assert word == "bare" or len(chunks) > len(WORDS)


def test_the_stream_helper_of_the_client(client, stub):
    with client.chat.completions.stream(model=NAME, messages=say("talk"),
                                        stream_options={"include_usage": True}) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_completion()
    assert kinds.count("content.delta") == len(WORDS) and "content.done" in kinds
    assert whole.choices[0].message.content == TEXT and whole.usage.completion_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called(client, stub, stream):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}]
    asked = {"model": NAME, "messages": say("tools"), "tools": tools, "tool_choice": "auto"}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            found = events.get_final_completion()
    else:
        found = client.chat.completions.create(**asked)
    call = found.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"model": "x", "city": "Oslo"}
    assert found.choices[0].finish_reason == "tool_calls" and found.model == NAME
    assert stub.asked[0][2]["tools"][0]["function"]["name"] == "weather"


def test_structured_output_is_parsed(client, stub):
    from pydantic import BaseModel

    class Answer(BaseModel):
        model: str
        answer: int

    found = client.chat.completions.parse(model=NAME, messages=say("json"), response_format=Answer)
    assert found.choices[0].message.parsed == Answer(model="x", answer=42)
    assert stub.asked[0][2]["response_format"]["json_schema"]["name"] == "Answer"


def test_completions_and_embeddings(client, stub):
    assert client.completions.create(model=NAME, prompt="x").choices[0].text == TEXT
    pieces = client.completions.create(model=NAME, prompt="x", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == TEXT
    found = client.embeddings.create(model=NAME, input="x", encoding_format="float")
    assert (found.model, found.data[0].embedding) == (NAME, [0.25, -1.0])


def test_the_client_asks_again_when_the_engine_is_busy(client, stub):
    found = client.chat.completions.create(model=NAME, messages=say("busy"))
    assert found.choices[0].message.content == TEXT and len(stub.asked) == 3


def test_an_unknown_model_is_404_and_asks_nobody(once, stub):
    with pytest.raises(openai.NotFoundError) as found:
        once.chat.completions.create(model="nobody", messages=say("talk"))
    assert (found.value.code, found.value.param) == ("model_not_found", "model")
    assert "nobody" in found.value.message and not stub.asked


@pytest.mark.parametrize(("more", "param"), [
    ({"chat_template": "{{ x }}"}, "chat_template"),
    ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs"),
    ({"stream": "yes"}, "stream"), ({"messages": []}, "messages"),
])
def test_a_bad_question_is_400_and_asks_nobody(once, stub, more, param):
    with pytest.raises(openai.BadRequestError) as found:
        once.chat.completions.create(model=NAME, messages=say("talk"), extra_body=more)
    assert found.value.param == param and not stub.asked


def test_a_prompt_that_is_too_long_is_told_as_the_engine_tells_it(once, stub):
    with pytest.raises(openai.BadRequestError) as found:
        once.chat.completions.create(model=NAME, messages=say("long"), stream=True)
    assert found.value.code == "context_length_exceeded" and "512 tokens" in found.value.message
    assert found.value.body["x-key"] == "Bearer [secret]" and stub.key not in str(found.value)


def test_errors_of_another_shape_are_brought_into_ours(once, stub):
    with pytest.raises(openai.NotFoundError) as found:
        once.chat.completions.create(model=NAME, messages=say("plain"))
    assert found.value.code == "endpoint_error" and "Not Found" in found.value.message


@pytest.mark.parametrize(("model", "word"), [("badkey/m", "talk"), (NAME, "leave")])
def test_what_the_client_cannot_mend_is_neither_its_401_nor_a_redirect(client, stub, model, word):
    with pytest.raises(openai.InternalServerError) as found:
        client.chat.completions.create(model=model, messages=say(word))
    assert (found.value.status_code, found.value.code) == (502, "endpoint_error")
    assert "sk-" not in found.value.message and len(stub.asked) == 1


@pytest.mark.parametrize(("model", "word"), [("gone/m", "talk"), (NAME, "die")])
def test_a_dead_engine_is_503(once, stub, model, word):
    with pytest.raises(openai.InternalServerError) as found:
        once.chat.completions.create(model=model, messages=say(word))
    assert (found.value.status_code, found.value.code) == (503, "engine_died")


@pytest.mark.parametrize("word", ["die", "stop"])
def test_an_engine_that_dies_while_streaming_ends_the_stream_with_an_error(once, stub, word):
    pieces = []
    with pytest.raises(openai.APIError) as found:
        for chunk in once.chat.completions.create(model=NAME, messages=say(word), stream=True):
            pieces.append(chunk.choices[0].delta.content)
    assert pieces == ["I was"] and found.value.code == "engine_died"


def test_a_client_that_leaves_a_stream_ends_it_at_the_engine(once, stub):
    stream = once.chat.completions.create(model=NAME, messages=say("endless"), stream=True)
    assert next(iter(stream)).choices[0].delta.content == "on and "
    assert not stub.left.is_set()
    stream.close()
    assert stub.left.wait(2)


def test_a_client_that_leaves_before_the_answer_ends_it_at_the_engine(once, stub):
    with pytest.raises(openai.APITimeoutError):
        once.with_options(timeout=0.3).chat.completions.create(model=NAME, messages=say("think"))
    assert stub.thinking.is_set() and stub.left.wait(2)


def test_many_streams_at_once_are_kept_apart(once, stub):
    found = {}

    def ask(number):
        stream = once.chat.completions.create(model="lab/other" if number % 2 else NAME,
                                              messages=say("talk"), stream=True)
        found[number] = [(c.model, c.choices[0].delta.content) for c in stream]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, chunks in found.items():
        assert {model for model, _ in chunks} == {"lab/other" if number % 2 else NAME}
        assert "".join(text or "" for _, text in chunks) == TEXT
    assert len(found) == 16


def curl(address, *words):
    done = subprocess.run(["curl", "-sS", "-N", "--noproxy", "*", "-w", "\n%{http_code}", *words,
                           address], capture_output=True, text=True, check=True, timeout=20)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_curl(server, stub):
    json_type = ("-H", "Content-Type: application/json")
    ask = json.dumps({"model": NAME, "messages": say("talk"), "stream": True})
    status, body = curl(f"{server.address}/v1/chat/completions", *json_type, "-d", ask)
    lines = [line for line in body.split("\n") if line]
    assert status == 200 and lines[-1] == "data: [DONE]"
    assert "".join(json.loads(line[6:])["choices"][0]["delta"].get("content", "")
                   for line in lines[:-1]) == TEXT
    status, body = curl(f"{server.address}/v1/chat/completions", *json_type, "-d", "{")
    assert status == 400 and json.loads(body)["error"]["code"] == "invalid_json"
    status, body = curl(f"{server.address}/v1/chat/completions", "-d", ask)
    assert status == 415 and json.loads(body)["error"]["type"] == "invalid_request_error"
    status, body = curl(f"{server.address}/v1/models")
    assert status == 200 and json.loads(body)["object"] == "list"
    assert curl(f"{server.address}/v1/nothing")[0] == 404
    status, body = curl(f"{server.address}/v1/chat/completions")
    assert status == 405 and json.loads(body)["error"]["code"] == "method_not_allowed"


def test_a_question_that_is_too_large_is_413(server, stub):
    big = json.dumps({"model": NAME, "messages": say("x" * (16 << 20))}).encode()
    kind = {"Content-Type": "application/json"}
    with httpx.Client(trust_env=False, base_url=server.address, headers=kind) as plain:
        answers = [plain.post("/v1/chat/completions", content=big),
                   plain.post("/v1/chat/completions", content=iter([big]))]
    assert [answer.status_code for answer in answers] == [413, 413]
    assert {answer.json()["error"]["code"] for answer in answers} == {"too_large"}
    assert not stub.asked


@pytest.mark.parametrize("headers", [{"Host": "evil.test"}, {"Origin": "https://evil.test"},
                                     {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_ask_nothing(server, stub, headers):
    with httpx.Client(trust_env=False, base_url=server.address, headers=headers) as plain:
        found = plain.post("/v1/chat/completions", json={"model": NAME, "messages": say("talk")})
        assert found.status_code in (403, 421) and found.json()["error"]["type"]
        assert plain.get("/v1/models").status_code in (403, 421)
    assert not stub.asked


def test_once_a_key_was_made_one_is_asked_for(tmp_path, stub):
    with opened(tmp_path / "home") as studio:
        EndpointBook(studio.home).add("lab", stub.base_url, [MODEL], key=stub.key)
        app = create_app(studio, ServerSettings(board=False, tick_s=0.05))
        with Live(app) as live, httpx.Client(trust_env=False) as http:
            def ask(secret):
                client = openai.OpenAI(base_url=f"{live.address}/v1", api_key=secret,
                                       http_client=http, max_retries=0)
                return client.chat.completions.create(model=f"lab/{MODEL}", messages=say("talk"))

            assert ask("anything").choices
            key, secret = KeyRing(studio.home).create("laptop")
            reader = KeyRing(studio.home).create("reader", ["read"])[1]
            with pytest.raises(openai.AuthenticationError) as found:
                ask("anything")
            assert found.value.code == "invalid_api_key"
            with pytest.raises(openai.PermissionDeniedError, match="scope chat"):
                ask(reader)
            assert ask(secret).choices
            assert http.get(f"{live.address}/api/runs").status_code == 200
            KeyRing(studio.home).revoke(key.id)
            with pytest.raises(openai.AuthenticationError):
                ask(secret)
        assert KeyRing(studio.home).documents()[0]["last_used_at"] > key.created_at


def test_a_studio_with_a_login_takes_its_token_or_a_key(tmp_path, stub):
    with opened(tmp_path / "home") as studio:
        EndpointBook(studio.home).add("lab", stub.base_url, [MODEL], key=stub.key)
        app = create_app(studio, ServerSettings(board=False, tick_s=0.05, token=TOKEN))
        ring = KeyRing(studio.home)
        chat, read = ring.create("a")[1], ring.create("b", ["read"])[1]
        with Live(app) as live, httpx.Client(trust_env=False, base_url=live.address) as http:
            def status(method, path, secret, **more):
                headers = {"Authorization": f"Bearer {secret}"} if secret else {}
                return http.request(method, path, headers=headers, **more).status_code

            ask = {"json": {"model": f"lab/{MODEL}", "messages": say("talk")}}
            post = [status("POST", "/v1/chat/completions", one, **ask)
                    for one in ("", "wrong", "sk-fst-wrong", chat, read, TOKEN)]
            assert post == [401, 401, 401, 200, 403, 200]
            assert [status("GET", "/v1/models", one) for one in ("", chat, read, TOKEN)] == [
                401, 200, 200, 200]
            assert [status("GET", "/api/runs", one) for one in ("", chat, read)] == [401, 403, 200]
            for path in ("/api/keys", "/api/endpoints"):
                assert [status("GET", path, one) for one in (chat, read, TOKEN)] == [403, 403, 200]
                assert status("POST", path, read, json={}) == 403
            assert status("POST", "/api/runs", read, json={}) == 403
            old = [status("GET", "/v1/models", "sk-fst-old") for _ in range(30)]
            assert old == [401] * 30 and status("GET", "/v1/models", TOKEN) == 200


def test_the_server_ends_while_an_answer_is_written(tmp_path, stub):
    with opened(tmp_path / "home") as studio:
        EndpointBook(studio.home).add("lab", stub.base_url, [MODEL], key=stub.key)
        with Live(create_app(studio, ServerSettings(board=False, tick_s=0.05))) as live:
            live.config.timeout_graceful_shutdown = 0.2
            client = openai.OpenAI(base_url=f"{live.address}/v1", api_key="x", max_retries=0,
                                   http_client=httpx.Client(trust_env=False))
            stream = client.chat.completions.create(model=f"lab/{MODEL}", stream=True,
                                                    messages=say("endless"))
            next(iter(stream))
            begin = time.monotonic()
        assert time.monotonic() - begin < 5 and stub.left.wait(2)
        client.close()


def test_small_pieces_are_not_held_back():
    """Nagle's algorithm would keep the second piece of an answer until the first is confirmed."""
    async def accepted():
        said = asyncio.get_running_loop().create_future()

        def note(_, writer):
            own = writer.get_extra_info("socket")
            said.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with contextlib.closing(bind("127.0.0.1", 0)) as sock:
            async with await asyncio.start_server(note, sock=sock):
                _, writer = await asyncio.open_connection(*sock.getsockname())
                found = await said
                writer.close()
                await writer.wait_closed()
        return found

    assert asyncio.run(accepted()) == 1
