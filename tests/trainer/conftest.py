"""A tiny random Qwen3 with its own tokenizer, small datasets, and runs on them."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from trainer.contract.config import RunConfig
from trainer.contract.events import AnyEvent, EndEvent, MetricsEvent, from_line
from trainer.contract.files import write_json
from trainer.contract.rundir import Attempt, RunDir

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}"
    "{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
COLOURS = ("red", "blue", "green", "grey", "pink", "brown")
THINGS = ("door", "hat", "cup", "boat", "tree", "lamp", "chair", "coat", "wall", "ball", "box",
          "book")


def colour_rows(count: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Return questions whose answers are easy to memorise; lengths differ."""
    chance = random.Random(seed)
    rows = []
    for index in range(count):
        thing = THINGS[index % len(THINGS)]
        polite = " please tell me" * chance.randrange(4)
        colour = COLOURS[THINGS.index(thing) % len(COLOURS)]
        rows.append({"instruction": f"What colour is the {thing}?{polite}", "input": "",
                     "output": f"The {thing} is {colour}."})
    return rows


def preference_rows(count: int) -> list[dict[str, str]]:
    """Return pairs that prefer a friendly answer."""
    return [{"prompt": row["instruction"], "chosen": "Gladly! " + row["output"],
             "rejected": "No idea, go away."} for row in colour_rows(count)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_tokenizer(folder: Path) -> None:
    """Train a byte-level BPE tokenizer of a few hundred tokens and save it with its template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, special_tokens=[
            "<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    texts = [" ".join(row.values()) for row in colour_rows(60)] + ["user assistant system"] * 5
    texts += [" ".join(row.values()) for row in preference_rows(60)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>", "model_max_length": 512})
    (folder / "chat_template.jinja").write_text(CHATML, encoding="utf-8")


def make_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Write a random Qwen3 (hidden 48, 2 layers) with tokenizer and chat template."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer(folder)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=400, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=512,
        tie_word_embeddings=True, eos_token_id=2, bos_token_id=None, pad_token_id=0,
        initializer_range=0.1)
    model = Qwen3ForCausalLM(config)
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that nothing may change."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training questions."""
    return write_rows(tmp_path_factory.mktemp("data") / "colours.jsonl", colour_rows(48))


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same questions in other words of politeness."""
    return write_rows(tmp_path_factory.mktemp("data") / "held_out.jsonl",
                      colour_rows(12, seed=7))


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preference pairs."""
    return write_rows(tmp_path_factory.mktemp("data") / "pairs.jsonl", preference_rows(48))


def merge(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay nested values over others."""
    result = dict(values)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = merge(inner, value) if isinstance(inner, dict) else value
    return result


class Runs:
    """Makes run folders and works on them in this process."""

    def __init__(self, root: Path, model: Path, train: Path) -> None:
        self.root = root
        self.base: dict[str, Any] = {
            "model": {"name_or_path": str(model)},
            "data": {"train": [str(train)], "max_length": 128},
            "tuner": {"type": "lora", "r": 8, "lora_alpha": 16},
            "training": {"max_steps": 8, "per_device_train_batch_size": 4, "learning_rate": 5e-3,
                         "eval_steps": None, "save_steps": None, "warmup_ratio": 0.0},
            "evaluation": {"samples": 0, "max_new_tokens": 12}}

    def make(self, name: str, **over: Any) -> RunDir:
        """Create a run with values laid over the base config."""
        run = RunDir(self.root / name)
        run.create(RunConfig.model_validate(merge(self.base, over)), {})
        return run

    def attempt(self, run: RunDir, resume: str = "auto") -> Attempt:
        """Prepare an attempt as the supervisor does."""
        attempt = run.new_attempt()
        write_json(attempt.settings, {"attempt": attempt.number, "device": "cpu",
                                      "resume": resume})
        return attempt

    def train(self, run: RunDir, resume: str = "auto") -> list[AnyEvent]:
        """Work on a new attempt; returns its events."""
        from trainer.__main__ import main

        attempt = self.attempt(run, resume)
        main(run.path)
        return events_of(attempt)

    def loop(self, **over: Any) -> Any:
        """Build the loop of a run as its course does, ready for a step, without training it."""
        from importlib import import_module

        from trainer import work
        from trainer.checkpoint import Selected
        from trainer.context import Context
        from trainer.emit import EventWriter
        from trainer.splits import load_splits
        from trainer.stop import Stop

        run = self.make(f"loop-{len(list(self.root.iterdir()))}", **over)
        attempt, config = self.attempt(run), run.read_config()
        context = Context(run, attempt, config, EventWriter(attempt.events, 1), Stop(), "cpu")
        bench = work.set_up(context)
        splits = load_splits(context, bench)
        loop = import_module(f"trainer.recipes.{config.objective}").build(context, bench, splits)
        work.adopt(context, loop, splits, Selected())
        loop.current_gradient_accumulation_steps = config.training.gradient_accumulation_steps
        loop.model.train()
        return loop

    def in_halves(self, monkeypatch: pytest.MonkeyPatch, stop: int, **over: Any) -> Halves:
        """Train once without a break, and once more stopped after a step and resumed."""
        whole = self.make("whole", **over)
        halves = self.make("halves", **over)
        unbroken = self.train(whole)
        with monkeypatch.context() as patch:
            StopAt(patch, stop)
            first = self.train(halves)
        found = Halves(whole, halves, unbroken, first, self.train(halves))
        ends = [end_of(found.unbroken), end_of(found.first), end_of(found.second)]
        assert [end.outcome for end in ends] == ["completed", "stopped", "completed"], ends
        assert max(series(first, "loss")) == stop and min(series(found.second, "loss")) == stop + 1
        return found


class Halves(NamedTuple):
    """A run without a break and its twin in two attempts: folders, then what each wrote."""

    whole: RunDir
    halves: RunDir
    unbroken: list[AnyEvent]
    first: list[AnyEvent]
    second: list[AnyEvent]

    def require_same(self, *names: str) -> None:
        """Assert that every value of these metrics is the same to the last bit."""
        for name in names:
            wanted = series(self.unbroken, name)
            assert wanted, f"no step has {name}"
            assert series(self.first, name) | series(self.second, name) == wanted, name


def events_of(attempt: Attempt) -> list[AnyEvent]:
    """Read an attempt's events."""
    return [from_line(line) for line in attempt.events.read_bytes().splitlines()]


def end_of(events: list[AnyEvent]) -> EndEvent:
    """Return the last event, which must be the end."""
    last = events[-1]
    assert isinstance(last, EndEvent), last
    return last


def series(events: list[AnyEvent], name: str) -> dict[int, float | None]:
    """Return a metric by step."""
    return {e.step: e.values[name] for e in events
            if isinstance(e, MetricsEvent) and name in e.values}


@pytest.fixture(scope="session")
def cf(request: pytest.FixtureRequest) -> Any:
    """This module, for its functions."""
    return request.config.pluginmanager.get_plugin(str(Path(__file__)))


@pytest.fixture
def runs(tmp_path: Path, tiny_model: Path, colours: Path, warm: None,
         monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """A folder of runs on the tiny model."""
    monkeypatch.setenv("FINESTRA_RUNS", str(tmp_path))
    monkeypatch.delenv("FINESTRA_HOME", raising=False)
    yield Runs(tmp_path, tiny_model, colours)


class StopAt:
    """Asks for a stop as a signal does, when the events of a step are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
        from trainer.callbacks import Reporter

        original = Reporter.on_step_end

        def on_step_end(reporter: Any, args: Any, state: Any, control: Any,
                        **kwargs: Any) -> None:
            if state.global_step == step:
                os.kill(os.getpid(), signal.SIGTERM)
            original(reporter, args, state, control, **kwargs)

        monkeypatch.setattr(Reporter, "on_step_end", on_step_end)


Train = Callable[..., list[AnyEvent]]
