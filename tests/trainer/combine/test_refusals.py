"""What PEFT would lose or bend without a word is refused with the reason."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from trainer.combine.adapters import combine_adapters
from trainer.combine.errors import CombineError
from trainer.combine.modules import AdapterWish
from trainer.combine.sources import WeightedAdapter
from trainer.contract.files import read_json, write_json
from trainer.contract.models import ModelError
from trainer.export.errors import ExportError

pytestmark = pytest.mark.training
LINEAR = AdapterWish(method="linear")


def refused(folders: list[Path], target: Path, wish: AdapterWish = LINEAR,
            weights: tuple[float, ...] = (1.0, 1.0), **more: Any) -> CombineError:
    given = [WeightedAdapter(folder, weight)
             for folder, weight in zip(folders, weights, strict=True)]
    with pytest.raises(CombineError) as error:
        combine_adapters(given, target, wish, **more)
    assert error.value.advice or error.value.code == "cancelled"
    assert not list(target.parent.glob(f"{target.name}*"))
    return error.value


LOST: dict[str, tuple[dict[str, Any], str, str]] = {
    "dora": ({"use_dora": True}, "part_lost", "magnitudes"),
    "biases": ({"bias": "all"}, "part_lost", "trained biases"),
    "lora-bias": ({"lora_bias": True}, "part_lost", "biases of its matrices"),
    "whole": ({"modules_to_save": ["norm"]}, "part_lost", "trained whole"),
    "tokens": ({"trainable_token_indices": [5, 9]}, "part_lost", "trained tokens"),
    "parameters": ({"target_modules": [], "target_parameters": ["q_proj.weight"]}, "part_lost",
                   "expert parameters"),
    "repeated": ({"layer_replication": [(0, 2), (0, 2)]}, "part_lost", "repeats"),
    "alora": ({"alora_invocation_tokens": [5, 6], "task_type": "CAUSAL_LM"}, "setting_unknown",
              "alora_invocation_tokens"),
    "pissa": ({"init_lora_weights": "pissa"}, "base_mutated", "'pissa'"),
    "olora": ({"init_lora_weights": "olora"}, "base_mutated", "'olora'"),
    "vera": ({"kind": "VeraConfig"}, "not_lora", "VERA")}


@pytest.mark.parametrize("form", LOST)
def test_what_the_sum_would_lose(make: Any, tmp_path: Path, form: str) -> None:
    settings, code, words = LOST[form]
    odd = make("odd", **settings)
    usual = make("usual", task_type=settings.get("task_type"))
    for folders in ([usual, odd], [odd, usual]):
        error = refused(folders, tmp_path / "out")
        assert error.code == code, error
        assert "'odd'" in error.message and words in error.message


@pytest.mark.parametrize("name", ["lora_magnitude_vector", "lora_B.bias", "score.weight"])
def test_a_tensor_counts_whatever_the_config_says(make: Any, tmp_path: Path, name: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = make("odd")
    path = folder / "adapter_model.safetensors"
    save_file({**load_file(path), f"base_model.model.x.{name}": torch.ones(3)}, path)
    assert refused([folder, make("usual")], tmp_path / "out").code == "part_lost"


def test_bases_must_be_the_same(make: Any, tmp_path: Path) -> None:
    one, two = make("one"), make("two", base={"model.safetensors": "9" * 64,
                                               "config.json": "2" * 64})
    error = refused([one, two], tmp_path / "out")
    assert error.code == "bases_differ" and "model.safetensors differ" in error.message
    (two.parent / "manifest.json").unlink()
    config = read_json(two / "adapter_config.json")
    write_json(two / "adapter_config.json", {**config, "base_model_name_or_path": "other/base"})
    assert refused([one, two], tmp_path / "out").code == "bases_differ"
    write_json(two / "adapter_config.json", config)
    report = combine_adapters([WeightedAdapter(one, 1), WeightedAdapter(two, 1)],
                              tmp_path / "out", LINEAR)
    assert "'two' was compared by its name only" in report.notes[0]
    write_json(two / "adapter_config.json", {**config, "task_type": "SEQ_CLS"})
    assert refused([one, two], tmp_path / "more").code == "settings_differ"


def test_shapes_and_tokenizers_must_be_the_same(make: Any, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    one, two = make("one"), make("two", seed=1)
    tokenizer = read_json(two / "tokenizer.json")
    write_json(two / "tokenizer.json", {**tokenizer, "added_tokens": []})
    assert refused([one, two], tmp_path / "out").code == "tokenizers_differ"
    write_json(two / "tokenizer.json", tokenizer)
    path = two / "adapter_model.safetensors"
    kept = load_file(path)
    name = next(key for key in kept if "lora_A" in key)
    save_file({**kept, name: torch.ones(4, 63)}, path)
    error = refused([one, two], tmp_path / "out")
    assert error.code == "shapes_differ" and "63" in error.message
    save_file({**kept, name: kept[name] * float("nan")}, path)
    error = refused([one, two], tmp_path / "out")
    assert error.code == "not_finite" and name in error.message and "'two'" in error.message
    save_file({key: value for key, value in kept.items() if key != name}, path)
    assert refused([one, two], tmp_path / "out").code == "factor_missing"


@pytest.mark.parametrize("method", ["linear", "ties", "dare_linear", "dare_ties",
                                    "magnitude_prune"])
def test_unlike_ranks_are_named_with_the_methods_that_can(make: Any, tmp_path: Path,
                                                          method: str) -> None:
    folders = [make("one"), make("two", rank_pattern={"layers.1.mlp.down_proj": 6})]
    wish = AdapterWish(method=method, density=None if method == "linear" else 0.5)  # type: ignore[arg-type]
    error = refused(folders, tmp_path / "out", wish)
    assert error.code == "ranks_differ" and "layers.1.mlp.down_proj" in error.message
    assert "cat" in error.advice and "svd" in error.advice


def test_numbers_that_say_nothing(make: Any, tmp_path: Path) -> None:
    folders, out = [make("one"), make("two", seed=1)], tmp_path / "out"
    assert refused([], out, weights=()).code == "one_source"
    assert refused(folders[:1], out, weights=(1.0,)).code == "one_source"
    assert refused([folders[0], folders[0]], out).code == "source_twice"
    assert refused(folders, out, weights=(0.0, 0.0)).code == "weights_zero"
    error = refused(folders, out, weights=(1.0, 0.0))
    assert error.code == "weight_zero" and "'two'" in error.message
    for odd in (float("nan"), float("inf")):
        assert refused(folders, out, weights=(odd, 1.0)).code == "weight_not_finite"
    for density in (None, 0.0, -0.5, 1.5):
        assert refused(folders, out, AdapterWish("ties", density)).code == "density"
    assert refused(folders, out, AdapterWish("cat", 0.5)).code == "density"
    for wish in (AdapterWish("cat", svd_rank=4), AdapterWish("svd", svd_rank=0)):
        assert refused(folders, out, wish).code == "svd_rank"
    for method in ("ties", "dare_ties", "ties_svd", "dare_ties_svd"):
        wish = AdapterWish(method, 0.5)  # type: ignore[arg-type]
        error = refused(folders, out, wish, (1.0, -0.5))
        assert error.code == "weight_negative" and "'two' has the weight -0.5" in error.message


def test_nothing_is_left_of_equal_and_opposite_changes(make: Any, tmp_path: Path) -> None:
    one = make("one")
    shutil.copytree(one.parent, tmp_path / "copy")
    error = refused([one, tmp_path / "copy" / "adapter"], tmp_path / "out", weights=(1.0, -1.0))
    assert error.code == "nothing_left"


def test_folders_that_are_no_finished_adapters(make: Any, tmp_path: Path) -> None:
    one, two = make("one"), make("two", seed=1)
    write_json(two / "COMMITTED.json", {})
    assert refused([one, two], tmp_path / "out").code == "not_finished"
    (two / "COMMITTED.json").unlink()
    config = read_json(two / "adapter_config.json")
    write_json(two / "adapter_config.json", {**config, "auto_map": {"x": "y.z"}})
    with pytest.raises(ModelError, match="its own code"):
        combine_adapters([WeightedAdapter(one, 1), WeightedAdapter(two, 1)], tmp_path / "out",
                         LINEAR)


def test_cancelled_or_without_room_nothing_is_left(make: Any, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    folders, out = [make("one"), make("two", seed=1)], tmp_path / "out"
    asked: Counter[str] = Counter()

    def third_time() -> bool:
        asked["times"] += 1
        return asked["times"] == 3

    assert refused(folders, out, cancelled=third_time).code == "cancelled"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
        with pytest.raises(ExportError) as error:
            combine_adapters([WeightedAdapter(folder, 1) for folder in folders], out, LINEAR)
    assert error.value.code == "disk_full" and not list(tmp_path.glob("out*"))
    out.mkdir()
    with pytest.raises(CombineError) as taken:
        combine_adapters([WeightedAdapter(folder, 1) for folder in folders], out, LINEAR)
    assert taken.value.code == "target_exists" and not list(out.iterdir())
