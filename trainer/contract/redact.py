"""Redact secrets from text that is written, shown or handed out: logs, errors (rule R12)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

HIDDEN = "[secret]"
SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN",
                    "SWANLAB_API_KEY", "WANDB_API_KEY",
                    "OPENAI_API_KEY", "FINESTRA_JUDGE_KEY", "FINESTRA_TOKEN",
                    "MLFLOW_TRACKING_PASSWORD")
_SHORTEST = 8
_PATTERNS = (
    # Tokens that say what they are: Hugging Face, OpenAI-style keys, GitHub, AWS, Slack.
    re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
               r"|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,})"),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),
)
# A name that ends like a secret's, then its value: API_KEY=..., "token": "...".
_NAMED = re.compile(
    r"(?i)\b((?:[a-z0-9]+[_-])*(?:token|api[_-]?key|secret|password|passwd))"
    r"(\"?'?\s*[=:]\s*[\"']?)([^\s\"',;&]{8,})")
# Words that end like a secret's but count things ("num_token: 12345678").
_HARMLESS = re.compile(r"(?i)[\d.,]+|none|null|true|false")


def known_secrets(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the values of the environment's secret variables."""
    source = os.environ if environ is None else environ
    return [value for name in SECRET_VARIABLES if (value := source.get(name, ""))]


def _hide_named(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    if _HARMLESS.fullmatch(value):
        return match[0]
    return f"{name}{between}{HIDDEN}"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace secrets in a text by ``[secret]``.

    Args:
        text: Anything that will be shown.
        secrets: Exact values to hide besides what the patterns find; those shorter than eight
            characters are passed over, because hiding them would garble ordinary words.
    """
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return _NAMED.sub(_hide_named, text)
