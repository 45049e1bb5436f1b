"""/login: the page, the form's target, and the link that is printed at the start."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.login import SESSION_S, Login, TooManyFailures, read_cookie, safe_next
from app.login_page import LOGIN_CSP, pick_locale, render
from app.security import Guard, client_of

_STATUS = {"": 200, "wrong": 401, "wait": 429}
_MAX_FORM_BYTES = 4096


def is_https(request: Request) -> bool:
    """Tell whether the browser speaks https, to us or to the proxy in front."""
    proxied = request.headers.get("x-forwarded-proto", "").split(",")[0].strip()
    return "https" in {request.url.scheme, proxied}


class LoginRoutes:
    """The handlers; ``guard`` holds the token and the prefix of the addresses."""

    def __init__(self, guard: Guard) -> None:
        """Keep the guard."""
        self.guard = guard

    def show(self, request: Request, token: str = "", next: str = "/", id: str = "") -> Response:
        """Show the form, or take the token of the printed link."""
        login = self.guard.login
        if login is None or login.knows(read_cookie(request.headers.get("cookie", ""),
                                                    login.cookie)):
            return RedirectResponse(f"{self.guard.root_path}/", status_code=303)
        if token:
            return self._try(request, login, {"token": token, "next": next, "id": id})
        return self._page(request, "", {"next": next, "id": id})

    async def submit(self, request: Request) -> Response:
        """Take the form."""
        if self.guard.login is None:
            return RedirectResponse(f"{self.guard.root_path}/", status_code=303)
        raw = (await request.body())[:_MAX_FORM_BYTES].decode("utf-8", "replace")
        fields = {name: values[0] for name, values in parse_qs(raw).items()}
        return self._try(request, self.guard.login, fields)

    def _try(self, request: Request, login: Login, fields: dict[str, str]) -> Response:
        try:
            token = fields.get("token", "").strip()
            accepted = login.accepts(token, client_of(request.scope))
        except TooManyFailures:
            return self._page(request, "wait", fields)
        if not accepted:
            return self._page(request, "wrong", fields)
        target = safe_next(fields.get("next", "/"), fields.get("id", ""))
        response = RedirectResponse(self.guard.root_path + target, status_code=303)
        response.set_cookie(login.cookie, login.session(), httponly=True, samesite="strict",
                            secure=is_https(request), path=f"{self.guard.root_path}/",
                            max_age=SESSION_S)
        return response

    def _page(self, request: Request, note: str, fields: dict[str, str]) -> Response:
        locale = pick_locale(request.cookies.get("finestra_locale", ""),
                             request.headers.get("accept-language", ""))
        html = render(locale, action=f"{self.guard.root_path}/login", note=note,
                      next_path=fields.get("next", "/"), run_id=fields.get("id", ""))
        return HTMLResponse(html, _STATUS[note], {"content-security-policy": LOGIN_CSP})


def add_login(app: FastAPI, guard: Guard) -> None:
    """Add both handlers to the application."""
    routes = LoginRoutes(guard)
    app.add_api_route("/login", routes.show, methods=["GET"], include_in_schema=False,
                      response_model=None)
    app.add_api_route("/login", routes.submit, methods=["POST"], include_in_schema=False,
                      response_model=None)
