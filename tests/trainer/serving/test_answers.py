"""What is answered: the same as the trainer's own generation says, alone, together and streamed."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytestmark = pytest.mark.serving
EOS = 2
QUESTIONS = ["What colour is the door?", "boat", "Tell me about the lamp please tell me now",
             "hat hat hat", "What?", "Is the chair green or is the chair grey, please?"]


def own(plain: Any, prompt: list[int], count: int, **values: Any) -> list[int]:
    """Return what the trainer's generation says."""
    from trainer.generate import generate_ids

    return list(generate_ids(plain[0], prompt, eos_ids=(EOS,), max_new_tokens=count, **values))


def tokens_of(answer: dict[str, Any]) -> list[int]:
    ids: list[int] = answer["choices"][0]["token_ids"]
    return ids[:-1] if ids[-1:] == [EOS] else ids


def test_greedy_answers_are_the_trainers_token_by_token(server: Any, plain: Any) -> None:
    for text in QUESTIONS[:3]:
        answer = server.chat(text, max_tokens=40)
        wanted = own(plain, answer["prompt_token_ids"], 40)
        assert tokens_of(answer) == wanted
        message, usage = answer["choices"][0]["message"], answer["usage"]
        assert message == {"role": "assistant", "content":
                           plain[1].decode(wanted, skip_special_tokens=True)}
        assert answer["prompt_token_ids"] == plain[1].apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True)["input_ids"]
        assert usage["completion_tokens"] == len(answer["choices"][0]["token_ids"])
        assert usage["prompt_tokens"] == len(answer["prompt_token_ids"])
        assert answer["timings"]["first_token_s"] > 0 < answer["timings"]["tokens_per_s"]
        finish = answer["choices"][0]["finish_reason"]
        assert finish == ("length" if len(wanted) == 40 else "stop")


def test_drawn_answers_are_the_trainers_for_a_seed(server: Any, plain: Any) -> None:
    answer = server.chat(QUESTIONS[0], temperature=0.9, seed=11, n=2)
    prompt = answer["prompt_token_ids"]
    found = [choice["token_ids"] for choice in answer["choices"]]
    assert found[0] == own(plain, prompt, 12, temperature=0.9, seed=11)
    assert found[1] == own(plain, prompt, 12, temperature=0.9, seed=12)
    assert server.chat(QUESTIONS[0], temperature=1.5)["id"] != answer["id"]


def test_together_is_the_same_as_one_after_the_other(server: Any, adapters: Any) -> None:
    assert server.room.served.forward.can_join
    for name, folder in adapters.items():
        assert server.post("/v1/load_lora_adapter", lora_name=name,
                           lora_path=str(folder)).status_code == 200
    asked = [{"text": text, "max_tokens": 6 + 9 * number, "model": model}
             for number, text in enumerate(QUESTIONS) for model in ("tiny", "one", "two")]
    alone = [server.chat(**one) for one in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: server.chat(**one), asked))
    assert [tokens_of(one) for one in together] == [tokens_of(one) for one in alone]
    assert len({str(tokens_of(one)) for one in alone}) > len(QUESTIONS)
    for name in adapters:
        assert server.post("/v1/unload_lora_adapter", lora_name=name).status_code == 200


def test_one_by_one_is_the_same_as_together(server: Any) -> None:
    """As recurrent models are continued: each sequence in a pass of its own."""
    forward, body = server.room.served.forward, {"n": 3, "temperature": 1.1, "seed": 8}
    together = [server.chat(text, **body) for text in QUESTIONS[:3]]
    forward.can_join = False
    try:
        with ThreadPoolExecutor(3) as pool:
            apart = list(pool.map(lambda text: server.chat(text, **body), QUESTIONS[:3]))
    finally:
        forward.can_join = True
    assert [one["choices"] for one in apart] == [one["choices"] for one in together]


def test_logprobs_are_those_of_a_plain_forward(server: Any, plain: Any) -> None:
    import torch

    answer = server.chat(QUESTIONS[0], logprobs=True, top_logprobs=3, max_tokens=8,
                         temperature=0.7, seed=3, presence_penalty=0.5)
    choice, prompt = answer["choices"][0], answer["prompt_token_ids"]
    with torch.inference_mode():
        logits = plain[0](torch.tensor([prompt + choice["token_ids"]])).logits[0]
    known = torch.log_softmax(logits.float(), dim=-1)[len(prompt) - 1:-1]
    assert len(choice["logprobs"]["content"]) == len(choice["token_ids"]) == 8
    for row, token, entry in zip(known, choice["token_ids"], choice["logprobs"]["content"],
                                 strict=True):
        assert math.isclose(entry["logprob"], float(row[token]), abs_tol=1e-4)
        assert entry["token"] == plain[1].decode([token])
        top = row.topk(3)
        assert [one["token"] for one in entry["top_logprobs"]] == [
            plain[1].decode([i]) for i in top.indices.tolist()]
        assert [one["logprob"] for one in entry["top_logprobs"]] == pytest.approx(
            top.values.tolist(), abs=1e-4)


def test_a_text_goes_on(server: Any, plain: Any) -> None:
    text = "The door is"
    ids = plain[1].encode(text)
    body = {"temperature": 0, "max_tokens": 10, "return_token_ids": True, "logprobs": 1}
    both = server.post("/v1/completions", prompt=[text, "A hat"], **body).json()
    wanted = own(plain, ids, 10)
    first = both["choices"][0]
    assert [choice["index"] for choice in both["choices"]] == [0, 1]
    assert first["prompt_token_ids"] == ids and first["token_ids"][:len(wanted)] == wanted
    whole = plain[1].decode(ids + wanted, skip_special_tokens=True)
    assert text + first["text"] == whole
    assert first["logprobs"]["text_offset"][0] == 0
    assert len(first["logprobs"]["tokens"]) == len(first["token_ids"])
    again = server.post("/v1/completions", prompt=ids, **body).json()["choices"][0]
    assert again["text"] == first["text"]


def chunks(response: Any) -> list[dict[str, Any]]:
    lines = [line[6:] for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_stream_adds_up_to_the_whole(server: Any) -> None:
    body = {"max_tokens": 30, "n": 2, "temperature": 1.2, "seed": 5, "logprobs": True}
    whole = server.chat(QUESTIONS[0], **body)
    streamed = server.post("/v1/chat/completions", stream=True, return_token_ids=True,
                           messages=[{"role": "user", "content": QUESTIONS[0]}],
                           stream_options={"include_usage": True}, **body)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *parts, last = chunks(streamed)
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant"
    assert parts[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    assert last["choices"] == [] and last["usage"] == whole["usage"]
    assert last["timings"]["first_token_s"] > 0
    assert all(part["usage"] is None for part in parts)
    for choice in whole["choices"]:
        mine = [part["choices"][0] for part in parts
                if part["choices"][0]["index"] == choice["index"]]
        assert "".join(p["delta"].get("content", "") for p in mine) == choice["message"]["content"]
        assert [i for p in mine for i in p.get("token_ids", [])] == choice["token_ids"]
        assert [entry for p in mine if p["logprobs"] for entry in p["logprobs"]["content"]] \
            == choice["logprobs"]["content"]
        assert [p["finish_reason"] for p in mine if p["finish_reason"]] == [
            choice["finish_reason"]]


def test_without_usage_the_last_chunk_has_the_timings(server: Any) -> None:
    parts = chunks(server.post("/v1/completions", prompt="The", stream=True, max_tokens=5))
    assert "timings" in parts[-1] and parts[-1]["choices"][0]["finish_reason"]
    assert not any("timings" in part or "usage" in part for part in parts[:-1])


def test_stop_strings_end_an_answer_across_tokens(server: Any, plain: Any) -> None:
    body = {"max_tokens": 40, "temperature": 1.0, "seed": 4,
            "logit_bias": dict.fromkeys(map(str, range(260, 400)), 30)}
    answer = server.chat(QUESTIONS[0], **body)
    text, ids = answer["choices"][0]["message"]["content"], answer["choices"][0]["token_ids"]
    border = len(plain[1].decode(ids[:8]))
    stop = text[border - 1:border + 2]
    assert stop and plain[1].decode(ids) == text and len(stop) == 3
    cut = text[:text.index(stop)]
    ended = server.chat(QUESTIONS[0], stop=["never this", stop], **body)["choices"][0]
    assert (ended["message"]["content"], ended["finish_reason"]) == (cut, "stop")
    assert len(ended["token_ids"]) < len(ids)
    parts = chunks(server.post("/v1/chat/completions", stream=True, stop=stop, messages=[
        {"role": "user", "content": QUESTIONS[0]}], **body))
    assert "".join(p["choices"][0]["delta"].get("content", "") for p in parts) == cut
    token = server.chat(QUESTIONS[0], stop_token_ids=[ids[4]], **body)["choices"][0]
    assert token["token_ids"] == ids[:ids.index(ids[4]) + 1] and token["finish_reason"] == "stop"


def test_bias_and_penalties_change_what_is_said(server: Any) -> None:
    plainly = server.chat(QUESTIONS[1], max_tokens=20)["choices"][0]["token_ids"]
    first = str(plainly[0])
    banned = server.chat(QUESTIONS[1], max_tokens=20, logit_bias={first: -100})
    assert plainly[0] not in banned["choices"][0]["token_ids"]
    forced = server.chat(QUESTIONS[1], max_tokens=20, logit_bias={"7": 1000})
    assert set(forced["choices"][0]["token_ids"]) == {7}
    varied = server.chat(QUESTIONS[1], max_tokens=20, logit_bias={"7": 3}, frequency_penalty=2,
                         presence_penalty=2, repetition_penalty=5.0)
    assert len(set(varied["choices"][0]["token_ids"])) >= 15
    greedy = server.chat(QUESTIONS[1], max_tokens=20, temperature=1.0, top_k=1)
    assert greedy["choices"][0]["token_ids"] == plainly
    for narrow in ({"top_p": 1e-6}, {"min_p": 1.0}):
        assert server.chat(QUESTIONS[1], max_tokens=20, temperature=1.0, **narrow)[
            "choices"][0]["token_ids"] == plainly
    on = server.chat(QUESTIONS[1], max_tokens=60, ignore_eos=True, logit_bias={"2": 1000})
    assert len(on["choices"][0]["token_ids"]) == 60
