"""The catalogue of bases: well-formed, plausible, and known to the installed Transformers."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.contract.catalogue import (
    METHODS,
    RANK,
    ROWS,
    TOKENS,
    CatalogueModel,
    Shape,
    find,
    load_catalogue,
    rough_memory,
    sizes_in,
)
from trainer.contract.config import parse
from trainer.contract.models import ModelFacts
from trainer.contract.places import template_names
from trainer.contract.plan import Setting, estimate

MODELS = load_catalogue()
# Licences that SPDX or the hub's own list of short names knows.
LICENCES = {"apache-2.0", "mit", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4",
            "gemma", "qwen", "qwen-research", "tongyi-qianwen", "cc-by-nc-4.0", "deepseek", "mrl",
            "mnpl", "nvidia-open-model-license", "glm-4", "falcon-llm-license", "lfm1.0", "exaone",
            "bigscience-bloom-rail-1.0", "bigcode-openrail-m"}


def transformers_families():
    """The model types that the installed Transformers maps to a config, read without running it."""
    spec = importlib.util.find_spec("transformers")
    file = Path(spec.origin).parent / "models" / "auto" / "auto_mappings.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "CONFIG_MAPPING_NAMES":
            return {ast.literal_eval(pair)[0] for pair in node.value.args[0].elts}
    raise AssertionError("Transformers keeps its mapping elsewhere now")


def test_there_are_many_and_each_once():
    assert len(MODELS) >= 100
    assert len({model.id.casefold() for model in MODELS}) == len(MODELS)
    usable = [model for model in MODELS if not model.obstacle]
    assert len(usable) >= 100 and len({model.family for model in usable}) >= 30
    assert {model.kind for model in MODELS} == {"base", "instruct", "reasoning", "vision"}


def test_every_family_is_one_of_the_pinned_transformers():
    known = transformers_families()
    assert len(known) > 400
    assert {model.family for model in MODELS} - known == set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_an_entry_is_plausible(model):
    assert model.id.count("/") == 1
    assert model.template in {*template_names(), "own"}
    assert model.licence is None or model.licence in LICENCES
    assert model.modelscope in ("", "=") or model.modelscope.count("/") == 1
    assert model.active is None or model.active < model.billions
    named = sizes_in(model.id)
    close = [size for size in named for real in (model.billions, model.active or model.billions)
             if abs(size - real) <= 0.42 * real]
    assert close or not named, (named, model.billions)


def test_what_is_left_out_is_little():
    unknown = [model for model in MODELS if model.context is None or model.licence is None]
    assert len(unknown) < 0.1 * len(MODELS)
    assert [model.id for model in MODELS if model.gated is None
            and not model.id.startswith(("mistralai/", "stabilityai/"))] == [
                "swiss-ai/Apertus-8B-Instruct-2509", "utter-project/EuroLLM-9B-Instruct"]


def test_sizes_are_read_from_names():
    assert sizes_in("Qwen/Qwen3-30B-A3B-Base") == [30, 3]
    assert sizes_in("HuggingFaceTB/SmolLM2-360M-Instruct") == [0.36]
    assert sizes_in("mistralai/Mixtral-8x7B-v0.1") == [56]
    assert sizes_in("stabilityai/stablelm-2-1_6b") == [1.6]
    assert sizes_in("microsoft/phi-4") == []


def test_a_model_is_found_by_its_id():
    found = find("qwen/qwen3-0.6b")
    assert found.id == "Qwen/Qwen3-0.6B" and found.modelscope_id == "Qwen/Qwen3-0.6B"
    assert find("nobody/nothing") is None
    assert find("meta-llama/Llama-3.2-1B").gated is True
    assert find("openai/gpt-oss-20b").obstacle == "quantized"
    assert find("deepseek-ai/DeepSeek-V3").obstacle == "own_code"


@pytest.mark.parametrize("change", [{"id": "a b"}, {"billions": -1}, {"colour": "red"},
                                    {"kind": "chat"}, {"gated": "yes"}])
def test_a_wrong_entry_is_refused(change):
    good = {"id": "a/b-1B", "family": "llama", "kind": "base", "billions": 1.0,
            "template": "own", "released": 2024}
    assert CatalogueModel(**good).licence is None
    with pytest.raises(ValueError):
        CatalogueModel(**{**good, **change})


def llama(width, inner, depth, vocabulary, keys, tied=False):
    """Headers of a model of Llama's layout."""
    tensors = {"model.embed_tokens.weight": ((vocabulary, width), "BF16")}
    if not tied:
        tensors["lm_head.weight"] = ((vocabulary, width), "BF16")
    for number in range(depth):
        start = f"model.layers.{number}"
        for name, shape in {"q": (width, width), "k": (keys, width), "v": (keys, width),
                            "o": (width, width)}.items():
            tensors[f"{start}.self_attn.{name}_proj.weight"] = (shape, "BF16")
        for name, shape in {"gate": (inner, width), "up": (inner, width),
                            "down": (width, inner)}.items():
            tensors[f"{start}.mlp.{name}_proj.weight"] = (shape, "BF16")
    return ModelFacts({"model_type": "llama", "hidden_size": width, "num_hidden_layers": depth},
                      tensors)


@pytest.mark.parametrize("facts", [llama(4096, 14336, 32, 128256, 1024),
                                   llama(2048, 8192, 16, 128256, 512, tied=True),
                                   llama(8192, 28672, 80, 128256, 1024)],
                         ids=["8B", "1B", "70B"])
@pytest.mark.parametrize("method", METHODS)
def test_the_rough_figure_is_near_the_real_estimate(facts, method):
    config = parse({
        "name": "x", "model": {"quantization": "nf4" if method == "qlora" else "none"},
        "tuner": {"type": "full" if method == "full" else "lora", "r": RANK},
        "data": {"max_length": TOKENS},
        "training": {"per_device_train_batch_size": ROWS, "gradient_checkpointing": True}})
    real = estimate(config, facts, Setting("cuda", "bfloat16", 0)).total_bytes
    shape = Shape(facts.parameters, facts.parameters)
    assert rough_memory(shape, method) == pytest.approx(real, rel=0.15)


def test_four_bits_leave_the_experts_whole():
    mixture, dense = Shape(round(30e9), round(3e9)), Shape(round(30e9), round(30e9))
    assert rough_memory(mixture, "qlora") > 2.2 * rough_memory(dense, "qlora")
    assert rough_memory(mixture, "qlora") < rough_memory(mixture, "lora")
    assert rough_memory(dense, "lora", dtype="float32", device="cpu") > 1.9 * rough_memory(
        dense, "lora")


def test_reading_it_needs_no_library():
    code = ("import json, sys\nfrom trainer.contract.catalogue import load_catalogue\n"
            "print(json.dumps([len(load_catalogue()), 'torch' in sys.modules, "
            "'transformers' in sys.modules]))")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True,
                          check=True)
    assert json.loads(done.stdout) == [len(MODELS), False, False]
