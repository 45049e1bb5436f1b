"""Saved endpoints: what can be saved, what is kept, what answers."""

import asyncio
import json
import stat

import pytest

from app.home import Home
from app.recordfile import RecordError
from app.serving.endpoints import EndpointBackend, EndpointBook
from trainer.engines.errors import EngineError
from trainer.engines.route import Route

KEY = "sk-endpoint-endpoint"


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home")


@pytest.fixture
def book(home):
    return EndpointBook(home)


async def route(backend, name):
    async with backend.using(name) as found:
        return found


def test_models_of_an_endpoint_are_asked_for_by_its_name(book):
    book.add("lab", "http://10.0.0.5:8000/v1/", ["org/big", "small", "small"], key=KEY)
    book.add("ollama", "http://127.0.0.1:11434/v1", ["qwen3:0.6b"])
    backend = EndpointBackend(book)
    assert [one.name for one in backend.served()] == ["lab/org/big", "lab/small",
                                                      "ollama/qwen3:0.6b"]
    assert asyncio.run(route(backend, "lab/org/big")) == Route("http://10.0.0.5:8000/v1", KEY,
                                                               "org/big")
    for unknown in ("lab", "lab/", "lab/other", "big", "ollama/small", "", "lab/org/big/"):
        with pytest.raises(EngineError) as found:
            asyncio.run(route(backend, unknown))
        assert found.value.code == "unknown_model"


def test_the_key_is_in_a_private_file_and_nowhere_else(home, book):
    saved = book.add("lab", "https://example.org/v1", ["m"], key=KEY)
    assert saved.document()["has_key"] and KEY not in json.dumps(saved.document()) + repr(saved)
    held = [path for path in home.root.rglob("*") if path.is_file()
            and KEY.encode() in path.read_bytes()]
    assert held == [home.root / "endpoints.json"]
    assert stat.S_IMODE(held[0].stat().st_mode) == 0o600
    book.remove("lab")
    assert KEY.encode() not in held[0].read_bytes() and book.all() == []


def test_what_another_process_removes_answers_no_more(home, book):
    backend = EndpointBackend(book)
    book.add("lab", "https://example.org/v1", ["m"])
    EndpointBook(home).remove("lab")
    with pytest.raises(EngineError):
        asyncio.run(route(backend, "lab/m"))


@pytest.mark.parametrize("url", [
    "", "example.org/v1", "ftp://example.org/v1", "file:///v1", "http:///v1", "https://a b/v1",
    "https://example.org", "https://example.org/", "https://user:secret@example.org/v1",
    "https://@example.org/v1", "https://example.org/v1?x=1", "https://example.org/v1#x",
    "http://a\\@b/v1", "http://169.254.169.254/v1", "http://[fe80::1]/v1", "http://0.0.0.0/v1",
    "http://[::ffff:169.254.169.254]/v1", "http://224.0.0.1/v1", "http://h:99999/v1",
    "http://h:x/v1", "http://h/v1\n", "http://h:0/v1",
])
def test_addresses_that_are_refused(book, url):
    with pytest.raises(RecordError) as found:
        book.add("lab", url + ("\nx" if url.endswith("\n") else ""), ["m"])
    assert found.value.code == "bad_url" and "secret" not in str(found.value)
    assert book.all() == []


@pytest.mark.parametrize(("change", "code"), [
    ({"name": "../x"}, "bad_name"), ({"name": "a/b"}, "bad_name"), ({"name": ""}, "bad_name"),
    ({"models": []}, "bad_model"), ({"models": ["a\nb"]}, "bad_model"),
    ({"models": ["ok", ""]}, "bad_model"), ({"key": "a\r\nX: y"}, "bad_key"),
    ({"name": "taken"}, "endpoint_exists"),
])
def test_what_else_is_refused(home, book, change, code):
    book.add("taken", "https://example.org/v1", ["m"])
    given = {"name": "lab", "base_url": "https://example.org/v1", "models": ["m"], **change}
    with pytest.raises(RecordError) as found:
        book.add(given.pop("name"), given.pop("base_url"), given.pop("models"), **given)
    assert found.value.code == code and len(book.all()) == 1
    last = json.loads(home.audit.read_text().splitlines()[-1])
    assert (last["action"], last["ok"]) == ("add_endpoint", False)


def test_a_damaged_file_is_told(home, book):
    (home.root / "endpoints.json").write_text('[{"name": "lab"}]')
    with pytest.raises(EngineError) as found:
        EndpointBackend(book).served()
    assert found.value.code == "damaged_file" and found.value.advice
