"""Combined adapters are what numpy makes of the formulas, and what PEFT itself makes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from trainer.combine.adapters import combine_adapters
from trainer.combine.modules import AdapterWish
from trainer.combine.sources import WeightedAdapter
from trainer.contract.files import read_json
from trainer.contract.kinds.merge import AdapterMethod

pytestmark = pytest.mark.training
# What each of four sources is: ranks, scales, modules and beginnings of PEFT's that differ.
ODD: tuple[dict[str, Any], ...] = (
    {"r": 4, "use_rslora": True, "lora_alpha": 6, "rank_pattern": {"down_proj": 6}},
    {"r": 8, "lora_alpha": 16, "target_modules": ["v_proj", "down_proj"],
     "alpha_pattern": {"layers.1.mlp.down_proj": 3}, "init_lora_weights": "gaussian"},
    {"r": 2, "lora_alpha": 2, "layers_to_transform": [1]},
    {"r": 2, "lora_alpha": 5, "target_modules": ["k_proj", "embed_tokens"]})


def weigh(folders: list[Path], weights: list[float]) -> list[WeightedAdapter]:
    return [WeightedAdapter(folder, weight)
            for folder, weight in zip(folders, weights, strict=True)]


def wished(method: str, **more: Any) -> AdapterWish:
    wish = AdapterWish(method=method, **more)  # type: ignore[arg-type]
    if wish.needs_density and wish.density is None:
        return AdapterWish(method=method, density=0.5, **more)  # type: ignore[arg-type]
    return wish


def weighted_sum(nf: Any, folders: list[Path], weights: list[float]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for folder, weight in zip(folders, weights, strict=True):
        for module, delta in nf.deltas(folder).items():
            found[module] = found.get(module, 0) + weight * delta
    return found


def size(changes: dict[str, Any]) -> float:
    return math.sqrt(sum(float((change ** 2).sum()) for change in changes.values()))


def inside(model: Any) -> dict[str, Any]:
    """Return what PEFT itself says that an adapter changes, by module."""
    import torch

    found = {}
    for name, layer in model.named_modules():
        if hasattr(layer, "get_delta_weight"):
            with torch.no_grad():
                change = layer.get_delta_weight("default").double().numpy()
            found[name.removeprefix("base_model.model.")] = (
                change.T if layer.lora_embedding_A else change)
    return found


def plain(tiny_model: Path, adapter: Path) -> Any:
    """Load base and adapter with Transformers and PEFT alone."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model),
                                         str(adapter))


@pytest.mark.parametrize("method", ["cat", "svd"])
def test_a_sum_of_unlike_adapters_is_exact(make: Any, nf: Any, tmp_path: Path, method: str,
                                           tiny_model: Path) -> None:
    folders = [make(f"run-{k}", seed=k, **form) for k, form in enumerate(ODD)]
    weights = [0.7, -0.4, 1.5, 1.0]
    wish = AdapterWish(method=method, svd_rank=16 if method == "svd" else None)  # type: ignore[arg-type]
    report = combine_adapters(weigh(folders, weights), tmp_path / "out", wish)
    wanted, found = weighted_sum(nf, folders, weights), nf.deltas(report.path)
    assert {one.split(".")[-1] for one in wanted} == {
        "q_proj", "k_proj", "v_proj", "down_proj", "embed_tokens"}
    assert set(found) == set(wanted) and report.modules == len(wanted)
    for module, change in wanted.items():
        np.testing.assert_allclose(found[module], change, atol=1e-6)
    assert report.rank == 16 and report.distance is not None and report.distance < 1e-5
    assert report.norm == pytest.approx(size(wanted), rel=1e-5)
    config = read_json(report.path / "adapter_config.json")
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (16, 16, False)
    assert config["target_modules"] == sorted(wanted) and not config["layers_to_transform"]
    for folder in (*folders, report.path):
        loaded, read = inside(plain(tiny_model, folder)), nf.deltas(folder)
        assert set(loaded) == set(read)
        for module, change in loaded.items():
            np.testing.assert_allclose(change, read[module], atol=1e-6)
    assert report.norm == pytest.approx(size(loaded), rel=1e-5)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1.2, -0.6]])
def test_linear_sums_matrices_and_tells_how_far_that_is(make: Any, nf: Any, tmp_path: Path,
                                                        weights: list[float]) -> None:
    folders = [make("one", lora_alpha=8), make("two", seed=1, use_rslora=True)]
    report = combine_adapters(weigh(folders, weights), tmp_path / "out", wished("linear"))
    found, wanted = nf.parts(report.path), {}
    for module in found:
        a = b = 0
        for folder, weight in zip(folders, weights, strict=True):
            left, right, scale = nf.parts(folder)[module]
            root = math.sqrt(abs(weight * scale))
            a, b = a + np.sign(weight) * root * left, b + root * right
        np.testing.assert_allclose(found[module][0], a, atol=1e-6)
        np.testing.assert_allclose(found[module][1], b, atol=1e-6)
        assert found[module][2] == 1
        wanted[module] = b @ a
    exact = weighted_sum(nf, folders, weights)
    away = size({module: wanted[module] - exact[module] for module in exact}) / size(exact)
    assert away > 0.3
    assert report.distance == pytest.approx(away, rel=1e-4)
    assert report.norms == pytest.approx([size(nf.deltas(one)) for one in folders], rel=1e-5)
    one, two = (np.concatenate([change.ravel() for change in nf.deltas(folder).values()])
                for folder in folders)
    assert report.similarities == {
        (0, 1): pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-5)}


@pytest.mark.parametrize("rank", [None, 3])
def test_svd_loses_only_what_the_rank_cannot_hold(make: Any, nf: Any, tmp_path: Path,
                                                  rank: int | None) -> None:
    folders, weights = [make("one"), make("two", seed=1, r=6)], [1.0, 0.8]
    report = combine_adapters(weigh(folders, weights), tmp_path / "out",
                              AdapterWish(method="svd", svd_rank=rank))
    assert report.rank == (rank or 6)
    exact, lost = weighted_sum(nf, folders, weights), 0.0
    for module, change in exact.items():
        left, sizes, right = np.linalg.svd(change)
        best = left[:, :report.rank] * sizes[:report.rank] @ right[:report.rank]
        np.testing.assert_allclose(nf.deltas(report.path)[module], best, atol=1e-5)
        lost += float((sizes[report.rank:] ** 2).sum())
    assert report.distance == pytest.approx(math.sqrt(lost) / size(exact), rel=1e-4)


@pytest.mark.parametrize("method", [name for name in get_args(AdapterMethod)
                                    if "dare" not in name])
def test_where_peft_is_right_it_says_the_same(make: Any, nf: Any, tmp_path: Path,
                                              tiny_model: Path, method: str) -> None:
    """PEFT combines the whole model with its settings of usual adapters."""
    folders, weights = [make("one"), make("two", seed=1)], [0.9, 0.6]
    wish = wished(method, majority_sign_method="frequency")
    report = combine_adapters(weigh(folders, weights), tmp_path / "out", wish)
    model = plain(tiny_model, folders[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.load_adapter(str(folders[1]), "two")
        model.add_weighted_adapter(["default", "two"], weights, "sum", combination_type=method,
                                   density=wish.density, majority_sign_method="frequency")
        model.save_pretrained(tmp_path / "peft", selected_adapters=["sum"])
    theirs = nf.deltas(tmp_path / "peft" / "sum")
    for module, change in nf.deltas(report.path).items():
        np.testing.assert_allclose(change, theirs[module], atol=1e-5)


def pruned(tensor: Any, density: float) -> Any:
    keep = int(density * tensor.size)
    floor = np.sort(np.abs(tensor).ravel())[tensor.size - keep]
    return np.where(np.abs(tensor) >= floor, tensor, 0)


def elected(changes: list[Any], weights: list[float]) -> Any:
    """TIES: the sign of the sum; the weighted ones that agree, over how many they are."""
    sign = np.where(np.sum(changes, axis=0) >= 0, 1, -1)
    agree = [np.sign(change) == sign for change in changes]
    total = sum(w * c * a for w, c, a in zip(weights, changes, agree, strict=True))
    return total / np.maximum(np.sum(agree, axis=0), 1)


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Write down what PEFT draws for DARE."""
    import torch

    seen: list[Any] = []
    draw = torch.bernoulli

    def noted(*args: Any, **kwargs: Any) -> Any:
        seen.append(draw(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(torch, "bernoulli", noted)
    yield seen


@pytest.mark.parametrize("method", [name for name in get_args(AdapterMethod)
                                    if name not in ("linear", "cat", "svd")])
def test_pruning_and_election_are_the_papers(make: Any, nf: Any, tmp_path: Path, method: str,
                                             masks: list[Any]) -> None:
    folders, weights, density = [make("one"), make("two", seed=1)], [0.9, 0.6], 0.4
    wish = AdapterWish(method=method, density=density, svd_rank=5 if "svd" in method else None,  # type: ignore[arg-type]
                       seed=7)
    report = combine_adapters(weigh(folders, weights), tmp_path / "out", wish)
    drawn = iter([mask.double().numpy() for mask in masks])

    def merged(changes: list[Any], given: list[float]) -> Any:
        kept = [change * next(drawn) / density if "dare" in method else pruned(change, density)
                for change in changes]
        if "ties" in method:
            return elected(kept, given)
        return sum(w * c for w, c in zip(given, kept, strict=True))

    found = nf.parts(report.path)
    by_source = [nf.parts(folder) for folder in folders]
    order = [name.removeprefix("base_model.model.").split(".lora_")[0]
             for name in nf.tensors(folders[0]) if ".lora_A." in name]
    for module in order:
        a, b, scale = found[module]
        sources = [one[module] for one in by_source]
        if "svd" in method:
            whole = merged([s * y @ x for x, y, s in sources], weights)
            left, sizes, right = np.linalg.svd(whole)
            np.testing.assert_allclose(scale * b @ a, left[:, :5] * sizes[:5] @ right[:5],
                                       atol=1e-5)
        else:
            roots = [math.sqrt(w * s) for w, (_, _, s) in zip(weights, sources, strict=True)]
            np.testing.assert_allclose(a, merged([x for x, _, _ in sources], roots), atol=1e-6)
            np.testing.assert_allclose(b, merged([y for _, y, _ in sources], roots), atol=1e-6)
    assert next(drawn, None) is None


def test_the_seed_alone_decides_what_dare_drops(make: Any, tmp_path: Path) -> None:
    import torch

    given, results = weigh([make("one"), make("two", seed=1)], [1.0, 1.0]), {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        torch.rand(3)
        before = torch.random.get_rng_state()
        done = combine_adapters(given, tmp_path / name, wished("dare_linear", seed=seed))
        assert torch.equal(before, torch.random.get_rng_state())
        results[name] = (done.path / "adapter_model.safetensors").read_bytes()
    assert results["first"] == results["again"] != results["other"]


def test_an_ordinary_adapter_comes_out(make: Any, tmp_path: Path, nf: Any) -> None:
    from trainer.contract.models import read_adapter

    folders = [make("one"), make("two", seed=1, target_modules=["k_proj"])]
    (folders[1] / "chat_template.jinja").write_text("{{ messages }}")
    seen: list[tuple[int, int, str]] = []
    report = combine_adapters(weigh(folders, [1.0, 1.0]), tmp_path / "new" / "adapter",
                              AdapterWish(method="cat"), progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(k, 6) for k in range(1, 7)]
    config = read_adapter(report.path).config
    assert config["target_modules"] == ["down_proj", "k_proj", "q_proj"]
    assert config["base_model_name_or_path"]
    assert (report.sources, report.template_from) == (("one", "two"), "one")
    assert len(report.notes) == 1 and "chat template of 'one' is taken; 'two'" in report.notes[0]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                 "generation_config.json"):
        assert (report.path / name).read_bytes() == (folders[0] / name).read_bytes()
    assert [path.name for path in report.path.parent.iterdir()] == ["adapter"]


def test_half_precision_stays_what_it_is(make: Any, nf: Any, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folders = [make("one"), make("two", seed=1)]
    for folder in folders:
        path = folder / "adapter_model.safetensors"
        save_file({name: value.bfloat16() for name, value in load_file(path).items()}, path)
    report = combine_adapters(weigh(folders, [1.0, 1.0]), tmp_path / "out", wished("cat"))
    kept = load_file(report.path / "adapter_model.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.bfloat16}
    assert report.distance is not None and report.distance < 0.01
