"""A merged run, loaded with plain Transformers, says what the adapter says over its base."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, get_args

import pytest

from trainer.contract.config.tuner import TUNERS
from trainer.contract.files import read_json, write_json
from trainer.contract.models import ModelError
from trainer.export import merge, merge_files
from trainer.export.errors import ExportError
from trainer.export.merge import merge_run
from trainer.failures import Failure

pytestmark = pytest.mark.training

OFTEN: dict[str, dict[str, Any]] = {
    "plain": {}, "dora-all": {"use_dora": True, "target_modules": "all-linear"},
    "pissa-rs": {"init_lora_weights": "pissa", "use_rslora": True},
    "tokens": {"trainable_token_indices": [5, 9]},
    "head": {"target_modules": "q_proj, lm_head"},
    "lookup": {"target_modules": "q_proj, embed_tokens"},
    "embeddings": {"modules_to_save": ["embed_tokens"]}, "norms": {"modules_to_save": ["norm"]},
    "vera": {"type": "vera", "r": 16}, "ia3": {"type": "ia3"}}
# The other methods: they are merged in the long tests.
SMALL: dict[str, dict[str, Any]] = {
    "boft": {"boft": {"boft_block_size": 4}}, "oft": {"oft": {"oft_block_size": 16}},
    "vblora": {"r": 2, "vblora": {"num_vectors": 8, "vector_length": 16}},
    "fourierft": {"fourierft": {"n_frequency": 50}}, "c3a": {"c3a": {"block_size": 16}},
    "road": {"road": {"group_size": 16}}, "waveft": {"waveft": {"n_frequency": 100}},
    "adalora": {"adalora": {"init_r": 6, "target_r": 4, "tinit": 1, "tfinal": 1}}}
RARE = [name for name in get_args(TUNERS) if name not in {
    "full", "freeze", "lora", "vera", "ia3", "prompt_tuning", "prefix_tuning", "p_tuning"}]


@pytest.fixture
def trained(runs: Any, cf: Any) -> Any:
    """Train a run for a few steps."""
    def train(name: str, **over: Any) -> Any:
        run = runs.make(name, **{"training": {"max_steps": 3}, **over})
        assert cf.end_of(runs.train(run)).outcome == "completed"
        return run

    return train


def answer(model: Any) -> Any:
    import torch

    ids = torch.arange(10, 40).reshape(2, 15)
    with torch.no_grad():
        return model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def plain(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model, notes = AutoModelForCausalLM.from_pretrained(str(folder), output_loading_info=True)
    assert not any(notes.values()), notes
    return model


def said_over_base(run: Any) -> Any:
    from trainer import model as models
    from trainer.adapters import attach_adapter
    from trainer.precision import choose

    config = run.read_config()
    found = models.locate(config.model, run.path.parent, lambda text: None)
    config = config.model_copy(update={
        "model": config.model.model_copy(update={"quantization": "none"})})
    model = models.load_model(found, config, choose(config, "cpu", None))
    return answer(attach_adapter(model, run.adapter))


def require_same(run: Any, folder: Path) -> None:
    import torch

    torch.testing.assert_close(answer(plain(folder)), said_over_base(run), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", [*OFTEN, *(pytest.param(n, marks=pytest.mark.long)
                                            for n in RARE)])
def test_every_method_is_merged_module_by_module(trained: Any, tmp_path: Path, form: str) -> None:
    run = trained("tuned", tuner=OFTEN.get(form) or {"type": form if form in RARE else "lora",
                                                     **SMALL.get(form, {})})
    report = merge_run(run, tmp_path / "merged")
    assert report.streamed, report.reason
    assert report.adapters == 1 and report.adapted
    assert report.parted == (form in {"head", "lookup", "embeddings"})
    config = read_json(report.path / "config.json")
    assert config["tie_word_embeddings"] is not report.parted
    require_same(run, report.path)
    assert not list(tmp_path.glob("*.partial"))


def test_a_merged_run_has_everything_an_engine_needs(trained: Any, tmp_path: Path) -> None:
    run = trained("tuned", data={"template": "llama3"})
    seen: list[tuple[int, int, str]] = []
    report = merge_run(run, tmp_path / "merged", dtype="bfloat16", shard_bytes=40_000,
                       progress=lambda *step: seen.append(step))
    index = read_json(report.path / "model.safetensors.index.json")
    assert len(report.files) > 2 and set(index["weight_map"].values()) == set(report.files)
    assert index["metadata"]["total_size"] == seen[-1][0] == seen[-1][1]
    config = read_json(report.path / "config.json")
    assert config["dtype"] == "bfloat16" and "quantization_config" not in config
    template = (report.path / "chat_template.jinja").read_text()
    assert template == (run.adapter / "chat_template.jinja").read_text()
    assert template == read_json(run.manifest)["chat_template"]["text"]
    assert (report.path / "tokenizer.json").read_bytes() == (
        run.adapter / "tokenizer.json").read_bytes()
    import torch

    model = plain(report.path)
    assert model.dtype == torch.bfloat16
    torch.testing.assert_close(answer(model.float()), said_over_base(run), atol=0.1, rtol=0.05)


def test_adapters_before_the_run_come_first(trained: Any, tmp_path: Path) -> None:
    trained("first", tuner={"target_modules": "v_proj, lm_head"})
    run = trained("second", model={"adapters": ["first"]})
    report = merge_run(run, tmp_path / "merged")
    assert (report.adapters, report.streamed, report.parted) == (2, True, True)
    assert {p.name for p in report.path.iterdir() if p.is_dir()} == set()
    require_same(run, report.path)


def test_a_base_in_four_bits_is_merged_in_its_own_weights(trained: Any, tmp_path: Path) -> None:
    run = trained("tuned", model={"quantization": "nf4"})
    require_same(run, merge_run(run, tmp_path / "merged").path)


def test_a_run_of_every_weight_is_copied(trained: Any, tmp_path: Path) -> None:
    import torch

    run = trained("full", tuner={"type": "full"})
    report = merge_run(run, tmp_path / "merged", dtype="float32")
    assert (report.adapters, report.adapted, report.streamed) == (0, 0, True)
    torch.testing.assert_close(answer(plain(report.path)), answer(plain(run.model)), atol=0,
                               rtol=0)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_checkpoint_is_merged_in_place_of_the_end(trained: Any, tmp_path: Path,
                                                    kind: str) -> None:
    run = trained("tuned", tuner={"type": kind}, data={"template": "llama3"},
                  training={"max_steps": 4, "save_steps": 2})
    report = merge_run(run, tmp_path / "merged", run.checkpoints / "checkpoint-2")
    whole = merge_run(run, tmp_path / "whole", run.checkpoints / "checkpoint-4")
    end = merge_run(run, tmp_path / "end")
    import torch

    torch.testing.assert_close(answer(plain(whole.path)), answer(plain(end.path)), atol=1e-5,
                               rtol=0)
    assert not torch.allclose(answer(plain(report.path)), answer(plain(end.path)), atol=1e-2)
    for name in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json",
                 "generation_config.json"):
        assert (report.path / name).read_bytes() == (end.path / name).read_bytes(), name


@pytest.mark.parametrize("name", ["Qwen3Moe", "GptOss"])
def test_experts_are_merged_as_one_parameter_or_with_the_whole_model(
        trained: Any, tmp_path: Path, tiny_model: Path, name: str) -> None:
    """Experts that are stored one by one are one weight in the model: that is not streamed."""
    import torch
    import transformers

    folder = shutil.copytree(tiny_model, tmp_path / "experts")
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(
        vocab_size=400, hidden_size=64, intermediate_size=128, moe_intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        num_local_experts=4, num_experts=4, num_experts_per_tok=2, pad_token_id=0,
        bos_token_id=None, eos_token_id=2, decoder_sparse_step=1)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    run = trained("tuned", model={"name_or_path": str(folder)}, tuner={
        "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]})
    report = merge_run(run, tmp_path / "merged", dtype="float32")
    assert report.streamed == (name == "GptOss"), report.reason
    assert report.streamed or ("experts" in report.reason and "another form" in report.reason)
    stored = merge_files.Reader(folder).facts
    assert merge_files.Reader(report.path).facts == stored
    require_same(run, report.path)


def test_what_cannot_be_merged_is_refused(trained: Any, tmp_path: Path, tiny_model: Path) -> None:
    own = shutil.copytree(tiny_model, tmp_path / "own")
    run = trained("tuned", model={"name_or_path": str(own)})
    target = tmp_path / "merged"
    kept = read_json(own / "config.json")
    write_json(own / "config.json", {**kept, "rms_norm_eps": 1e-3})
    with pytest.raises(Failure, match=r"no longer the one.*config\.json changed"):
        merge_run(run, target)
    write_json(own / "config.json", {**kept, "quantization_config": {"quant_method": "gptq"}})
    manifest = read_json(run.manifest)
    manifest["base"]["sha256"].pop("config.json")
    write_json(run.manifest, manifest)
    with pytest.raises(ExportError, match="quantized") as error:
        merge_run(run, target)
    assert error.value.code == "weights_quantized"
    virtual = trained("virtual", tuner={"type": "prompt_tuning",
                                        "prompt": {"num_virtual_tokens": 4}})
    with pytest.raises(ModelError, match="virtual tokens"):
        merge_run(virtual, target)
    target.mkdir()
    with pytest.raises(ExportError, match="already"):
        merge_run(run, target)
    assert not list(target.iterdir())


def test_cancelled_or_without_room_nothing_is_left(trained: Any, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("tuned")
    target, asked = tmp_path / "merged", iter([False] * 5 + [True])
    with pytest.raises(ExportError, match="cancelled"):
        merge_run(run, target, cancelled=lambda: next(asked))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        patch.setattr(merge, "require_space", lambda *_: None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                merge_run(run, target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
        with pytest.raises(ExportError) as error:
            merge_run(run, target)
    assert error.value.code == "disk_full"
    assert not list(tmp_path.glob("merged*"))


MEASURE = """
import json, re, sys
from pathlib import Path
from trainer.contract.rundir import RunDir
import trainer.export.merge as merge
from trainer.prompts import Template
def peak():
    # Unlike ru_maxrss it begins anew with the program, not with the one that started it.
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
from trainer.export.merge_layers import lay
run = RunDir(Path(sys.argv[1]))
lay(Path(sys.argv[2]), run.adapter)  # What the libraries import when they are first used.
before = peak()
merge.find_trained = lambda run, checkpoint: merge.Trained(
    Path(sys.argv[2]), (run.adapter,), Path(sys.argv[2]), Template("auto"))
report = merge.merge_run(run, Path(sys.argv[3]), shard_bytes=64_000_000)
print(json.dumps([before, peak(), report.bytes, len(report.files), report.streamed]))
"""


@pytest.mark.long
def test_memory_stays_near_a_module(runs: Any, tmp_path: Path, tiny_model: Path) -> None:
    """A model of 310 MB in five shards is merged with less memory than its file takes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    big = shutil.copytree(tiny_model, tmp_path / "model")
    config = Qwen3Config(vocab_size=4000, hidden_size=1024, intermediate_size=3072,
                         num_hidden_layers=12, num_attention_heads=8, num_key_value_heads=4,
                         head_dim=128, tie_word_embeddings=True)
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(big)
    run = runs.make("big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        laid = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear",
                                                init_lora_weights=False))
    laid.save_pretrained(run.adapter)
    out = subprocess.run([sys.executable, "-c", MEASURE, str(run.path), str(big),
                          str(tmp_path / "merged")], capture_output=True, text=True, check=True,
                         cwd=Path(merge_files.__file__).parents[2])
    before, after, size, files, streamed = json.loads(out.stdout.splitlines()[-1])
    print(f"{size / 1e6:.0f} MB merged with {(after - before) / 1e6:.0f} MB")
    assert streamed and size > 290_000_000 and files >= 5
    assert after - before < 250_000_000
