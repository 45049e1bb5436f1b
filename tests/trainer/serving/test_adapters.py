"""Adapters on one base: each answers as PEFT's own model does, and leaves no trace."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.files import read_json, write_json

pytestmark = pytest.mark.serving
TEXT = "What colour is the cup?"


@pytest.fixture
def load(server: Any) -> Any:
    """Loads adapters, and unloads them after the test."""
    names: list[str] = []

    def loaded(name: str, folder: Path) -> dict[str, Any]:
        answer = server.post("/v1/load_lora_adapter", lora_name=name, lora_path=str(folder))
        assert answer.status_code == 200, answer.text
        names.append(name)
        card: dict[str, Any] = answer.json()
        return card

    yield loaded
    for name in names:
        server.post("/v1/unload_lora_adapter", lora_name=name)


def peft_says(model: Path, adapter: Path, prompt: list[int], count: int) -> list[int]:
    """Return what PEFT's own generate says, greedily."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model),
                                            str(adapter)).eval()
        ids = torch.tensor([prompt])
        out = adapted.generate(input_ids=ids, attention_mask=torch.ones_like(ids),
                               max_new_tokens=count, do_sample=False)
    found: list[int] = out[0].tolist()
    return found[len(prompt):] if found[:len(prompt)] == prompt else found


def said(server: Any, name: str) -> tuple[list[int], list[int]]:
    answer = server.chat(TEXT, model=name, max_tokens=16)
    return answer["prompt_token_ids"], answer["choices"][0]["token_ids"]


def test_adapters_answer_as_pefts_model_and_the_base_stays(
        server: Any, load: Any, adapters: dict[str, Path], tiny_model: Path) -> None:
    before = said(server, "tiny")
    for name, folder in adapters.items():
        card = load(name, folder)
        assert card["parent"] == "tiny" and card["root"] == str(folder) and card["seconds"] < 5
        assert said(server, "tiny") == before
    for name in ("two", "one"):
        prompt, ids = said(server, name)
        assert ids == peft_says(tiny_model, adapters[name], prompt, 16) != before[1]
    with server.client() as client:
        listed = client.get("/v1/models").json()["data"]
        assert [card["id"] for card in listed] == ["tiny", "one", "two"]
        assert client.get("/v1/models/one").json()["id"] == "one"
    assert server.post("/v1/unload_lora_adapter", lora_name="one").json()["deleted"]
    assert server.refused("/v1/chat/completions", model="one", messages=[
        {"role": "user", "content": "?"}])[0] == 404
    assert said(server, "two")[1] == peft_says(tiny_model, adapters["two"], before[0], 16)
    server.post("/v1/unload_lora_adapter", lora_name="two")
    assert server.idle() and server.room.served.adapters._peft is None
    assert said(server, "tiny") == before


@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_virtual_tokens_stand_beside_other_adapters(
        kind: str, server: Any, load: Any, adapters: dict[str, Path], tiny_model: Path,
        tmp_path: Path) -> None:
    import peft

    from tests.trainer.serving.conftest import make_adapter

    folder = make_adapter(tmp_path / "virtual", tiny_model, seed=3, kind=getattr(peft, kind),
                          num_virtual_tokens=5)
    before = said(server, "tiny")[1]
    load("one", adapters["one"])
    load("virtual", folder)
    prompt, ids = said(server, "virtual")
    assert ids == peft_says(tiny_model, folder, prompt, 16) != before
    assert said(server, "one")[1] == peft_says(tiny_model, adapters["one"], prompt, 16)
    assert said(server, "tiny")[1] == before
    code = server.refused("/v1/embeddings", model="virtual", input="a")[1]["code"]
    assert code == "no_embeddings"


def test_another_method_takes_the_place_when_the_base_is_bare(
        server: Any, load: Any, adapters: dict[str, Path], tiny_model: Path,
        tmp_path: Path) -> None:
    from peft import LoHaConfig

    from tests.trainer.serving.conftest import make_adapter

    other = make_adapter(tmp_path / "loha", tiny_model, seed=4, kind=LoHaConfig, r=4,
                         target_modules=["q_proj", "v_proj"], init_weights=False)
    load("one", adapters["one"])
    status, error = server.refused("/v1/load_lora_adapter", lora_name="loha",
                                   lora_path=str(other))
    assert (status, error["code"]) == (400, "adapter_other_method")
    assert "LOHA" in error["message"] and "LORA" in error["message"]
    server.post("/v1/unload_lora_adapter", lora_name="one")
    load("loha", other)
    prompt, ids = said(server, "loha")
    assert ids == peft_says(tiny_model, other, prompt, 16)


def test_what_cannot_share_the_base_is_refused_with_a_reason(
        server: Any, adapters: dict[str, Path], tiny_model: Path, tmp_path: Path,
        cf: Any) -> None:
    from tests.trainer.serving.conftest import make_adapter

    before = said(server, "tiny")

    def refused(folder: Path, name: str = "bad") -> str:
        status, error = server.refused("/v1/load_lora_adapter", lora_name=name,
                                       lora_path=str(folder))
        assert status == 400
        return str(error["code"])

    assert refused(tmp_path / "nothing") == "adapter_missing"
    assert refused(adapters["one"], "tiny") == "adapter_loaded"
    biased = make_adapter(tmp_path / "biased", tiny_model, seed=5, bias="all")
    assert refused(biased) == "adapter_bias"
    scores = make_adapter(tmp_path / "scores", tiny_model, seed=5, task_type="FEATURE_EXTRACTION")
    assert refused(scores) == "adapter_no_words"
    wide = cf.make_tiny_model(tmp_path / "wide", seed=1)
    config = (wide / "config.json").read_text(encoding="utf-8")
    (wide / "config.json").write_text(config.replace('"intermediate_size": 128',
                                                     '"intermediate_size": 96'), encoding="utf-8")
    unfit = _of_other_width(tmp_path / "unfit", wide)
    assert refused(unfit) == "adapter_load"
    run = tmp_path / "run"
    own = make_adapter(run / "adapter", tiny_model, seed=6)
    write_json(run / "manifest.json", {"base": {"sha256": {"model.safetensors": "0" * 64}}})
    assert refused(own) == "base_changed"
    assert said(server, "tiny") == before
    assert server.refused("/v1/unload_lora_adapter", lora_name="bad")[0] == 404


def _of_other_width(folder: Path, model: Path) -> Path:
    """Write an adapter whose matrices do not fit the tiny model's."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
        get_peft_model(base, LoraConfig(target_modules=["down_proj"], task_type="CAUSAL_LM")
                       ).save_pretrained(folder)
    return folder


def test_an_adapter_that_is_asked_is_unloaded_when_its_answer_is_whole(
        server: Any, load: Any, adapters: dict[str, Path]) -> None:
    load("one", adapters["one"])
    body = {"model": "one", "messages": [{"role": "user", "content": TEXT}], "stream": True,
            "max_tokens": 300, "ignore_eos": True, "temperature": 0}
    with server.client() as client, \
            client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        began = time.monotonic()
        assert server.post("/v1/unload_lora_adapter", lora_name="one").status_code == 200
        assert time.monotonic() - began < 5
        rest = list(lines)
    assert rest[-2] == "data: [DONE]" and '"finish_reason":"length"' in "".join(rest)


def test_an_adapter_speaks_with_the_template_that_it_was_trained_with(
        server: Any, load: Any, tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    from tests.trainer.serving.conftest import make_adapter

    folder = make_adapter(tmp_path / "loud", tiny_model, seed=7)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, folder / name)
    source = (tiny_model / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(
        source.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\nThe '"),
        encoding="utf-8")
    load("loud", folder)
    base, loud = said(server, "tiny")[0], said(server, "loud")[0]
    assert loud[:len(base)] == base and len(loud) > len(base)
    other = read_json(folder / "tokenizer.json")
    words = other["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    write_json(folder / "tokenizer.json", other)
    status, error = server.refused("/v1/load_lora_adapter", lora_name="other",
                                   lora_path=str(folder))
    assert (status, error["code"]) == (400, "adapter_tokenizer")
