"""How likely prompts are: what a plain forward says, alone, together, in pieces, with adapters."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.serving.test_batch import FAMILIES, make

pytestmark = pytest.mark.serving
PATH = "/v1/completions"
TEXTS = ["The door is red.", "hat", "What colour is the boat? please tell me. The boat is grey.",
         "ö 你好 <|im_end|>", "lamp lamp lamp lamp lamp lamp lamp"]


def known(model: Any, ids: list[int]) -> Any:
    """Return what a plain forward says: (T - 1, V) of log-probabilities."""
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -len(ids):-1]
    return torch.log_softmax(logits.float(), dim=-1)


def told(server: Any, prompt: Any, **more: Any) -> list[dict[str, Any]]:
    """Ask about prompts; returns the choices."""
    body = {"max_tokens": 1, "temperature": 0, "prompt_logprobs": 0, "return_token_ids": True}
    answer = server.post(PATH, prompt=prompt, **{**body, **more})
    assert answer.status_code == 200, answer.text
    choices: list[dict[str, Any]] = answer.json()["choices"]
    return choices


def of_own(choice: dict[str, Any]) -> list[float]:
    """Return the log-probability of each of the prompt's tokens but the first."""
    ids, entries = choice["prompt_token_ids"], choice["prompt_logprobs"]
    assert entries[0] is None and len(entries) == len(ids)
    return [entry[str(token)]["logprob"] for token, entry in zip(ids[1:], entries[1:],
                                                                 strict=True)]


def test_a_prompt_is_told_of_in_vllms_form(server: Any, plain: Any) -> None:
    model, tokenizer = plain
    (choice,) = told(server, TEXTS[2], prompt_logprobs=3)
    ids = choice["prompt_token_ids"]
    assert ids == tokenizer.encode(TEXTS[2])
    rows = known(model, ids)
    for row, token, entry in zip(rows, ids[1:], choice["prompt_logprobs"][1:], strict=True):
        mine, best = entry[str(token)], row.topk(3)
        assert mine == {"logprob": pytest.approx(float(row[token]), abs=1e-4),
                        "rank": int((row > row[token]).sum()) + 1,
                        "decoded_token": tokenizer.decode([token])}
        likeliest = [str(one) for one in best.indices.tolist()]
        assert set(entry) == {str(token), *likeliest}
        for rank, (name, value) in enumerate(zip(likeliest, best.values.tolist(), strict=True), 1):
            assert entry[name]["logprob"] == pytest.approx(value, abs=1e-4)
            assert entry[name]["rank"] == rank
    (brief,) = told(server, ids)
    assert all(list(entry) == [str(token)] for token, entry in
               zip(ids[1:], brief["prompt_logprobs"][1:], strict=True))
    assert brief["text"] == choice["text"] and len(brief["token_ids"]) == 1


def test_an_answer_follows_as_without(server: Any) -> None:
    body = {"prompt": TEXTS[:2], "temperature": 0, "logprobs": 1, "return_token_ids": True}
    for count in (1, 6):
        plainly = server.post(PATH, max_tokens=count, **body).json()
        found = server.post(PATH, max_tokens=count, prompt_logprobs=1, **body).json()
        assert found["usage"] == plainly["usage"]
        for mine, other in zip(found["choices"], plainly["choices"], strict=True):
            assert len(mine.pop("prompt_logprobs")) == len(mine["prompt_token_ids"])
            for lists in (mine["logprobs"], other["logprobs"]):
                lists["top_logprobs"] = [sorted(one) for one in lists["top_logprobs"]]
            wanted = other["logprobs"]
            wanted["token_logprobs"] = pytest.approx(wanted["token_logprobs"], abs=1e-4)
            assert mine == other
    only = server.post(PATH, max_tokens=0, prompt_logprobs=0, n=2, **body).json()
    assert only["usage"]["completion_tokens"] == 0 and len(only["choices"]) == 4
    assert only["timings"] == {"first_token_s": 0.0, "tokens_per_s": 0.0}
    for choice in only["choices"]:
        assert (choice["text"], choice["finish_reason"], choice["token_ids"]) == ("", "length", [])
    assert of_own(only["choices"][0]) == of_own(only["choices"][1]) != []


def test_together_is_the_same_as_alone_and_shares_passes(
        server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = server.room.served.forward
    alone = [of_own(*told(server, text)) for text in TEXTS]
    passes: list[tuple[int, ...]] = []
    read_all = forward.read_all

    def counted(tokens: Any, *given: Any, **more: Any) -> Any:
        passes.append(tuple(tokens.shape))
        return read_all(tokens, *given, **more)

    monkeypatch.setattr(forward, "read_all", counted)
    together = [of_own(choice) for choice in told(server, TEXTS)]
    assert [shape[0] for shape in passes] == [len(TEXTS)]
    for mine, other in zip(together, alone, strict=True):
        assert mine == pytest.approx(other, abs=1e-4)
    monkeypatch.setattr(forward, "can_join", False)
    passes.clear()
    apart = [of_own(choice) for choice in told(server, TEXTS)]
    assert [shape[0] for shape in passes] == [1] * len(TEXTS)
    assert apart == [pytest.approx(other, abs=1e-4) for other in alone]


def test_who_is_about_as_long_goes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.serving import prompts
    from trainer.serving.answering import Question, Ticket
    from trainer.serving.hot import Loaded

    monkeypatch.setattr(prompts, "MAX_TOKENS", 64)
    other = Loaded("other", Path())
    waiting = [Ticket(Question((9,) * length, 1, frozenset(), adapter=adapter), lambda _: None)
               for length, adapter in ((30, None), (4, None), (31, other), (31, None), (5, None),
                                       (29, None), (30, other), (6, None), (100, None))]
    found = []
    while waiting:
        some = prompts.alike(waiting, True)
        assert some[0] is waiting[0] and len({id(one.question.adapter) for one in some}) == 1
        found.append(sorted(len(one.question.ids) for one in some))
        waiting = [one for one in waiting if one not in some]
    assert found == [[30, 31], [4, 5, 6], [30, 31], [29], [100]]
    assert len(prompts.alike([Ticket(Question((9,), 1, frozenset()), lambda _: None)
                              for _ in range(3)], False)) == 1


def test_adapters_are_heard(server: Any, adapters: dict[str, Path], tiny_model: Path,
                            tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    from tests.trainer.serving.conftest import make_adapter

    folders = dict(adapters)
    for kind in ("PromptTuningConfig", "PrefixTuningConfig"):
        folders[kind] = make_adapter(tmp_path / kind, tiny_model, seed=3, num_virtual_tokens=5,
                                     kind=getattr(peft, kind))
    bare = [of_own(choice) for choice in told(server, TEXTS)]
    for name, folder in folders.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = peft.PeftModel.from_pretrained(
                AutoModelForCausalLM.from_pretrained(tiny_model), str(folder)).eval()
        assert server.post("/v1/load_lora_adapter", lora_name=name,
                           lora_path=str(folder)).status_code == 200
        for choice, other in zip(told(server, TEXTS, model=name), bare, strict=True):
            ids = choice["prompt_token_ids"]
            rows = known(model, ids)
            wanted = [float(row[token]) for row, token in zip(rows, ids[1:], strict=True)]
            assert of_own(choice) == pytest.approx(wanted, abs=1e-4)
            assert len(ids) == 1 or of_own(choice) != pytest.approx(other, abs=1e-2)
        server.post("/v1/unload_lora_adapter", lora_name=name)
    assert [of_own(choice) for choice in told(server, TEXTS)] == bare


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_of_model_says_what_it_says_of_a_text_alone(
        family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, slopes, places; whole and in pieces of a few places, which is all that is held."""
    import torch

    from trainer.serving import prompts as module
    from trainer.serving.batch import Forward
    from trainer.serving.prompts import PromptReader

    model, joins = make(family)
    forward = Forward(model)
    assert forward.probe([11, 22, 33, 44, 55]) == joins
    texts = [torch.randint(5, 400, (length,)).tolist() for length in (40, 1, 23, 39)]
    widths: list[int] = []
    read_all = forward.read_all

    def counted(tokens: Any, *given: Any, **more: Any) -> Any:
        widths.append(tokens.shape[1])
        return read_all(tokens, *given, **more)

    monkeypatch.setattr(forward, "read_all", counted)
    for piece_bytes in (1 << 30, 4 * 400 * 4 * 7):
        monkeypatch.setattr(module, "_PIECE_BYTES", piece_bytes)
        monkeypatch.setattr(module, "_SLICE_BYTES", 4 * 400 * 4 * 3)
        widths.clear()
        for some in [texts] if joins else [[ids] for ids in texts]:
            reader = PromptReader(forward, some, 2, None)
            reader.read()
            for ids, scores, last in zip(some, reader.scores, reader.last, strict=True):
                rows = known(model, ids)
                wanted = [float(row[token]) for row, token in zip(rows, ids[1:], strict=True)]
                assert scores.logprobs == pytest.approx(wanted, abs=1e-4)
                assert len(scores.ranks) == len(scores.top) == len(ids) - 1
                assert all(len(top) == 2 for top in scores.top)
                with torch.inference_mode():
                    after = model(torch.tensor([ids])).logits[0, -1]
                assert torch.allclose(last, after, atol=1e-4)
        if joins:
            assert max(widths) == (40 if piece_bytes == 1 << 30 else 7)
    with pytest.raises(InterruptedError):
        PromptReader(forward, texts[:1], 0, None).read(lambda: False)


def test_a_text_becomes_tokens_without_a_pass(server: Any, plain: Any,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("read_all", "read"):
        monkeypatch.delattr(type(server.room.served.forward), name)
    answer = server.post(PATH, prompt=TEXTS, echo=True, max_tokens=0, return_token_ids=True,
                         add_special_tokens=False).json()
    assert [(choice["text"], choice["prompt_token_ids"]) for choice in answer["choices"]] == [
        (text, plain[1].encode(text)) for text in TEXTS]
    assert answer["usage"]["completion_tokens"] == 0


def test_echo_is_openais_old_form(server: Any, plain: Any) -> None:
    tokenizer, text = plain[1], TEXTS[2]
    body = {"prompt": text, "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
    choice = server.post(PATH, **body, return_token_ids=True).json()["choices"][0]
    ids, lists = choice["prompt_token_ids"], choice["logprobs"]
    assert "prompt_logprobs" not in choice and choice["text"].startswith(text)
    assert {len(column) for column in lists.values()} == {len(ids) + 1}
    assert lists["tokens"] == [tokenizer.decode([token]) for token in
                               [*ids, *choice["token_ids"]]]
    assert lists["text_offset"] == [len("".join(lists["tokens"][:place]))
                                    for place in range(len(ids) + 1)]
    assert lists["token_logprobs"][0] is None and lists["top_logprobs"][0] is None
    rows = known(plain[0], ids)
    for place, (row, token) in enumerate(zip(rows, ids[1:], strict=True), start=1):
        logprob, top = lists["token_logprobs"][place], lists["top_logprobs"][place]
        assert logprob == pytest.approx(float(row[token]), abs=1e-4)
        assert max(top.values()) == pytest.approx(float(row.max()), abs=1e-4)
        # How lm-evaluation-harness tells whether a token was the likeliest.
        assert (logprob == max(top.values())) == (int(row.argmax()) == token)
    only = server.post(PATH, **{**body, "max_tokens": 0, "prompt": ids}).json()["choices"][0]
    assert only["text"] == text
    assert only["logprobs"] == {name: column[:-1] for name, column in lists.items()}
    plainly = server.post(PATH, **{**body, "logprobs": None, "max_tokens": 4}).json()
    assert plainly["choices"][0]["text"].startswith(text)
    assert plainly["choices"][0]["logprobs"] is None
    bare = server.post(PATH, prompt=text, echo=True, max_tokens=0).json()["choices"][0]
    assert (bare["text"], bare["logprobs"]) == (text, None)


def test_what_is_wrong_is_said(server: Any) -> None:
    for body, code, param in (
            ({"max_tokens": 0}, "invalid_value", "max_tokens"),
            ({"prompt_logprobs": -1}, "invalid_value", "prompt_logprobs"),
            ({"prompt_logprobs": 21}, "invalid_value", "prompt_logprobs"),
            ({"prompt_logprobs": 0, "stream": True}, "unsupported_value", "stream"),
            ({"echo": True, "stream": True}, "unsupported_value", "stream"),
            ({"prompt_logprobs": 0, "prompt": [5] * 512}, "context_length_exceeded", "prompt")):
        status, error = server.refused(PATH, **{"prompt": "a", **body})
        assert (status, error["code"], error["param"]) == (400, code, param)
    (whole,) = told(server, [5] * 512, max_tokens=0)
    assert len(of_own(whole)) == 511
    (one,) = told(server, [5])
    assert one["prompt_logprobs"] == [None] and len(one["token_ids"]) == 1
