"""/v1 through langchain-openai: answers, streams, tools, embeddings."""

import asyncio

import httpx
import pytest

from app.apikeys import KeyRing
from app.server import ServerSettings, create_app
from app.serving.endpoints import EndpointBook
from tests.app.api.conftest import Live, opened
from tests.app.serving.stub_engine import MODEL, TEXT, StubEngine

NAME = f"lab/{MODEL}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with StubEngine() as stub, opened(tmp_path_factory.mktemp("lc") / "home") as studio:
        EndpointBook(studio.home).add("lab", stub.base_url, [MODEL], key=stub.key)
        with Live(create_app(studio, ServerSettings(board=False, tick_s=0.05))) as live:
            live.key = KeyRing(studio.home).create("langchain")[1]
            yield live


@pytest.fixture(scope="module")
def langchain():
    """Imported here: it takes seconds, and every collection of tests would pay for it."""
    import langchain_openai

    return langchain_openai


@pytest.fixture
def chat(langchain, server):
    with httpx.Client(trust_env=False) as http:
        yield langchain.ChatOpenAI(model=NAME, base_url=f"{server.address}/v1",
                                   api_key=server.key, http_client=http, max_retries=0)


def test_an_answer(chat):
    found = chat.invoke("talk")
    assert found.content == TEXT and found.response_metadata["model_name"] == NAME


def test_a_stream(chat):
    pieces = list(chat.stream("talk"))
    assert "".join(piece.content for piece in pieces) == TEXT
    assert len(pieces) > 5


def test_questions_in_parallel(langchain, server):
    async def ask():
        async with httpx.AsyncClient(trust_env=False) as http:
            chat = langchain.ChatOpenAI(model=NAME, base_url=f"{server.address}/v1",
                                        api_key=server.key, http_async_client=http)
            return await chat.abatch(["talk", "json"] * 4)

    found = [one.content for one in asyncio.run(ask())]
    assert found == [TEXT, '{"model":"x","answer":42}'] * 4


@pytest.mark.parametrize("stream", [False, True])
def test_tools(chat, stream):
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        return city

    bound = chat.bind_tools([weather])
    found = bound.invoke("tools")
    if stream:
        pieces = list(bound.stream("tools"))
        found = sum(pieces[1:], pieces[0])
    assert [(call["name"], call["args"]["city"]) for call in found.tool_calls] == [
        ("weather", "Oslo")]


def test_embeddings(langchain, server):
    with httpx.Client(trust_env=False) as http:
        model = langchain.OpenAIEmbeddings(
            model=NAME, base_url=f"{server.address}/v1", api_key=server.key, http_client=http,
            check_embedding_ctx_length=False)
        assert model.embed_query("x") == [0.25, -1.0]
