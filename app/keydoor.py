"""What a request without the login's token is told, and how far a key opens the door."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.apikeys import KeyRing, enough_scopes
from app.serving.openai_errors import error_document


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in, as an error document with a status."""

    status: int
    code: str
    message: str
    advice: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def document(self, path: str) -> dict[str, object]:
        """Return the body of the answer, in OpenAI's shape where its clients ask."""
        if path.startswith("/v1/"):
            return error_document(self.status, self.code,
                                  f"{self.message} {self.advice}".strip())
        return {"error": {"code": self.code, "message": self.message, "field": "",
                          "advice": self.advice}, "problems": []}


NO_LOGIN = Refusal(401, "login", "Sign in first.",
                   "Open /login, or send 'Authorization: Bearer TOKEN'.",
                   {"www-authenticate": "Bearer"})
NO_KEY = Refusal(401, "invalid_api_key", "This key opens nothing here, or none was sent.",
                 "Make one with `finestra keys create`, and send 'Authorization: Bearer KEY'.",
                 {"www-authenticate": "Bearer"})


def check_key(keys: KeyRing, secret: str, method: str, path: str) -> tuple[str, Refusal | None]:
    """Find out whose key it is, and whether its scopes are enough.

    Wrong ones are not counted: nobody guesses 256 random bits, and a program with an old key
    behind a proxy must not lock out who comes by the same address.

    Returns:
        ('key:ID', None), or ('', why not).
    """
    key = keys.find(secret)
    if key is None:
        return "", NO_KEY
    needed = enough_scopes(method, path)
    if needed.isdisjoint(key.scopes):
        advice = (f"It takes a key with the scope {' or '.join(sorted(needed))}." if needed
                  else "No key opens this: sign in with the token.")
        return "", Refusal(403, "insufficient_scope", f"The key '{key.name}' may not do this.",
                           advice)
    return f"key:{key.id}", None
