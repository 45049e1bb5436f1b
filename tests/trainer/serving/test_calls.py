"""Tool calls: read in every form, held back while they grow, offered through the template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.serving
NAMES = ("get_weather", "add")
PARIS = ("get_weather", {"city": "Paris"})
ADD = ("add", {"a": 1, "b": [2]})


def plainly(calls: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    assert all(call["type"] == "function" and len(call["id"]) == 9 for call in calls)
    return [(call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in calls]


FORMS = [
    ('Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n'
     '</tool_call>\n<tool_call>{"name": "add", "arguments": {"a": 1, "b": [2]}}</tool_call>',
     "Let me see.", [PARIS, ADD]),
    ('<tool_call>{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": [2]}"}', "", [ADD]),
    ('[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}]', "", [PARIS]),
    ('[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', "", [PARIS]),
    ('<|tool_call|>[{"name": "add", "arguments": {"a": 1, "b": [2]}}]', "", [ADD]),
    ('{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ('<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ('Fine. Action: get_weather\nAction Input: {"city": "Paris"}\nAction: add\n'
     'Action Input: {"a": 1, "b": [2]}', "Fine.", [PARIS, ADD]),
    ('get_weather\n{"city": "Paris"}', "", [PARIS]),
]
WORDS = ["It is sunny.", '{"name": "unknown", "arguments": {}}', "[1, 2]", "get_weather is a tool",
         "<tool_call>{broken</tool_call>", "a < b [TOOL", '{"answer": 4}', "Action: think", "",
         '[TOOL_CALLS] {"name": "add"', "add", " \n spaced  out \n"]


@pytest.mark.parametrize(("text", "said", "calls"), FORMS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_calls_are_read_however_they_come(text: str, said: str, calls: list[Any],
                                          size: int) -> None:
    from trainer.serving.calls import CallFilter

    growing = CallFilter(NAMES)
    shown = "".join(growing.hear(text[at:at + size]) for at in range(0, len(text), size))
    rest, found = growing.finish()
    assert (shown + rest, plainly(found)) == (said, calls)


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_call_stays_text(text: str, size: int) -> None:
    from trainer.serving.calls import CallFilter

    growing = CallFilter(NAMES)
    shown = "".join(growing.hear(text[at:at + size]) for at in range(0, len(text), size))
    rest, found = growing.finish()
    assert (shown + rest, found) == (text, [])


TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}]


def test_tools_go_through_the_template_and_calls_come_back(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The starter says what it is forced to: the answer's tokens are given."""
    from tests.trainer.serving.conftest import serving
    from trainer.serving.picking import Picker, Scored

    with serving(tmp_path, "starter") as server:
        tokenizer = server.room.served.tokenizer
        text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
        ids = [*tokenizer.encode(text), tokenizer.convert_tokens_to_ids("<|im_end|>")]

        def forced(picker: Any, logits: Any, mask: Any = None) -> Scored:
            picker.at = getattr(picker, "at", -1) + 1
            return Scored(ids[picker.at], 0.0)

        monkeypatch.setattr(Picker, "pick", forced)
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Weather?"}]
        body = {"messages": messages, "tools": TOOLS, "return_token_ids": True,
                "max_tokens": 150, "temperature": 1}
        answer = server.post("/v1/chat/completions", **body).json()
        choice = answer["choices"][0]
        assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
        assert plainly(choice["message"]["tool_calls"]) == [("get_weather", {"city": "Rome"})]
        assert "get_weather" in tokenizer.decode(answer["prompt_token_ids"])
        streamed = server.post("/v1/chat/completions", stream=True, **body).text
        deltas = [json.loads(line[6:])["choices"][0]["delta"]
                  for line in streamed.split("\n\n") if line.startswith("data: {")]
        assert not any(delta.get("content") for delta in deltas)
        [call] = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
        assert call[0]["index"] == 0 and call[0]["function"]["name"] == "get_weather"
        messages += [choice["message"], {"role": "tool", "content": "Sunny.",
                                         "tool_call_id": call[0]["id"]}]
        again = server.post("/v1/chat/completions", **body).json()
        prompt = tokenizer.decode(again["prompt_token_ids"])
        assert '"city": "Rome"' in prompt and "Sunny." in prompt
        none = server.post("/v1/chat/completions", **{**body, "tool_choice": "none"}).json()
        assert none["choices"][0]["message"]["content"] == text
        assert len(none["prompt_token_ids"]) < len(again["prompt_token_ids"])
