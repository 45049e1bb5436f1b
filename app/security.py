"""The guard in front of everything: Host, Origin, content type, size, login, headers.

A pure ASGI middleware, so that event streams and uploads pass through it unbuffered. It refuses by
default: which requests may come in is decided here, before any route - ours or Gradio's - runs.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.apikeys import PREFIX, KeyRing
from app.keydoor import NO_KEY, NO_LOGIN, Refusal, check_key
from app.login import Login, TooManyFailures, read_cookie
from app.login_page import LOGIN_CSP, pick_locale, render

SAFE_METHODS = frozenset({"GET", "HEAD"})
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
OPEN_PATHS = frozenset({"/api/health", "/login"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Paths that programs and scripts of a page ask for; everything else is a page or its files.
PROGRAM_PATHS = ("/api/", "/v1/", "/gradio_api/", "/config", "/file", "/monitoring", "/proxy")
UPLOAD_PATHS = frozenset({"/gradio_api/upload", "/api/datasets", "/v1/files"})
# What a body is sent as, where that is not JSON; of a dataset's file any type that is no form's.
BODY_TYPES = {"/login": "application/x-www-form-urlencoded", "/v1/files": "multipart/form-data",
              "/gradio_api/upload": "multipart/form-data",
              "/api/datasets": "application/octet-stream"}
FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
# Gradio builds addresses out of these without asking who sent them.
UNTRUSTED_HEADERS = frozenset({b"x-forwarded-host", b"x-forwarded-prefix", b"forwarded",
                               b"x-gradio-server", b"x-original-url", b"x-rewrite-url"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}))(?::(\d{1,5}))?")
_ORIGIN = re.compile(r"(https?)://([^/?#\s]+)(?:[/?#]\S*)?")

PAGE_CSP = (
    "default-src 'self'; "
    # Gradio's page carries inline scripts and styles, and compiles js= handlers and templates.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; object-src 'none'; frame-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
DATA_CSP = "default-src 'none'; sandbox; frame-ancestors 'none'"
COMMON_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not "no-referrer": with it a browser sends "Origin: null" with our own forms
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Guard:
    """What the middleware lets in.

    Attributes:
        allowed_hosts: Names the server may be called by, lower case, without a port.
        any_address: Also accept a bare IP address as Host (no name, so nothing to rebind).
        login: None when only this machine can reach the port.
        keys: What programs show instead of the token, as far as their scopes go.
        root_path: Path under which a proxy shows the studio, '' or '/name'.
        max_upload_bytes: Largest upload.
        max_body_bytes: Largest body of any other request.
    """

    allowed_hosts: frozenset[str] = LOOPBACK_NAMES
    any_address: bool = False
    login: Login | None = None
    keys: KeyRing | None = None
    root_path: str = ""
    max_upload_bytes: int = 1 << 30
    max_body_bytes: int = 16 << 20


class BodyTooLarge(ValueError):
    """More bytes came than the guard lets through."""


def split_host(text: str) -> tuple[str, int | None] | None:
    """Split ``name[:port]`` of a Host header or an origin; None when it is neither."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    port = int(match[3]) if match[3] else None
    return match[1].lower(), port


def is_address(name: str) -> bool:
    """Tell whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_same_origin(origin: str, host: str, scheme: str = "http") -> bool:
    """Tell whether an Origin (or Referer) header names the host that was called.

    The scheme may differ when a proxy speaks https for us, never the other way round.
    """
    match = _ORIGIN.fullmatch(origin)
    theirs = split_host(match[2]) if match else None
    ours = split_host(host)
    if match is None or theirs is None or ours is None:
        return False
    default = 443 if match[1] == "https" else 80
    if scheme == "https" and match[1] != "https":
        return False
    return theirs[0] == ours[0] and (theirs[1] or default) == (ours[1] or default)


def local_path(scope: Scope) -> str:
    """Return the path without the prefix that a proxy shows us under."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root):] or "/"
    return path


def check_host(headers: Headers, guard: Guard) -> Refusal | None:
    """Refuse a Host that is not ours: a page elsewhere whose name was pointed at this machine."""
    hosts = headers.getlist("host")
    parts = split_host(hosts[0]) if len(hosts) == 1 else None
    if parts and (parts[0] in guard.allowed_hosts
                  or (guard.any_address and is_address(parts[0]))):
        return None
    return Refusal(421, "host", "This server does not answer to that host name.",
                   "Open it by an address that it was started for, or start it with "
                   "--allowed-host NAME.")


def _is_navigation(method: str, path: str, headers: Headers) -> bool:
    """Tell whether a person followed a link to one of our pages."""
    return (method in SAFE_METHODS and not path.startswith(PROGRAM_PATHS)
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") in {"document", None})


def check_origin(scope: Scope, headers: Headers) -> Refusal | None:
    """Refuse what a page of another site makes a browser send.

    Browsers attach Origin to every unsafe and every cross-origin scripted request, and
    Sec-Fetch-Site to all requests for trustworthy addresses; programs send neither.
    """
    method, path = scope["method"], local_path(scope)
    host, scheme = headers.get("host", ""), scope.get("scheme", "http")
    refusal = Refusal(403, "cross_site", "This request came from a page of another site.",
                      "Open the studio itself, or call the API from a program.")
    origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
    if len(origins) > 1 or len(sites) > 1:
        return refusal
    if origins and not is_same_origin(origins[0], host, scheme):
        return refusal
    if sites and sites[0] not in {"same-origin", "none"}:
        return None if not origins and _is_navigation(method, path, headers) else refusal
    if method in SAFE_METHODS or origins or sites:
        return None
    referer = headers.get("referer")
    return refusal if referer and not is_same_origin(referer, host, scheme) else None


def check_content(scope: Scope, headers: Headers, guard: Guard) -> Refusal | None:
    """Refuse bodies that a plain HTML form could post, and those that are too large."""
    method, path = scope["method"], local_path(scope)
    if method in SAFE_METHODS:
        return None
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    length = headers.get("content-length", "")
    if length and not (length.isascii() and length.isdecimal()):
        return Refusal(400, "content_length", "The Content-Length is no number.")
    if int(length or 0) > body_limit(path, guard):
        return too_large(path, guard)
    has_body = int(length or 0) > 0 or "transfer-encoding" in headers
    if _is_accepted(path, kind, has_body):
        return None
    return Refusal(415, "content_type", f"'{kind or 'no content type'}' is not accepted here.",
                   f"Send it with Content-Type: {_wanted(path)}.")


def _wanted(path: str) -> str:
    return BODY_TYPES.get(path, "application/json")


def _is_accepted(path: str, kind: str, has_body: bool) -> bool:
    if path == "/api/datasets":
        return kind != "" and kind not in FORM_TYPES
    if not kind and path not in BODY_TYPES:
        return not has_body
    return kind == _wanted(path)


def body_limit(path: str, guard: Guard) -> int:
    """Return how many bytes a request to the path may carry."""
    return guard.max_upload_bytes if path in UPLOAD_PATHS else guard.max_body_bytes


def too_large(path: str, guard: Guard) -> Refusal:
    """Say that a body is over the limit of its path."""
    mib = body_limit(path, guard) / (1 << 20)
    return Refusal(413, "too_large", f"This is larger than the {mib:,.0f} MiB allowed here.",
                   "Put the file on the server's disk and name its path instead.")


def client_of(scope: Scope) -> str:
    """Return the address of the other end, for counting failures."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def sign_in(scope: Scope, headers: Headers, guard: Guard) -> tuple[str, Refusal | None]:
    """Find out who is calling.

    Returns:
        (user, None), or ('', why not); the user is 'local' when no login is asked for, and
        'key:ID' for a program with a key.
    """
    method, path, keys = scope["method"], local_path(scope), guard.keys
    is_v1 = path.startswith("/v1/")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    if guard.login is None:
        if keys is not None and is_v1 and keys.asked:
            return check_key(keys, token, method, path)
        return "local", None
    cookies = "; ".join(headers.getlist("cookie"))
    if guard.login.knows(read_cookie(cookies, guard.login.cookie)):
        return "local", None
    if token.startswith(PREFIX) and keys is not None:
        return check_key(keys, token, method, path)
    refusal = NO_KEY if is_v1 else NO_LOGIN
    if not token:
        return "", refusal
    try:
        accepted = guard.login.accepts(token, client_of(scope))
    except TooManyFailures as error:
        return "", Refusal(429, "too_many_failures", str(error), "",
                           {"retry-after": f"{error.wait_s:.0f}"})
    return ("local", None) if accepted else ("", refusal)


def find_refusal(scope: Scope, guard: Guard) -> tuple[str, Refusal | None]:
    """Go through all checks in order; return (user, None) or ('', the first refusal)."""
    headers = Headers(scope=scope)
    if refusal := check_host(headers, guard):
        return "", refusal
    if scope["method"] not in METHODS:
        return "", Refusal(405, "method", f"The method {scope['method'][:16]} is not used here.")
    if refusal := check_origin(scope, headers):
        return "", refusal
    user, refusal = sign_in(scope, headers, guard)
    if refusal and local_path(scope) not in OPEN_PATHS:
        return "", refusal
    return user, check_content(scope, headers, guard)


class SecurityMiddleware:
    """Applies a Guard to every request and its headers to every answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        """Wrap an application."""
        self.app, self.guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with the reason why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Nothing here speaks WebSocket, and its handshake is not bound by CORS.
            await send({"type": "websocket.close", "code": 1008})
            return
        user, refusal = find_refusal(scope, self.guard)
        secured = _secure_headers(send, scope)
        if refusal:
            await _answer(refusal, scope, secured, self.guard)
            return
        inner = dict(scope, finestra_user=user, headers=_trusted_headers(scope["headers"]))
        await self._pass_on(inner, receive, secured)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        meter = _Meter(receive, send, body_limit(local_path(scope), self.guard))
        try:
            await self.app(scope, meter.receive, meter.send)
        except BodyTooLarge:
            meter.exceeded = True
        if meter.exceeded and not meter.started:
            await _answer(too_large(local_path(scope), self.guard), scope, send, self.guard)


class _Meter:
    """Counts the bytes of a body that has no (or a false) Content-Length."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._left = receive, send, limit
        self.exceeded = self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.exceeded = True
            raise BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        # What a framework makes of our exception (a 400 or 500) is replaced by a 413 afterwards.
        if self.exceeded and not self.started:
            return
        self.started = True
        await self._send(message)


def _trusted_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in UNTRUSTED_HEADERS]


def _secure_headers(send: Send, scope: Scope) -> Send:
    path = local_path(scope)
    is_data = path.startswith(PROGRAM_PATHS)

    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name in [n for n in headers if n.lower().startswith("access-control-")]:
                del headers[name]
            for name, value in COMMON_HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", DATA_CSP if is_data else PAGE_CSP)
            if path.startswith("/api/") or path == "/login":
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return secured


async def _answer(refusal: Refusal, scope: Scope, send: Send, guard: Guard) -> None:
    headers = Headers(scope=scope)
    extra = {"cache-control": "no-store", **refusal.headers}
    wants_page = (refusal.code == "login" and scope["method"] == "GET"
                  and "text/html" in headers.get("accept", ""))
    if wants_page:
        locale = pick_locale(read_cookie(headers.get("cookie", ""), "finestra_locale"),
                             headers.get("accept-language", ""))
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        body = render(locale, action=f"{guard.root_path}/login", next_path=local_path(scope),
                      run_id=query.get("id", [""])[0])
        extra |= {"content-security-policy": LOGIN_CSP, "content-type": "text/html; charset=utf-8"}
        extra.pop("www-authenticate", None)
    else:
        body = json.dumps(refusal.document(local_path(scope)))
        extra["content-type"] = "application/json"
    raw = body.encode("utf-8")
    extra["content-length"] = str(len(raw))
    await send({"type": "http.response.start", "status": refusal.status,
                "headers": [(k.encode(), v.encode("latin-1")) for k, v in extra.items()]})
    await send({"type": "http.response.body",
                "body": b"" if scope["method"] == "HEAD" else raw})
