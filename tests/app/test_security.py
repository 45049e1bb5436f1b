"""The guard on its own, in front of a tiny application that would answer everything."""

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app.login import Login
from app.security import (
    Guard,
    SecurityMiddleware,
    is_address,
    is_same_origin,
    split_host,
)

TOKEN = "a token of enough length"
HOME = "http://127.0.0.1:7860"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def echo(request):
    body = await request.body()
    headers = {"Access-Control-Allow-Origin": request.headers.get("origin", "*"),
               "Access-Control-Allow-Credentials": "true"}
    return JSONResponse({"path": request.url.path, "size": len(body),
                         "forwarded": request.headers.get("x-forwarded-host", ""),
                         "user": request.scope["finestra_user"]}, headers=headers)


async def stream(request):
    async def pieces():
        for number in range(3):
            yield f"data: {number}\n\n"
    return StreamingResponse(pieces(), media_type="text/event-stream")


def client(guard=None, **options):
    app = Starlette(routes=[Route("/api/runs/{id}/events", stream, methods=["GET"]),
                            Route("/{path:path}", echo, methods=list(METHODS))])
    app.add_middleware(SecurityMiddleware, guard=guard or Guard())
    return TestClient(app, base_url=HOME, follow_redirects=False, **options)


@pytest.fixture
def local():
    return client()


@pytest.fixture
def locked():
    return client(Guard(login=Login(TOKEN)))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7860", "localhost:1", "LOCALHOST",
                                  "[::1]:7860"])
def test_this_machine_is_answered(local, host):
    assert local.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", [
    "evil.test", "evil.test:7860", "127.0.0.1.evil.test", "localhost.evil.test", "localhost.",
    "10.0.0.1", "", "127.0.0.1:99999999", "127.0.0.1@evil.test", "evil.test/127.0.0.1", "[::2]",
    "127.0.0.1 ", "2130706433", "0.0.0.0", "a, 127.0.0.1",
])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_other_hosts_get_421(local, host, method):
    answer = local.request(method, "/api/health", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "host"


def test_two_host_headers_are_refused(local):
    answer = local.get("/", headers=[("Host", "127.0.0.1"), ("Host", "evil.test")])
    assert answer.status_code == 421


def test_an_address_is_enough_when_the_port_is_open_to_a_network():
    open_to_all = client(Guard(any_address=True, allowed_hosts=frozenset({"studio.test"})))
    for host in ("192.168.1.5:7860", "[fe80::1]", "studio.test"):
        assert open_to_all.get("/", headers={"Host": host}).status_code == 200
    assert open_to_all.get("/", headers={"Host": "evil.test"}).status_code == 421


CROSS_SITE = [
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "http://localhost:7860"},
    {"Origin": "http://127.0.0.1:7860.evil.test"},
    {"Origin": "http://127.0.0.1:7860@evil.test"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "something new"},
    {"Origin": HOME, "Sec-Fetch-Site": "cross-site"},
    {"Referer": "https://evil.test/page"},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/runs", "/gradio_api/queue/join", "/login", "/anything"])
def test_unsafe_methods_from_other_sites_get_403(local, headers, method, path):
    answer = local.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("headers", CROSS_SITE[:-1], ids=str)
@pytest.mark.parametrize("path", [
    "/api/runs", "/api/runs/r1/events", "/gradio_api/queue/data", "/gradio_api/heartbeat/x",
    "/gradio_api/upload_progress", "/gradio_api/file=x", "/config",
])
def test_event_streams_and_data_are_not_given_to_other_sites(local, headers, path):
    answer = local.get(path, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight_of_another_site_is_refused(local):
    answer = local.options("/api/runs", headers={
        "Origin": "https://evil.test", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_link_on_another_site_may_open_a_page_but_not_embed_it(local):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document"}
    assert local.get("/run?id=r1", headers=link).status_code == 200
    for part in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors"}):
        assert local.get("/run?id=r1", headers={**link, **part}).status_code == 403


@pytest.mark.parametrize("headers", [
    {}, {"Origin": HOME}, {"Origin": HOME, "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"}, {"Referer": HOME + "/train"},
])
def test_our_own_page_and_programs_come_through(local, headers):
    answer = local.post("/api/runs", json={}, headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded",
                                  "multipart/form-data; boundary=x", "application/xml", ""])
@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/r1/stop", "/gradio_api/queue/join",
                                  "/gradio_api/cancel"])
def test_only_json_is_taken(local, kind, path):
    answer = local.post(path, content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415


def test_requests_without_a_body_need_no_type(local):
    assert local.post("/api/runs/r1/stop").status_code == 200
    assert local.delete("/api/runs/r1").status_code == 200


def test_uploads_have_their_own_types(local):
    form = local.post("/gradio_api/upload", files={"files": ("a.txt", b"x")})
    assert form.status_code == 200
    for kind, status in (("application/octet-stream", 200), ("text/csv", 200),
                         ("text/plain", 415), ("multipart/form-data; boundary=x", 415)):
        answer = local.post("/api/datasets", content=b"x", headers={"Content-Type": kind})
        assert answer.status_code == status


@pytest.mark.parametrize(("path", "kind"), [
    ("/v1/files", "multipart/form-data"), ("/v1/chat/completions", "application/json"),
    ("/api/runs", "application/json"), ("/api/datasets", "application/octet-stream")])
def test_who_sends_the_wrong_type_is_told_the_right_one(local, path, kind):
    answer = local.post(path, content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415 and f"Content-Type: {kind}." in answer.text


def pieces(count):
    for _ in range(count):
        yield b"x" * 1000


def test_large_bodies_are_refused_with_and_without_a_length():
    small = client(Guard(max_body_bytes=5_000, max_upload_bytes=50_000))
    json = {"Content-Type": "application/json"}
    raw = {"Content-Type": "application/octet-stream"}
    assert small.post("/api/runs", content=b"x" * 5_000, headers=json).status_code == 200
    assert small.post("/api/runs", content=b"x" * 5_001, headers=json).status_code == 413
    assert small.post("/api/runs", content=pieces(6), headers=json).status_code == 413
    assert small.post("/api/datasets", content=pieces(50), headers=raw).status_code == 200
    assert small.post("/api/datasets", content=pieces(51), headers=raw).status_code == 413


def test_a_length_that_is_no_number_is_refused(local):
    answer = local.post("/api/runs", headers={"Content-Length": "-1",
                                              "Content-Type": "application/json"})
    assert answer.status_code == 400


def test_odd_methods_are_refused(local):
    for method in ("TRACE", "CONNECT", "PROPFIND"):
        assert local.request(method, "/api/runs").status_code == 405


def test_websockets_are_refused(local):
    with pytest.raises(WebSocketDisconnect), local.websocket_connect(
            "/gradio_api/queue", headers={"Host": "127.0.0.1:7860"}):
        pass


def test_headers_that_name_another_host_do_not_arrive(local):
    answer = local.get("/x", headers={"X-Forwarded-Host": "evil.test"})
    assert answer.json()["forwarded"] == ""


def test_every_answer_carries_the_security_headers(local):
    page, data, refused = local.get("/"), local.get("/api/runs"), local.get(
        "/", headers={"Host": "evil.test"})
    for answer in (page, data, refused):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "default-src 'none'; sandbox" in data.headers["content-security-policy"]
    assert "http" not in page.headers["content-security-policy"]
    assert data.headers["cache-control"] == "no-store"


def test_files_of_gradio_cannot_run_as_pages(local):
    answer = local.get("/gradio_api/file=/tmp/x.html")
    assert "sandbox" in answer.headers["content-security-policy"]


def test_event_streams_pass_through(local):
    assert local.get("/api/runs/r1/events").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/run", "/api/runs", "/api/health/", "//api/health",
                                  "/api/health/../runs", "/login/", "/gradio_api/queue/join",
                                  "/LOGIN", "/api/Health", "/login;x"])
def test_nothing_is_open_without_signing_in(locked, method, path):
    answer = locked.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api/health", "/login"])
def test_health_and_login_are_open(locked, path):
    answer = locked.get(path)
    assert answer.status_code == 200
    assert answer.json()["user"] == ""


def test_a_bearer_token_signs_in(locked):
    good = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/api/runs", headers=good).json()["user"] == "local"
    for value in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer  "):
        assert locked.get("/api/runs", headers={"Authorization": value}).status_code == 401


def test_a_cookie_signs_in_and_a_made_up_one_does_not(locked):
    login = Login(TOKEN)
    good = {"Cookie": f"other=1; {login.cookie}={login.session()}"}
    assert locked.get("/api/runs", headers=good).status_code == 200
    assert locked.get("/", headers={"Cookie": f"{login.cookie}=1.2"}).status_code == 401
    assert locked.get("/", headers={"Cookie": f"{login.cookie}={TOKEN}"}).status_code == 401


def test_the_right_cookie_does_not_help_another_site(locked):
    login = Login(TOKEN)
    answer = locked.post("/api/runs", json={}, headers={
        "Cookie": f"{login.cookie}={login.session()}", "Origin": "https://evil.test"})
    assert answer.status_code == 403


def test_guessing_bearer_tokens_is_slowed_down(locked):
    wrong = {"Authorization": "Bearer wrong"}
    seen = [locked.get("/api/runs", headers=wrong).status_code for _ in range(12)]
    assert seen == [401] * 10 + [429] * 2
    right = locked.get("/api/runs", headers={"Authorization": f"Bearer {TOKEN}"})
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) > 0


def test_a_browser_gets_the_login_page_in_its_language(locked):
    answer = locked.get("/run?id=r%22%3E", headers={"Accept": "text/html",
                                                  "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert answer.status_code == 401
    assert "登录" in answer.text
    assert 'name="next" value="/run"' in answer.text
    assert 'value="r&quot;&gt;"' in answer.text
    assert "script" not in answer.headers["content-security-policy"]


def test_hosts_and_origins_are_read_strictly():
    assert split_host("Example.org:80") == ("example.org", 80)
    assert split_host("[::1]") == ("[::1]", None)
    assert split_host("a b") is None
    assert is_address("[::1]") and is_address("10.0.0.1") and not is_address("example.org")
    assert is_same_origin("http://a:80", "a") and is_same_origin("https://a", "a:443")
    assert is_same_origin("https://a", "a", "http")
    assert not is_same_origin("http://a", "a", "https")
    assert not is_same_origin("ftp://a", "a") and not is_same_origin("http://a.b", "a")
