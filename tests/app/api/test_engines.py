"""Engines, checks and the audit log over REST."""

import pytest
from starlette.testclient import TestClient

from app.server import ServerSettings, create_app
from tests.app.api.conftest import HOME, opened, served


@pytest.fixture
def rest(tmp_path):
    with opened(tmp_path / "home") as studio, served(studio) as client:
        yield client


def test_engines_and_their_kinds_are_listed(rest):
    found = rest.get("/api/engines").json()
    assert found["engines"] == [] and found["conflicts"] == []
    assert [one["kind"] for one in found["kinds"]] == ["transformers", "vllm", "llama.cpp"]
    assert all(one["installed"] or one["install"] for one in found["kinds"])


@pytest.mark.parametrize("verb", ["unload", "restart"])
def test_an_engine_that_is_not_there_is_not_found(rest, verb):
    answer = rest.post(f"/api/engines/e-none/{verb}", json={"force": True})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "unknown_engine"
    assert rest.post(f"/api/engines/x/{verb}", json={"forse": True}).status_code == 422
    (first, *_) = rest.get("/api/audit").json()["audit"]
    assert first["action"] == f"{verb}_engine" and not first["ok"]


def test_the_checks_are_those_of_the_doctor(rest):
    found = rest.get("/api/doctor").json()
    assert {"python", "torch", "starter"} <= {check["name"] for check in found["checks"]}


def test_a_key_lets_nobody_end_engines(tmp_path):
    token = {"authorization": f"Bearer {'t' * 20}"}
    with opened(tmp_path / "home") as studio:
        app = create_app(studio, ServerSettings(board=False, token="t" * 20))
        with TestClient(app, base_url=HOME) as client:
            made = client.post("/api/keys", json={"name": "a", "scopes": ["chat", "read"]},
                               headers=token).json()
            bearer = {"authorization": f"Bearer {made['key']}"}
            assert client.post("/api/engines/x/unload", headers=bearer).status_code == 403
            assert client.get("/api/audit", headers=bearer).status_code == 403
            assert client.get("/api/engines", headers=bearer).status_code == 200
            assert client.get("/api/audit", headers=token).status_code == 200
