"""Answers that have to be JSON are JSON, whatever the model would have said."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.serving
CHAT = "/v1/chat/completions"
ASK = [{"role": "user", "content": "What colour is the hat?"}]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["colour", "sure"],
          "properties": {"colour": {"enum": ["red", "blue"]}, "sure": {"type": "boolean"}}}


@pytest.mark.parametrize("temperature", [0, 1.3])
def test_an_answer_follows_its_schema(temperature: float, server: Any) -> None:
    pytest.importorskip("llguidance")
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": SCHEMA}}
    for seed in range(3):
        answer = server.post(CHAT, messages=ASK, response_format=form, temperature=temperature,
                             seed=seed, max_tokens=120, n=2).json()
        for choice in answer["choices"]:
            found = json.loads(choice["message"]["content"])
            assert set(found) == {"colour", "sure"} and found["colour"] in ("red", "blue")
            assert choice["finish_reason"] == "stop"


def test_a_bad_schema_and_a_missing_package_are_said(
        server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llguidance")
    form: dict[str, Any] = {"type": "json_schema", "json_schema": {
        "name": "bad", "schema": {"type": "colour"}}}
    status, error = server.refused(CHAT, messages=ASK, response_format=form)
    assert (status, error["code"]) == (400, "invalid_schema")
    monkeypatch.setitem(sys.modules, "llguidance", None)
    status, error = server.refused(CHAT, messages=ASK, response_format={"type": "json_object"})
    assert (status, error["code"]) == (400, "structured_output_missing")
