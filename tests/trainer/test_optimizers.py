"""Every optimizer learns, is saved and restored exactly, and keeps as much as is foretold."""

from __future__ import annotations

import copy
import importlib
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from trainer.contract.config import RunConfig
from trainer.contract.config.optimizers import LAYERWISE, OPTIMIZERS, PACKAGES
from trainer.contract.optimizer_state import gradient_bytes, state_bytes

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("ignore::FutureWarning")]
NAMES = get_args(OPTIMIZERS)
RATES = {"sgd": 0.5, "lomo": 0.5, "schedule_free_sgd": 2.0, "lion_32bit": 1e-3, "lion_8bit": 1e-3,
         "paged_lion_8bit": 1e-3, "schedule_free_radam": 2e-2, "adalomo": 2e-2}
SIZES = {"vocab_size": 400, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
         "max_position_embeddings": 64, "initializer_range": 0.1}


class Silent:
    """Takes what is said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def choose(self, field: str, value: object, reason: str) -> None:
        self.said.append((field, str(value)))


def config_of(name: str, **training: Any) -> RunConfig:
    values = {"optim": name, "learning_rate": RATES.get(name, 5e-3), "max_grad_norm": 0.0,
              "lr_scheduler_type": "constant", "weight_decay": 0.01,
              "projection": {"rank": 8, "update_proj_gap": 3}, "badam": {"switch_every": 3}}
    return RunConfig.model_validate({"tuner": {"type": "full"},
                                     "training": values | training})


def make_model() -> Any:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, tie_word_embeddings=True))


def make_optimizer(config: RunConfig, model: Any, folder: Path) -> Any:
    from transformers import TrainingArguments

    from trainer.optim.build import make, transformers_name, unpaged
    from trainer.optim.mixin import TunedLoop

    training = unpaged(config.training, Silent(), model)
    args = TrainingArguments(
        output_dir=str(folder), optim=transformers_name(training.optim), use_cpu=True,
        learning_rate=training.learning_rate, weight_decay=training.weight_decay, warmup_steps=0)
    loop = TunedLoop.__new__(TunedLoop)
    loop.args, loop.config = args, config
    return make(training, args, model, loop.parameter_groups(model))


def steps(model: Any, optimizer: Any, count: int) -> list[float]:
    import torch

    ids = torch.randint(0, 400, (8, 24), generator=torch.Generator().manual_seed(1))
    losses = []
    if hasattr(optimizer, "train"):
        optimizer.train()
    for _ in range(count):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        model.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def tensors(value: Any) -> dict[int, int]:
    """Return the bytes of every tensor within, each memory once."""
    import torch

    if isinstance(value, torch.Tensor):
        parts = [getattr(value, n) for n in ("codes", "scale", "qmap") if hasattr(value, n)]
        if parts:
            return {k: v for part in parts for k, v in tensors(part).items()}
        return {value.data_ptr(): value.numel() * value.element_size()}
    if isinstance(value, dict):
        value = list(value.values())
    found: dict[int, int] = {}
    for one in value if isinstance(value, list | tuple) else ():
        found |= tensors(one)
    return found


def kept_bytes(optimizer: Any) -> int:
    """Return what an optimizer holds, all that it wraps included."""
    inner = getattr(optimizer, "inner", ())
    own = sum(tensors(dict(optimizer.state)).values()) if inner == () else seats(optimizer)
    return own + sum(kept_bytes(one) for one in (inner if isinstance(inner, tuple) else (inner,)))


def seats(optimizer: Any) -> int:
    found = getattr(optimizer, "seats", {}).values()
    return sum(tensors([[seat.low, seat.basis] for seat in found]).values())


def is_plain(value: Any) -> bool:
    """Tell whether a state is numbers, texts and tensors, in dictionaries and lists."""
    import torch

    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, int | float | str | torch.Tensor)


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_and_goes_on_exactly_where_it_was(name: str, tmp_path: Path) -> None:
    if package := PACKAGES.get(name):
        pytest.importorskip(package)
    config, model = config_of(name), make_model()
    optimizer = make_optimizer(config, model, tmp_path)
    optimizer.load_state_dict(optimizer.state_dict())  # as accelerate does at the start
    before = steps(model, optimizer, 4)
    if PACKAGES.get(name) == "torchao":  # its states cannot be copied, only saved
        assert steps(model, optimizer, 8)[-1] < 0.75 * before[0]
        return  # test_optimizer_runs resumes a run of it
    kept, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(model.state_dict())
    assert is_plain(kept), "a checkpoint could not be read without unpickling objects"
    after = steps(model, optimizer, 8)
    assert after[-1] < 0.75 * before[0], (before, after)

    again = make_model()
    again.load_state_dict(weights)
    other = make_optimizer(config, again, tmp_path)
    other.load_state_dict(kept)
    assert steps(again, other, 8) == after


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_as_much_as_the_plan_says(name: str, tmp_path: Path) -> None:
    if package := PACKAGES.get(name):
        pytest.importorskip(package)
    if name.startswith("paged"):
        return  # without CUDA the form without paging is taken, which is another name's test
    config, model = config_of(name), make_model()
    optimizer = make_optimizer(config, model, tmp_path)
    steps(model, optimizer, 1)
    shapes = {n: tuple(p.shape) for n, p in model.named_parameters()}
    foretold, reason = state_bytes(config, shapes)
    kept = kept_bytes(optimizer)
    assert reason
    if foretold == 0:
        assert kept == 0
    else:
        assert kept == pytest.approx(foretold, rel=0.05), (kept / foretold, reason)


def test_gradients_of_one_tensor_or_one_block_at_a_time() -> None:
    shapes = {"model.layers.0.a": (4, 8), "model.layers.1.a": (4, 8), "model.layers.1.b": (2,),
              "embed": (50, 2)}
    assert gradient_bytes(config_of("adamw_torch"), shapes)[0] == 4 * 166
    assert gradient_bytes(config_of("lomo"), shapes)[0] == 4 * 100
    assert gradient_bytes(config_of("badam"), shapes)[0] == 4 * 34


@pytest.mark.parametrize("name", LAYERWISE)
def test_layerwise_leaves_no_gradient(name: str, tmp_path: Path) -> None:
    model = make_model()
    make_optimizer(config_of(name), model, tmp_path)
    import torch

    ids = torch.zeros(1, 4, dtype=torch.int64)
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(p.grad is None for p in model.parameters())


def test_layerwise_is_the_same_as_all_at_once(tmp_path: Path) -> None:
    for layerwise, whole in (("galore_adamw_layerwise", "galore_adamw"), ("lomo", "sgd"),
                             ("apollo_adamw_layerwise", "apollo_adamw")):
        one, two = make_model(), make_model()
        rate = {"learning_rate": 0.01, "weight_decay": 0.1 if whole != "sgd" else 0.0}
        first = steps(one, make_optimizer(config_of(layerwise, **rate), one, tmp_path), 5)
        assert first == steps(two, make_optimizer(config_of(whole, **rate), two, tmp_path), 5)


def test_norms_and_biases_never_decay() -> None:
    import torch

    from trainer.optim.mixin import TunedLoop

    model = make_model()
    model.extra = torch.nn.Linear(3, 3)
    loop = TunedLoop.__new__(TunedLoop)
    loop.args = type("Args", (), {"weight_decay": 0.3})()
    loop.config = config_of("adamw_torch")
    names = {p: n for n, p in model.named_parameters()}
    decayed, kept = ({names[p] for p in g["params"]} for g in loop.parameter_groups(model))
    assert [g["weight_decay"] for g in loop.parameter_groups(model)] == [0.3, 0.0]
    assert kept == {n for n in names.values() if re.search("norm|bias", n)} and "extra.bias" in kept
    assert "model.embed_tokens.weight" in decayed and len(decayed) + len(kept) == len(names)


def matrices(seed: int) -> tuple[list[Any], list[list[Any]]]:
    """Return weights and the gradients of six steps."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    shapes = [(12, 20), (20, 12), (7,)]
    return ([torch.nn.Parameter(torch.randn(s, generator=chance)) for s in shapes],
            [[torch.randn(s, generator=chance) for s in shapes] for _ in range(6)])


def play(optimizer: Any, weights: list[Any], gradients: list[list[Any]]) -> None:
    for step in gradients:
        for weight, grad in zip(weights, step, strict=True):
            weight.grad = grad.clone()
        optimizer.step()


def projected(kind: str, weights: list[Any], **how: Any) -> Any:
    import torch

    from trainer.optim.projected import Projected, Projection

    groups = [{"params": weights[:2], "weight_decay": 0.0, "projected": True},
              {"params": weights[2:], "weight_decay": 0.0}]
    return Projected(groups, lambda inner: torch.optim.AdamW(inner, lr=0.02), Projection(
        kind, **how), 0.02)


def test_galore_equals_its_authors(tmp_path: Path) -> None:
    import torch

    reference = pytest.importorskip("galore_torch")
    ours, gradients = matrices(3)
    theirs = [torch.nn.Parameter(w.detach().clone()) for w in ours]
    play(projected("galore", ours, rank=4, gap=2, scale=0.25), ours, gradients)
    play(reference.GaLoreAdamW([
        {"params": theirs[:2], "rank": 4, "update_proj_gap": 2, "scale": 0.25, "proj_type": "std"},
        {"params": theirs[2:]}], lr=0.02, eps=1e-8, no_deprecation_warning=True), theirs, gradients)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-5), (mine - other).abs().max()


def test_apollo_scales_channels_of_the_raw_gradient() -> None:
    """Algorithm 1 of arXiv:2412.05270 with the norm growth limiter, step by step."""
    import torch

    ours, gradients = matrices(5)
    plain = [w.detach().clone() for w in ours]
    optimizer = projected("apollo", ours, rank=4, gap=100, scale=4.0)
    play(optimizer, ours, gradients)
    for index, weight in enumerate(plain[:2]):
        seat = list(optimizer.seats.values())[index]
        basis, first, second, norm = seat.basis, 0.0, 0.0, 0.0
        assert basis.shape == (4, 12)
        for t, step in enumerate(gradients, 1):
            grad = step[index]
            low = basis @ grad if index == 0 else (basis @ grad.T)
            first, second = 0.9 * first + 0.1 * low, 0.999 * second + 0.001 * low ** 2
            moved = (first / (1 - 0.9 ** t)) / ((second / (1 - 0.999 ** t)).sqrt() + 1e-8)
            factor = moved.norm(dim=0) / (low.norm(dim=0) + 1e-8)
            update = 2.0 * (grad * factor if index == 0 else grad * factor[:, None])
            limit = max(float(update.norm()) / (norm + 1e-8), 1.01) / 1.01 if t > 1 else 1.0
            norm = float(update.norm()) / limit
            weight -= 0.02 * update / limit
        assert torch.allclose(weight, ours[index], atol=1e-5)


def test_adam_mini_equals_its_authors(tmp_path: Path) -> None:
    import torch

    reference = pytest.importorskip("adam_mini")
    ours, theirs = make_model(), make_model()
    config = config_of("adam_mini", weight_decay=0.0)
    mine = make_optimizer(config, ours, tmp_path)
    other = reference.Adam_mini(
        named_parameters=theirs.named_parameters(), lr=5e-3, betas=(0.9, 0.999), eps=1e-8,
        weight_decay=0.0, dim=64, n_heads=4, n_kv_heads=2, verbose=False)
    assert steps(ours, mine, 6) == pytest.approx(steps(theirs, other, 6), rel=1e-4)
    assert torch.allclose(ours.model.layers[0].self_attn.q_proj.weight,
                          theirs.model.layers[0].self_attn.q_proj.weight, atol=1e-4)


@pytest.mark.filterwarnings("ignore:BAdam expect model")
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_badam_equals_its_authors(order: str, tmp_path: Path) -> None:
    import torch

    reference = pytest.importorskip("badam")
    ours, theirs = make_model(), make_model()
    config = config_of("badam", weight_decay=0.0, badam={"switch_every": 1, "switch_mode": order})
    mine = make_optimizer(config, ours, tmp_path)
    named = list(theirs.named_parameters())
    for name, weight in named:
        weight.requires_grad_("layers" in name)
    base = torch.optim.AdamW([p for n, p in named if "layers" in n], lr=5e-3, weight_decay=0.0)
    other = reference.BlockOptimizer(base, named, switch_block_every=1, switch_mode=order,
                                     verbose=0)
    try:
        first = steps(theirs, other, 1)
    except AssertionError as error:  # the package's own bookkeeping
        pytest.skip(str(error))
    assert steps(ours, mine, 1) == first
    layer = {"ascending": 0, "descending": 1}[order]
    fresh = make_model()
    for index in (0, 1):
        mine_moved = not torch.equal(ours.model.layers[index].mlp.up_proj.weight,
                                     fresh.model.layers[index].mlp.up_proj.weight)
        assert mine_moved == (index == layer)


def test_badam_visits_every_block_and_random_is_a_permutation() -> None:
    import torch

    from trainer.optim.blocks import Blocks

    blocks = [[(f"layers.{i}.w", torch.nn.Parameter(torch.ones(2)))] for i in range(5)]
    settings = {"lr": 0.1, "weight_decay": 0.0, "every": 1}
    turns = {order: [Blocks(blocks, set(), order=order, **settings).block_at(t) for t in range(10)]
             for order in ("ascending", "descending", "random")}
    assert turns["ascending"] == [0, 1, 2, 3, 4] * 2
    assert turns["descending"] == [4, 3, 2, 1, 0] * 2
    assert sorted(turns["random"][:5]) == sorted(turns["random"][5:]) == list(range(5))
    assert turns["random"][:5] != turns["random"][5:]


def test_adalomo_steps_relative_to_the_weights(tmp_path: Path) -> None:
    """The first step of arXiv:2310.10195: the RMS of a change is rate x RMS of the weights."""
    model = make_model()
    weight = model.model.layers[0].mlp.up_proj.weight
    before = weight.detach().clone()
    steps(model, make_optimizer(config_of("adalomo", weight_decay=0.0), model, tmp_path), 1)
    change = (weight.detach() - before).square().mean().sqrt() / before.square().mean().sqrt()
    assert float(change) == pytest.approx(2e-2, rel=0.05)


def test_muon_has_the_matrices_and_adamw_the_rest(tmp_path: Path) -> None:
    import torch

    model = make_model()
    config = config_of("muon", muon={"adamw_learning_rate": 1e-3})
    muon, adamw = make_optimizer(config, model, tmp_path).inner
    names = {p: n for n, p in model.named_parameters()}
    assert isinstance(muon, torch.optim.Muon) and isinstance(adamw, torch.optim.AdamW)
    assert {names[p] for g in muon.param_groups for p in g["params"]} == {
        n for n in names.values() if "proj" in n}
    assert {g["lr"] for g in adamw.param_groups} == {1e-3}
    assert {g["lr"] for g in muon.param_groups} == {5e-3}


def test_paged_without_cuda_is_said(tmp_path: Path) -> None:
    from trainer.optim.build import unpaged

    silent, model = Silent(), make_model()
    assert unpaged(config_of("paged_adamw_8bit").training, silent, model).optim == "adamw_8bit"
    assert unpaged(config_of("paged_adamw_32bit").training, silent, model).optim == "adamw_torch"
    assert silent.said == [("training.optim", "adamw_8bit"), ("training.optim", "adamw_torch")]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.failures import Failure
    from trainer.optim.build import need_package

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Failure, match="schedulefree") as raised:
        need_package("schedule_free_adamw")
    assert "finestra[optim]" in raised.value.advice
    need_package("galore_adamw")


def test_targets_that_fit_nothing_are_said(tmp_path: Path) -> None:
    from trainer.failures import Failure

    config = config_of("galore_adamw", projection={"target_modules": ["w_q"]})
    with pytest.raises(Failure, match="w_q"):
        make_optimizer(config, make_model(), tmp_path)


def test_targets_by_name_and_pattern(tmp_path: Path) -> None:
    for wanted, count in ((["q_proj"], 2), (["mlp"], 6), ([r".*layers\.1\..*_proj"], 7), ([], 14)):
        config = config_of("galore_adamw", projection={"target_modules": wanted})
        assert len(make_optimizer(config, make_model(), tmp_path).seats) == count


