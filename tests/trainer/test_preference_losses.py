"""Each preference loss against its paper, computed row by row in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trainer.contract.config import RunConfig
from trainer.contract.config.checks import check

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.training
PAIRS = [
    {"prompt_ids": [5, 6, 7, 8], "chosen_ids": [20, 21, 22, 2], "rejected_ids": [30, 2]},
    {"prompt_ids": [9], "chosen_ids": [23, 2], "rejected_ids": [31, 32, 33, 34, 35, 2]},
    {"prompt_ids": [10, 11, 12], "chosen_ids": [24, 25, 26, 27, 28, 2], "rejected_ids": [36, 2]},
    {"prompt_ids": [13, 14], "chosen_ids": [29, 40, 2], "rejected_ids": [37, 38, 39, 2]}]
JUDGED = [{"prompt_ids": pair["prompt_ids"], "completion_ids": pair[kind], "label": good}
          for pair, kind, good in zip(PAIRS, ("chosen_ids", "rejected_ids") * 2,
                                      (True, False) * 2, strict=True)]
BETA = 0.3


def setup_module() -> None:
    """Import torch when the first test runs, not when tests are collected: it takes seconds."""
    global torch
    import torch


class Maker:
    """Builds recipes' loops around the tiny model and a few rows, all in one run's folder."""

    def __init__(self, runs: Any, cf: Any) -> None:
        from trainer.emit import EventWriter
        from trainer.stop import Stop

        self.runs, self.cf = runs, cf
        self.run = runs.make("losses")
        self.attempt = runs.attempt(self.run)
        self.emit = EventWriter(self.attempt.events, self.attempt.number)
        self.stop = Stop()
        self.bench: Any = None

    def config(self, objective: str, **over: Any) -> RunConfig:
        base = {"objective": objective, "tuner": {"type": "full"},
                "training": {"max_steps": 2, "per_device_eval_batch_size": 4}}
        return RunConfig.model_validate(self.cf.merge(
            self.cf.merge(self.runs.base, base), over))

    def loop(self, objective: str, **over: Any) -> Any:
        """Build the loop of a config and hand it what a course would."""
        from datasets import Dataset

        from trainer import work
        from trainer.checkpoint import Selected
        from trainer.context import Context
        from trainer.splits import Split, Splits

        config = self.config(objective, **over)
        context = Context(self.run, self.attempt, config, self.emit, self.stop)
        self.bench = self.bench or work.set_up(context)
        rows = JUDGED if objective == "kto" else PAIRS
        splits = Splits(Split(Dataset.from_list(rows), [8] * len(rows)), Split(), [], [], None)
        loop = import_module(f"trainer.recipes.{objective}").build(context, self.bench, splits)
        work.adopt(context, loop, splits, Selected())
        return loop


@pytest.fixture
def maker(runs: Any, cf: Any) -> Iterator[Maker]:
    made = Maker(runs, cf)
    yield made
    made.emit.close()


def move(model: Any) -> None:
    """Make the policy another model than the reference."""
    chance = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn(parameter.shape, generator=chance)


def batch_of(loop: Any, rows: list[dict[str, Any]]) -> Any:
    return loop._prepare_inputs(loop.data_collator([dict(row) for row in rows]))


def loss_of(loop: Any, rows: list[dict[str, Any]]) -> float:
    """Return the loss that the loop gives a batch."""
    loop.model.eval()
    with torch.no_grad():
        return float(loop.compute_loss(loop.model, batch_of(loop, rows)))


@dataclass
class Said:
    """What policy and reference say of the answers of a batch; lists of (T,) tensors."""

    chosen: list[torch.Tensor]
    rejected: list[torch.Tensor]
    ref_chosen: list[torch.Tensor]
    ref_rejected: list[torch.Tensor]
    squares: list[tuple[torch.Tensor, torch.Tensor]]

    def sums(self, count: Callable[[Any, int, int], torch.Tensor] = lambda x, *_: x.sum()
             ) -> tuple[torch.Tensor, ...]:
        """Return sums (B,): chosen, rejected, and of the reference."""
        found = []
        for name in ("chosen", "rejected", "ref_chosen", "ref_rejected"):
            lines = getattr(self, name)
            found.append(torch.stack([count(x, len(c), len(r)) for x, c, r in zip(
                lines, self.chosen, self.rejected, strict=True)]))
        return tuple(found)

    @property
    def lengths(self) -> tuple[torch.Tensor, torch.Tensor]:
        return (torch.tensor([len(x) for x in self.chosen]),
                torch.tensor([len(x) for x in self.rejected]))


def ask(model: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Return log-probabilities (T, V) of what follows, for each token of the answer alone."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0]
    return torch.log_softmax(logits, dim=-1)[len(prompt) - 1:-1]


def taken(table: torch.Tensor, answer: list[int]) -> torch.Tensor:
    return table[torch.arange(len(answer)), torch.tensor(answer)]


def asked(policy: Any, reference: Any, rows: list[dict[str, Any]]) -> Said:
    said = Said([], [], [], [], [])
    for row in rows:
        squares = []
        for kind, mine, theirs in (("chosen_ids", said.chosen, said.ref_chosen),
                                   ("rejected_ids", said.rejected, said.ref_rejected)):
            table = ask(policy, row["prompt_ids"], row[kind])
            mine.append(taken(table, row[kind]))
            theirs.append(taken(ask(reference, row["prompt_ids"], row[kind]), row[kind]))
            squares.append(torch.logsumexp(2 * table, dim=-1))
        said.squares.append(tuple(squares))
    return said


def base(model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def log_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return -torch.log1p(torch.exp(-x))


def sort(x: torch.Tensor) -> torch.Tensor:
    return torch.sort(x).values


def dpo_formula(name: str, said: Said, *, smoothing: float = 0.0,
                bend: Callable[[torch.Tensor], torch.Tensor] = lambda r: r,
                sums: tuple[torch.Tensor, ...] | None = None) -> torch.Tensor:
    """Return the losses (B,) of a name of TRL, from its paper."""
    c, r, rc, rr = sums or said.sums()
    win, lose = c - rc, r - rr
    margin = BETA * (bend(win) - bend(lose))
    long_c, long_r = said.lengths
    mean = bend(win) / long_c - bend(lose) / long_r
    e = smoothing
    right, flipped = -log_sigmoid(margin), -log_sigmoid(-margin)
    p = torch.sigmoid(margin)
    spread, apart = sort(c - r) - sort(rc - rr), sort(win) - sort(lose)
    mix = torch.sigmoid(margin / 0.05)
    tokens = torch.cat(said.chosen)
    return {
        "sigmoid": lambda: (1 - e) * right + e * flipped,
        "hinge": lambda: torch.clamp(1 - margin, min=0),
        "ipo": lambda: (mean - 1 / (2 * BETA)) ** 2,
        "robust": lambda: ((1 - e) * right - e * flipped) / (1 - 2 * e),
        "exo_pair": lambda: p * (p / (1 - e)).log() + (1 - p) * ((1 - p) / e).log(),
        "nca_pair": lambda: -(log_sigmoid(BETA * win) + log_sigmoid(-BETA * win) / 2
                              + log_sigmoid(-BETA * lose) / 2),
        "bco_pair": lambda: -log_sigmoid(BETA * win) - log_sigmoid(-BETA * lose),
        "sppo_hard": lambda: (win - 1 / (2 * BETA)) ** 2 + (lose + 1 / (2 * BETA)) ** 2,
        "aot": lambda: -(1 - e) * log_sigmoid(BETA * spread) - e * log_sigmoid(-BETA * spread),
        "aot_unpaired": lambda: (-(1 - e) * log_sigmoid(BETA * apart)
                                 - e * log_sigmoid(-BETA * apart)),
        "apo_zero": lambda: 1 - torch.sigmoid(BETA * win) + torch.sigmoid(BETA * lose),
        "apo_down": lambda: (torch.sigmoid(BETA * win) + 1
                             - torch.sigmoid(BETA * (win - lose))),
        "discopop": lambda: (1 - mix) * right + mix * torch.exp(-margin),
        "sigmoid_norm": lambda: -log_sigmoid(BETA * mean),
        "sft": lambda: -tokens.mean().expand(len(c)),
    }[name]()


LOSSES = ("sigmoid", "hinge", "ipo", "robust", "exo_pair", "nca_pair", "bco_pair", "sppo_hard",
          "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sigmoid_norm", "sft")


def compared(loop: Any, tiny_model: Path, rows: Any = PAIRS) -> tuple[float, Said]:
    """Move the policy; return the loop's loss and what both models say."""
    move(loop.model)
    value = loss_of(loop, rows)
    return value, asked(loop.model, base(tiny_model), rows)


def test_every_loss_of_dpo_is_that_of_its_paper(maker: Maker, tiny_model: Path) -> None:
    seen = {}
    for name in LOSSES:
        smoothing = 0.1 if name in ("exo_pair", "robust", "aot", "aot_unpaired") else 0.0
        loop = maker.loop("dpo", dpo={"beta": BETA, "loss_type": name,
                                      "label_smoothing": smoothing})
        value, said = compared(loop, tiny_model)
        wanted = dpo_formula(name, said, smoothing=smoothing).mean()
        assert value == pytest.approx(float(wanted), abs=2e-5, rel=2e-5), name
        seen[name] = value
    assert len({round(value, 4) for value in seen.values()}) == len(LOSSES), seen


@pytest.mark.parametrize("kind", ["conservative", "mixture", "smoothed mixture", "long", "lora",
                                  "free", "advance", "advance lora"])
def test_switches_of_dpo_change_the_loss_as_their_papers_say(
        maker: Maker, tiny_model: Path, kind: str) -> None:
    over: dict[str, Any] = {
        "conservative": {"label_smoothing": 0.2},
        "mixture": {"mixture": {"sigmoid": 0.8, "bco_pair": 0.2, "sft": 1.0}},
        "smoothed mixture": {"mixture": {"sigmoid": 2.0, "apo_zero": 0.5},
                             "label_smoothing": 0.3},
        "long": {"ld_alpha": 0.25}, "free": {"reference_free": True}, "lora": {},
        "advance": {"precompute_ref_log_probs": True, "ld_alpha": 0.25},
        "advance lora": {"precompute_ref_log_probs": True}}[kind]
    loop = maker.loop("dpo", dpo={"beta": BETA, **over}, tuner={
        "type": "lora" if "lora" in kind else "full"})
    rows: Any = PAIRS
    if "advance" in kind:
        assert loop.ref_model is None
        rows = [loop.train_dataset[i] for i in range(len(PAIRS))]
    move(loop.model)
    value = loss_of(loop, rows)
    said = asked(loop.model, base(tiny_model), PAIRS)
    parts = over.get("mixture", {"sigmoid": 1.0})
    sums = said.sums()
    if "ld_alpha" in over:
        sums = said.sums(lambda x, c, r: x[:min(c, r)].sum() + 0.25 * x[min(c, r):].sum())
    if kind == "free":
        sums = (*sums[:2], torch.zeros(4), torch.zeros(4))
    wanted = sum(weight * dpo_formula(name, said, sums=sums, smoothing=over.get(
        "label_smoothing", 0.0)).mean() for name, weight in parts.items())
    assert value == pytest.approx(float(wanted), abs=2e-5, rel=2e-5)
    if kind != "lora" and kind != "advance lora":
        assert abs(value - float(dpo_formula("sigmoid", said).mean())) > 1e-4


BENDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "forward_kl": lambda r: 1 - torch.exp(-r),
    "js_divergence": lambda r: torch.log(2 * torch.exp(r) / (torch.exp(r) + 1)),
    "alpha_divergence": lambda r: (torch.exp(-0.7 * r) - 1) / -0.7}


@pytest.mark.parametrize("divergence", BENDS)
def test_divergences_bend_the_log_ratios(maker: Maker, tiny_model: Path,
                                         divergence: str) -> None:
    for name in ("sigmoid", "ipo"):
        loop = maker.loop("dpo", dpo={"beta": BETA, "loss_type": name,
                                      "f_divergence_type": divergence,
                                      "f_alpha_divergence_coef": 0.3})
        value, said = compared(loop, tiny_model)
        bent = dpo_formula(name, said, bend=BENDS[divergence]).mean()
        assert value == pytest.approx(float(bent), abs=2e-5, rel=2e-5)
        assert abs(value - float(dpo_formula(name, said).mean())) > 1e-4


def test_weighted_pairs_count_as_likely_as_they_are(maker: Maker, tiny_model: Path) -> None:
    loop = maker.loop("dpo", dpo={"beta": BETA, "use_weighting": True, "mixture": {
        "sigmoid": 1.0, "bco_pair": 0.5}})
    value, said = compared(loop, tiny_model)
    weights = torch.stack([
        torch.exp((c - c2).mean()) * torch.exp((r - r2).mean())
        for c, r, (c2, r2) in zip(said.chosen, said.rejected, said.squares, strict=True)])
    whole = sum(share * (dpo_formula(name, said) * weights).mean()
                for name, share in (("sigmoid", 1.0), ("bco_pair", 0.5)))
    assert value == pytest.approx(float(whole), abs=2e-5, rel=2e-4)


SWITCHES: dict[str, dict[str, Any]] = {
    "plain": {}, "smoothed": {"label_smoothing": 0.1}, "js": {"f_divergence_type":
                                                              "js_divergence"},
    "weighted": {"use_weighting": True}, "free": {"reference_free": True},
    "long": {"ld_alpha": 0.5}, "advance": {"precompute_ref_log_probs": True},
    "moving": {"sync_ref_model": True, "ref_model_sync_steps": 1}}


def two_steps(loop: Any, *, whole: bool) -> None:
    """Train two steps; without the callbacks and the checkpoint unless the whole is asked for."""
    weights = [p for p in loop.model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in weights]
    if whole:
        loop.train()
    else:
        loop.model.train()
        loop.current_gradient_accumulation_steps = 1
        optimizer = loop.create_optimizer()
        for index in (0, 1):
            row = loop.train_dataset[index], loop.train_dataset[index + 2]
            loop.training_step(loop.model, loop.data_collator(row))
            optimizer.step()
            optimizer.zero_grad()
    assert any(not torch.equal(a, b) for a, b in zip(before, weights, strict=True))
    assert all(torch.isfinite(p).all() for p in weights)


def test_what_the_checks_let_through_trains(maker: Maker) -> None:
    """All losses x all switches: refused with a reason, or two steps that move the weights."""
    trained = refused = 0
    for number, (loss, (switch, over)) in enumerate(
            (loss, item) for loss in LOSSES for item in SWITCHES.items()):
        tuner = "lora" if number % 2 and switch != "moving" else "full"
        config = maker.config("dpo", dpo={"loss_type": loss, **over}, tuner={"type": tuner})
        problems = check(config)
        if problems:
            assert all(p.message and p.advice and p.field.startswith("dpo.") for p in problems)
            refused += 1
            continue
        loop = maker.loop("dpo", dpo={"loss_type": loss, **over}, tuner={"type": tuner})
        two_steps(loop, whole=loss == "sigmoid")
        trained += 1
    assert (trained + refused, refused) == (len(LOSSES) * len(SWITCHES), 35)


def test_a_reference_that_moves_comes_back_with_the_checkpoint(maker: Maker,
                                                               tiny_model: Path) -> None:
    loop = maker.loop("dpo", dpo={"sync_ref_model": True, "ref_model_sync_steps": 1,
                                  "ref_model_mixup_alpha": 0.5},
                      training={"max_steps": 1, "learning_rate": 1e-2})
    loop.train()
    name = "model.layers.0.mlp.up_proj.weight"
    old, new = base(tiny_model).state_dict()[name], loop.model.state_dict()[name]
    kept = loop.ref_model.state_dict()[name].clone()
    assert torch.allclose(kept, (old + new) / 2, atol=1e-6) and not torch.allclose(old, new)
    (folder,) = Path(loop.args.output_dir).glob("checkpoint-*")
    with torch.no_grad():
        for parameter in loop.ref_model.parameters():
            parameter.zero_()
    loop._load_from_checkpoint(str(folder))
    assert torch.equal(loop.ref_model.state_dict()[name], kept)
