"""Combined models are what numpy makes of the papers' formulas; models that differ are refused."""

from __future__ import annotations

import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.combine.errors import CombineError
from trainer.combine.models import ModelWish, WeightedModel, combine_models
from trainer.combine.modules import seed_of
from trainer.contract.files import read_json, write_json
from trainer.contract.models import ModelError
from trainer.export.errors import ExportError

pytestmark = pytest.mark.training


@pytest.fixture
def tuned(tmp_path: Path, tiny_model: Path) -> Any:
    """Copy the tiny model with every weight moved a little."""
    def made(name: str, seed: int, **config: Any) -> Path:
        from safetensors.numpy import load_file, save_file

        folder = shutil.copytree(tiny_model, tmp_path / name / "model")
        chance = np.random.default_rng(seed)
        path = folder / "model.safetensors"
        save_file({key: (value + chance.normal(0, 0.05, value.shape)).astype(np.float32)
                   for key, value in load_file(path).items()}, path, metadata={"format": "pt"})
        write_json(folder / "config.json", {**read_json(folder / "config.json"), **config})
        return folder

    return made


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: tensor.double().numpy() for path in sorted(folder.glob("*.safetensors"))
            for name, tensor in load_file(path).items()}


def arc(first: Any, second: Any, share: float) -> Any:
    cosine = float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))
    if abs(cosine) > 1 - 1e-6:
        return (1 - share) * first + share * second
    angle = math.acos(cosine)
    return (math.sin((1 - share) * angle) * first + math.sin(share * angle) * second
            ) / math.sin(angle)


def agreed(changes: list[Any]) -> Any:
    sign = np.sign(sum(changes))
    agree = [(np.sign(change) == sign) & (sign != 0) for change in changes]
    total = sum(change * keep for change, keep in zip(changes, agree, strict=True))
    return total / np.maximum(sum(keep.astype(int) for keep in agree), 1)


def largest(change: Any, density: float) -> Any:
    order = np.argsort(np.abs(change), axis=None)
    kept = change.copy().ravel()
    kept[order[:change.size - round(density * change.size)]] = 0
    return kept.reshape(change.shape)


def drawn(change: Any, density: float, seed: int) -> Any:
    import torch

    chance = torch.Generator().manual_seed(seed)
    kept = torch.rand(change.size, generator=chance).numpy() < density
    return change * kept.reshape(change.shape) / density


def expected(wish: ModelWish, name: str, thetas: list[Any], base: Any, weights: list[float]
             ) -> Any:
    method, density = wish.method, wish.density or 1
    if method == "linear":
        return sum(w / sum(weights) * theta for w, theta in zip(weights, thetas, strict=True))
    if method == "slerp":
        return arc(*thetas, weights[1] / sum(weights))
    changes = [theta - base for theta in thetas]
    if method == "ties":
        changes = [largest(change, density) for change in changes]
    if method == "dare_ties":
        changes = [drawn(change, density, seed_of(5, name, str(number)))
                   for number, change in enumerate(changes)]
    changes = [w * change for w, change in zip(weights, changes, strict=True)]
    return base + (sum(changes) if method == "task_arithmetic" else agreed(changes))


def given(*pairs: tuple[Path, float]) -> list[WeightedModel]:
    return [WeightedModel(folder, weight) for folder, weight in pairs]


@pytest.mark.parametrize(("wish", "weights"), [
    (ModelWish("linear"), [0.2, 0.9]), (ModelWish("slerp"), [1.0, 3.0]),
    (ModelWish("task_arithmetic"), [0.8, -0.5]), (ModelWish("ties", 0.3), [1.0, 0.7]),
    (ModelWish("ties", 0.3), [1.0, -0.7]), (ModelWish("ties", 0.8), [1.0, 0.7]),
    (ModelWish("ties", 1.0), [1.0, 0.7]), (ModelWish("dare_ties", 0.3, seed=5), [1.0, 0.7])])
def test_each_tensor_is_what_the_formula_says(tuned: Any, tmp_path: Path, tiny_model: Path,
                                              wish: ModelWish, weights: list[float]) -> None:
    folders = [tuned("one", 1), tuned("two", 2)]
    base = tiny_model if wish.needs_base else None
    report = combine_models(given(*zip(folders, weights, strict=True)), tmp_path / "out", wish,
                            base=base)
    sources, before = [weights_of(folder) for folder in folders], weights_of(tiny_model)
    found = weights_of(report.path)
    assert set(found) == set(before) and report.tensors == len(found)
    for name, tensor in found.items():
        wanted = expected(wish, name, [one[name] for one in sources], before[name], weights)
        np.testing.assert_allclose(tensor, wanted, atol=2e-6)
    assert sum(report.weights) == pytest.approx(sum(weights) if base else 1)
    assert (report.sources, report.template_from, report.notes) == (("one", "two"), "one", ())


def test_a_sharded_model_in_bfloat16_loads_with_plain_transformers(
        tuned: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folders = [tuned("one", 1), tuned("two", 2), tuned("three", 3)]
    (folders[2] / "chat_template.jinja").write_text("{{ messages }}")
    seen: list[tuple[int, int, str]] = []
    report = combine_models(
        given(*((folder, 1.0) for folder in folders)), tmp_path / "out",
        ModelWish(dtype="bfloat16", shard_bytes=60_000),
        progress=lambda *step: seen.append(step))
    assert len(report.files) > 2 and seen[-1][0] == seen[-1][1]
    assert len(report.notes) == 1 and "'three' had another" in report.notes[0]
    model, notes = AutoModelForCausalLM.from_pretrained(str(report.path),
                                                        output_loading_info=True)
    assert model.dtype == torch.bfloat16 and not any(notes.values())
    assert AutoTokenizer.from_pretrained(str(report.path)).chat_template == (
        folders[0] / "chat_template.jinja").read_text()
    means = [np.mean([weights_of(folder)["model.norm.weight"] for folder in folders], axis=0)]
    np.testing.assert_allclose(model.model.norm.weight.float().detach().numpy(), means[0],
                               rtol=0.01)


def refused(sources: list[WeightedModel], target: Path, wish: ModelWish | None = None,
            **more: Any) -> CombineError:
    with pytest.raises(CombineError) as error:
        combine_models(sources, target, wish or ModelWish(), **more)
    assert not list(target.parent.glob(f"{target.name}*"))
    return error.value


def another(folder: Path, **over: Any) -> Path:
    """Write a fresh model of other sizes into a copy of a model's folder."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = Qwen3Config.from_pretrained(folder).to_dict()
        Qwen3ForCausalLM(Qwen3Config(**{**old, **over})).to(torch.float32).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("over", "code", "words"), [
    ({"vocab_size": 408}, "shapes_differ", "'model.embed_tokens.weight' is 400 x 64 in 'one' and "
                                           "408 x 64 in 'two': the vocabularies differ"),
    ({"intermediate_size": 96}, "shapes_differ", "'model.layers.0.mlp.down_proj.weight'"),
    ({"num_hidden_layers": 1, "layer_types": None}, "tensors_differ",
     "'one' stores 'model.layers.1."),
    ({"tie_word_embeddings": False}, "ties_differ", "is the embedding itself in 'one'"),
    ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "configs_differ",
     "rope_parameters.rope_theta")])
def test_models_that_differ(tuned: Any, tmp_path: Path, over: dict[str, Any], code: str,
                            words: str) -> None:
    one, two = tuned("one", 1), another(tuned("two", 2), **over)
    error = refused(given((one, 1), (two, 1)), tmp_path / "out")
    assert error.code == code and words in error.message
    error = refused(given((one, 1), (tuned("three", 3), 1)), tmp_path / "out",
                    ModelWish("task_arithmetic"), base=two)
    assert error.code == code and "the base" in error.message


def test_what_is_no_pair_of_models(tuned: Any, tmp_path: Path, tiny_model: Path) -> None:
    from safetensors.numpy import load_file, save_file

    one, two, out = tuned("one", 1), tuned("two", 2), tmp_path / "out"
    both = given((one, 1), (two, 1))
    assert refused(both[:1], out).code == "models_count"
    third = WeightedModel(tuned("three", 3), 1)
    assert refused([*both, third], out, ModelWish("slerp")).code == "models_count"
    assert refused([both[0], both[0]], out).code == "source_twice"
    assert refused(both, out, ModelWish("task_arithmetic"), base=one).code == "source_twice"
    assert refused(both, out, ModelWish("ties", 0.2)).code == "base"
    assert refused(both, out, base=tiny_model).code == "base"
    for density in (None, 0.0, 1.1):
        assert refused(both, out, ModelWish("ties", density), base=tiny_model).code == "density"
    assert refused(both, out, ModelWish("linear", 0.5)).code == "density"
    assert refused(given((one, 1), (two, -0.2)), out).code == "weight_negative"
    assert refused(given((one, 0), (two, 0)), out).code == "weights_zero"
    assert refused(given((one, 1), (two, math.nan)), out).code == "weight_not_finite"
    path = two / "model.safetensors"
    kept = load_file(path)
    odd = kept["model.norm.weight"].copy()
    odd[3] = np.inf
    save_file({**kept, "model.norm.weight": odd}, path, metadata={"format": "pt"})
    error = refused(both, out)
    assert error.code == "not_finite" and "'model.norm.weight' of 'two'" in error.message
    write_json(two / "config.json", {**read_json(two / "config.json"), "model_type": "qwen2"})
    assert refused(both, out).code == "architectures_differ"
    write_json(two / "config.json", {**read_json(one / "config.json"),
                                     "quantization_config": {"quant_method": "gptq"}})
    assert refused(both, out).code == "weights_quantized"
    (two / "config.json").unlink()
    with pytest.raises(ModelError):
        combine_models(both, out, ModelWish())


def test_cancelled_or_without_room_nothing_is_left(tuned: Any, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    both, out = given((tuned("one", 1), 1), (tuned("two", 2), 1)), tmp_path / "out"
    asked = iter([False] * 5 + [True])
    assert refused(both, out, cancelled=lambda: next(asked)).code == "cancelled"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
        with pytest.raises(ExportError) as error:
            combine_models(both, out, ModelWish())
    assert error.value.code == "disk_full"
    huge = tmp_path / "two" / "model" / "model.safetensors"
    from safetensors.numpy import load_file, save_file

    save_file({name: (value * 1e6).astype(np.float32) for name, value in load_file(huge).items()},
              huge, metadata={"format": "pt"})
    with pytest.raises(ExportError) as error:
        combine_models(both, out, ModelWish(dtype="float16"))
    assert error.value.code == "weight_range"
    assert not list(tmp_path.glob("out*"))
