"""Sampled answers, rewards, teachers, in words."""

from __future__ import annotations

EN: dict[str, str] = {}
ZH: dict[str, str] = {}
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES: dict[str, str] = {}
ADVICE: dict[str, str] = {}
REASONS: dict[str, str] = {}
