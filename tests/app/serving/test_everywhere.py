"""A run and its base answer at /v1, through a real engine, as OpenAI's own client asks."""

import httpx
import openai
import pytest

from app.server import ServerSettings, create_app
from tests.app.api.conftest import Live, opened

pytestmark = pytest.mark.serving

ASKED = [{"role": "user", "content": "What is the opposite of old?"}]


@pytest.fixture
def server(tmp_path):
    with opened(tmp_path / "home") as studio, Live(
            create_app(studio, ServerSettings(board=False, tick_s=0.05))) as live:
        yield live


def test_the_starter_answers_and_strangers_are_not_found(server):
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="anything", max_retries=0,
                       timeout=300, http_client=httpx.Client(trust_env=False)) as client:
        assert "starter" in [model.id for model in client.models.list()]
        whole = client.chat.completions.create(model="starter", messages=ASKED, temperature=0,
                                               max_tokens=16)
        pieces = client.chat.completions.create(model="starter", messages=ASKED, temperature=0,
                                                max_tokens=16, stream=True)
        streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces
                           if piece.choices)
        answer = whole.choices[0].message.content
        assert whole.model == "starter" and "young" in answer and streamed == answer
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="no-such-run", messages=ASKED)
