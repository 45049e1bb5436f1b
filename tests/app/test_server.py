"""The whole server, the board included: who gets in, what comes out, how it starts and ends."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from starlette.routing import Mount
from starlette.testclient import TestClient

from app.home import Home
from app.lock import ServerLock
from app.server import (
    ServeError,
    ServerSettings,
    bind,
    choose_token,
    create_app,
    is_loopback,
    make_guard,
    prepare_environment,
    serve,
)
from app.studio import Studio

TOKEN = "a token of enough length"
HOME = "http://127.0.0.1:7860"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    studio = Studio.open(tmp_path_factory.mktemp("server") / "home")
    yield studio
    studio.close()


def built(studio, **settings):
    """Make the app as the server does, in a running loop, for a client that is no browser.

    Gradio leaves event loops open when it finds none; starlette's test client asks for templates
    in messages that no server sends.
    """
    async def make():
        return create_app(studio, ServerSettings(**settings))

    app = asyncio.run(make())

    async def plain(scope, receive, send):
        await app({**scope, "extensions": {}}, receive, send)

    plain.routes = app.routes
    return plain


@pytest.fixture(scope="module")
def app(studio):
    return built(studio, token=TOKEN, max_upload_bytes=100_000)


@pytest.fixture
def stranger(app):
    return TestClient(app, base_url=HOME, follow_redirects=False)


@pytest.fixture(scope="module")
def known(app):
    """A client that has signed in."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url=HOME, follow_redirects=False, headers=headers) as client:
        yield client


def addresses(routes, prefix=""):
    """Yield every address that the application knows, with its parameters filled in."""
    for route in routes:
        path = prefix + re.sub(r"\{[^}]*\}", "x", getattr(route, "path", ""))
        if hasattr(route, "original_router"):
            yield from addresses(route.original_router.routes, prefix)
        elif isinstance(route, Mount):
            yield path + "/x"
            yield from addresses(getattr(route.app, "routes", None) or [], path)
        else:
            yield path


def test_every_route_asks_for_a_login(app, stranger):
    found = set(addresses(app.routes))
    assert {"/", "/run", "/train", "/api/runs", "/api/runs/x/events", "/gradio_api/queue/join",
            "/gradio_api/upload", "/config"} <= found
    assert len(found) > 60
    open_ones = set()
    for path in sorted(found):
        for method in METHODS:
            answer = stranger.request(method, path)
            if answer.status_code not in (401, 403):
                open_ones.add((path, method))
    assert {path for path, _ in open_ones} == {"/api/health", "/login"}


def test_nothing_is_done_for_a_stranger(stranger, studio):
    before = studio.watermark()
    assert stranger.post("/api/runs", json={"name": "x"}).status_code == 401
    assert stranger.post("/gradio_api/upload", files={"files": ("a", b"x")}).status_code == 401
    assert stranger.post("/gradio_api/cancel", json={}).status_code == 401
    assert studio.watermark() == before


def test_health_says_nothing_about_the_machine(stranger):
    assert stranger.get("/api/health").json() == {"status": "ok", "name": "finestra"}


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/api/runs", "/theme.css"])
def test_no_answer_allows_another_origin(known, path):
    for headers in ({}, {"Origin": HOME}, {"Origin": "https://evil.test"}, {"Origin": "null"}):
        for method in ("GET", "OPTIONS"):
            answer = known.request(method, path, headers={
                **headers, "Access-Control-Request-Method": "POST"})
            assert not [n for n in answer.headers if n.startswith("access-control")]


def test_a_link_signs_in_and_the_cookie_is_kept_close(stranger):
    answer = stranger.get(f"/login?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    assert TOKEN not in cookie
    assert stranger.get("/api/runs").status_code == 200
    assert stranger.get("/").status_code == 200
    assert stranger.get("/login").headers["location"] == "/"


def test_the_cookie_is_secure_behind_https(stranger):
    answer = stranger.get(f"/login?token={TOKEN}", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in answer.headers["set-cookie"]


def test_the_form_signs_in(stranger):
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": HOME}
    wrong = stranger.post("/login", content="token=wrong", headers=form)
    assert wrong.status_code == 401 and "not right" in wrong.text
    assert "set-cookie" not in wrong.headers
    right = stranger.post("/login", headers=form,
                          content="next=/run&id=r-1&token=" + TOKEN.replace(" ", "+"))
    assert (right.status_code, right.headers["location"]) == (303, "/run?id=r-1")


@pytest.mark.parametrize("target", ["//evil", "////evil", "/\\evil", "https:evil",
                                    "%2f%2fevil", "https://evil.test", "/%2f/evil"])
def test_sign_in_only_leads_to_our_pages(stranger, target):
    for address in (f"/login?token={TOKEN}&next={target}", f"/login?next={target}&token={TOKEN}"):
        stranger.cookies.clear()
        assert stranger.get(address).headers["location"] == "/"
    for path in ("//evil.test", "/\\evil.test", "/%2f%2fevil.test"):
        answer = stranger.get(path)
        assert "evil" not in answer.headers.get("location", "")


def test_another_site_cannot_post_the_form(stranger):
    answer = stranger.post("/login", content=f"token={TOKEN}", headers={
        "Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.test"})
    assert answer.status_code == 403


def test_guessing_in_the_form_is_slowed_down(studio):
    app = create_app(studio, ServerSettings(token=TOKEN, board=False))
    client = TestClient(app, base_url=HOME, follow_redirects=False)
    seen = [client.get("/login?token=wrong").status_code for _ in range(12)]
    assert seen == [401] * 10 + [429] * 2
    assert client.get(f"/login?token={TOKEN}").status_code == 429


def test_the_prefix_of_a_proxy_is_kept(studio):
    app = create_app(studio, ServerSettings(token=TOKEN, board=False, root_path="/studio"))
    client = TestClient(app, base_url=HOME, follow_redirects=False, root_path="/studio")
    answer = client.get(f"/studio/login?token={TOKEN}")
    assert answer.headers["location"] == "/studio/"
    assert "Path=/studio/" in answer.headers["set-cookie"]
    assert client.get("/studio/api/health").status_code == 200


def test_the_pages_come_with_their_headers(known):
    for path in ("/", "/train", "/run?id=x"):
        answer = known.get(path)
        assert answer.status_code == 200 and "gradio" in answer.text
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_names_no_other_machine_to_load_from(known):
    html = known.get("/").text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"([^\"]+)\"", html)
    assert loaded and not [url for url in loaded if re.match(r"(?:https?:)?//", url)]


def test_an_upload_through_the_page_is_kept_small_and_cannot_become_a_page(known):
    path = known.post("/gradio_api/upload", files={"files": ("x.html", b"<script>")}).json()[0]
    shown = known.get(f"/gradio_api/file={path}")
    assert "sandbox" in shown.headers["content-security-policy"]
    assert shown.headers["content-disposition"].startswith("attachment")
    big = known.post("/gradio_api/upload", files={"files": ("x.txt", b"x" * 100_001)})
    assert big.status_code == 413


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd",
                                  "file:///etc/passwd", "http://127.0.0.1/x"])
def test_gradio_serves_no_file_of_the_machine(known, path):
    for address in (f"/gradio_api/file={path}", f"/gradio_api/file/{path}", f"/static/{path}",
                    f"/assets/{path}", f"/board-assets/{path}"):
        answer = known.get(address)
        assert answer.status_code >= 400 or "root:" not in answer.text
        assert "root:x" not in answer.text


def test_gradio_fetches_nothing_for_anybody(known):
    assert known.get("/gradio_api/proxy=http://127.0.0.1:1/x").status_code >= 400


def test_only_loopback_addresses_are_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.8.8.8")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "0", "10.0.0.1", "example.org",
                                     "localhost.example.org", "127.0.0.1.example.org")))


def test_a_token_is_made_where_one_is_needed():
    assert choose_token("127.0.0.1", None) == ("", False)
    first, made = choose_token("0.0.0.0", None)
    assert made and len(first) >= 40 and first != choose_token("0.0.0.0", None)[0]
    assert choose_token("127.0.0.1", TOKEN) == (TOKEN, False)
    with pytest.raises(ServeError, match="at least 16"):
        choose_token("0.0.0.0", "admin")


def test_hosts_that_are_let_in():
    assert not make_guard(ServerSettings()).any_address
    guard = make_guard(ServerSettings(host="10.1.2.3", token=TOKEN,
                                      allowed_hosts=("Studio.Example.org:443", "::2")))
    assert guard.any_address and {"studio.example.org", "10.1.2.3", "[::2]"} <= guard.allowed_hosts
    for wrong in ("a b", "http://a", "*", ""):
        with pytest.raises(ServeError):
            make_guard(ServerSettings(allowed_hosts=(wrong,)))


def test_variables_of_gradio_do_not_change_the_server(monkeypatch):
    monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/")
    monkeypatch.setenv("GRADIO_SHARE", "True")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    prepare_environment()
    left = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    assert left == {"GRADIO_ANALYTICS_ENABLED": "False"}
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_the_queue_goes_on_after_an_error(tmp_path, caplog):
    studio = Studio.open(tmp_path / "home")
    calls = []

    def ingest():
        calls.append(1)
        raise OSError(28, "No space left on device")

    studio.ingest = ingest
    app = create_app(studio, ServerSettings(board=False, tick_s=0.01))
    with TestClient(app, base_url=HOME) as client:
        deadline = time.monotonic() + 10
        while len(calls) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.get("/api/health").status_code == 200
    studio.close()
    assert len(calls) >= 5
    assert sum("No space left" in record.message for record in caplog.records) == 1


def refused(capsys, **options):
    with pytest.raises(SystemExit) as ended:
        serve(**options)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_taken_port_is_named(capsys, tmp_path):
    with contextlib.closing(bind("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused(capsys, port=port, home=tmp_path / "home")
    assert str(port) in text and "--port" in text


def test_one_server_a_home(capsys, tmp_path):
    home = Home.open(tmp_path / "home")
    with ServerLock(home.lock):
        text = refused(capsys, port=0, home=home.root)
    assert f"pid {os.getpid()}" in text


@pytest.mark.parametrize("options", [
    {"root_path": "/a b"}, {"root_path": "//evil.test/../x"}, {"allowed_hosts": ["*"]},
    {"host": "127.0.0.1.example.invalid"},
])
def test_a_setting_that_cannot_be_used_ends_with_2(capsys, tmp_path, options):
    assert refused(capsys, port=0, home=tmp_path / "home", **options).startswith("finestra: ")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_token_that_is_too_short_ends_with_2(capsys, tmp_path, monkeypatch, host):
    monkeypatch.setenv("FINESTRA_TOKEN", "admin")
    text = refused(capsys, host=host, port=0, home=tmp_path / "home")
    assert "at least 16" in text and "admin" not in text


SCRIPT = "import json, sys; from app.server import serve; serve(**json.loads(sys.argv[1]))"


@contextlib.contextmanager
def running(home, env=None, **options):
    """Start a server of its own process; yield (process, its first line)."""
    argv = [sys.executable, "-c", SCRIPT, json.dumps({"port": 0, **options})]
    environ = {**os.environ, "FINESTRA_HOME": str(home), **(env or {})}
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@pytest.mark.faults
def test_an_open_port_prints_its_token_once_and_a_killed_server_leaves_its_home(tmp_path):
    home = tmp_path / "home"
    with running(home, host="0.0.0.0") as (process, line):
        url = re.search(r"http://127\.0\.0\.1:\d+/login\?token=\S{40,}", line)[0]
        base, token = url.split("/login?token=")
        with httpx.Client(trust_env=False, timeout=20) as client:
            assert client.get(base + "/api/runs").status_code == 401
            assert client.get(url).headers["location"] == "/"
            assert client.get(base + "/api/runs").status_code == 200
        assert "torch" not in (Path("/proc") / str(process.pid) / "maps").read_text()
        assert httpx.post(base + "/gradio_api/upload", files={"files": ("a.txt", b"x")},
                          headers={"Authorization": f"Bearer {token}"}, timeout=20,
                          trust_env=False).status_code == 200
        assert list((home / "tmp").rglob("a.txt"))
        process.kill()
        assert token not in process.stdout.read()
    assert not [p for p in home.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
    with running(home, env={"FINESTRA_TOKEN": TOKEN}) as (process, line):
        assert "/login" in line and TOKEN not in line
        assert not list((home / "tmp").rglob("a.txt"))
        base = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        answer = httpx.get(base + "/api/runs", trust_env=False, timeout=20,
                           headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
    assert process.returncode == 0
