"""Packed rows are blind to each other, whatever the family, and training agrees with that."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.events import ChoiceEvent

pytestmark = pytest.mark.training
CAPACITY = 64


def lengths_of(count: int) -> list[int]:
    chance = random.Random(1)
    return [chance.randint(1, CAPACITY) for _ in range(count)]


@pytest.mark.parametrize("name", ["best_fit", "wrapped"])
def test_every_token_is_packed_once(name: str) -> None:
    from trainer.loops import packing

    pack = getattr(packing, name)
    lengths = lengths_of(400)
    packs = pack(lengths, CAPACITY, range(400))
    seen = [(p.row, token) for one in packs for p in one for token in range(p.start, p.stop)]
    assert len(seen) == len(set(seen))
    sizes = [sum(p.stop - p.start for p in one) for one in packs]
    assert max(sizes) <= CAPACITY and min(p.stop - p.start for one in packs for p in one) >= 2
    lost = sum(lengths) - len(seen)
    alone = sum(length == 1 for length in lengths)
    assert lost == alone if name == "best_fit" else lost < len(packs) + alone
    assert pack(lengths, CAPACITY, range(400)) == packs


def test_best_fit_is_nearly_as_full_as_can_be() -> None:
    from trainer.loops.packing import Piece, best_fit

    lengths = lengths_of(400)
    packs = best_fit(lengths, CAPACITY, range(400))
    assert len(packs) <= 1.05 * sum(lengths) / CAPACITY
    assert all([p.stop - p.start for p in one] == [lengths[p.row] for p in one] for one in packs)
    assert best_fit([6, 3, 4, 5, 2], 10, range(5)) == [
        [Piece(0, 0, 6), Piece(2, 0, 4)], [Piece(3, 0, 5), Piece(1, 0, 3), Piece(4, 0, 2)]]


def test_wrapped_leaves_no_gap() -> None:
    from trainer.loops.packing import Piece, wrapped

    assert wrapped([6, 3, 4], 5, [2, 0, 1]) == [
        [Piece(2, 0, 4)], [Piece(0, 1, 6)], [Piece(1, 0, 3)]]
    packs = wrapped(lengths_of(100), CAPACITY, range(100))
    assert all(sum(p.stop - p.start for p in one) >= CAPACITY - 2 for one in packs[:-1])


def make(name: str, attention: str = "sdpa") -> Any:
    """Return a tiny random model of a family; windows are shorter than the rows."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values: dict[str, Any] = {
        "vocab_size": 120, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
        "max_position_embeddings": 128, "initializer_range": 0.3}
    if name in ("mistral", "gemma2", "gemma3_text", "exaone4"):
        values["sliding_window"] = 4
    if name == "opt":
        values |= {"ffn_dim": 48, "word_embed_proj_dim": 32}
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **values)
    config._attn_implementation = attention
    return AutoModelForCausalLM.from_config(config).eval()


BLIND = [("qwen3", "sdpa"), ("qwen3", "eager"), ("mistral", "sdpa"), ("gemma2", "eager"),
         ("gemma3_text", "sdpa"), ("gemma3_text", "eager"), ("phi3", "sdpa"), ("gpt2", "sdpa"),
         ("mixtral", "sdpa"), ("exaone4", "sdpa")]


@pytest.mark.parametrize(("family", "attention"), BLIND)
@pytest.mark.parametrize("flat", [False, True])
def test_packed_rows_say_what_each_says_alone(family: str, attention: str, flat: bool) -> None:
    import torch

    from trainer.loops.packing import BlindCollator, sees_other_rows

    model, chance = make(family, attention), torch.Generator().manual_seed(0)
    rows = [torch.randint(5, 120, (size,), generator=chance) for size in (9, 12, 5, 17, 8)]
    lines = [rows[:3], rows[3:]]
    batch = BlindCollator(0, flat)([
        {"input_ids": torch.cat(line).tolist(), "labels": torch.cat(line).tolist(),
         "seq_lengths": [len(row) for row in line]} for line in lines])
    batch.pop("labels")
    with torch.no_grad():
        packed = model(**batch, use_cache=False).logits
        alone = [model(input_ids=row[None], use_cache=False).logits[0] for row in rows]
    if flat:
        found = list(packed[0].split([len(row) for row in rows]))
    else:
        found = [part for logits, line in zip(packed, lines, strict=True)
                 for part in logits[:sum(map(len, line))].split([len(row) for row in line])]
    for one, other in zip(found, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert sees_other_rows(model, tolerance=1e-4) == ""


@pytest.mark.parametrize("family", ["opt", "mamba", "bloom"])
def test_families_that_leak_are_found(family: str) -> None:
    from trainer.loops.packing import sees_other_rows

    model = make(family, "eager")
    assert sees_other_rows(model, tolerance=1e-3) == "a row sees the row before it"


def test_padding_is_no_token() -> None:
    from trainer.loops.packing import BlindCollator, count_tokens

    rows = [{"input_ids": [7] * 9, "labels": [7] * 9, "seq_lengths": [4, 2, 3]},
            {"input_ids": [8] * 4, "labels": [8] * 4, "seq_lengths": [2, 2]}]
    lined, flat = BlindCollator(0, False)(rows), BlindCollator(0, True)(rows)
    assert lined["input_ids"].shape == (2, 9) and flat["input_ids"].shape == (1, 13)
    assert count_tokens(lined["position_ids"]) == count_tokens(flat["position_ids"]) == 13
    assert flat["cu_seq_lens_q"].tolist() == [0, 4, 6, 9, 11, 13] and flat["max_length_q"] == 4
    assert (lined["labels"] != -100).sum() == 13 - 5
    assert lined["labels"][1].tolist() == [-100, 8, -100, 8, *[-100] * 5]


def loss_of_first_step(cf: Any, events: list[Any]) -> float:
    assert cf.end_of(events).outcome == "completed", cf.end_of(events)
    value = cf.series(events, "loss")[1]
    assert value is not None
    return value


def test_one_big_batch_has_the_same_loss_packed_padding_free_and_padded(
        runs: Any, cf: Any, held_out: Path) -> None:
    """Every row is in the first step, so the losses must be equal: none sees another."""
    found = {}
    for name, over in {"padded": {}, "bfd": {"packing": "bfd"}, "free": {"padding_free": True}
                       }.items():
        run = runs.make(name, data={"max_length": 64, "eval": [str(held_out)]}, training={
            "max_steps": 2, "per_device_train_batch_size": 48, **over})
        events = runs.train(run)
        found[name] = (loss_of_first_step(cf, events), cf.end_of(events).metrics["eval_loss"],
                       cf.series(events, "num_tokens")[1])
        reasons = {e.field: e.reason for e in events if isinstance(e, ChoiceEvent)}
        assert ("training.packing" in reasons) == (name == "bfd")
        if name == "bfd":
            assert reasons["training.packing"].startswith("48 rows became ")
            assert "sequences" in reasons["training.group_by_length"]
    assert found["bfd"][0] == pytest.approx(found["padded"][0], abs=1e-5)
    assert found["free"][0] == pytest.approx(found["padded"][0], abs=1e-5)
    assert found["bfd"][1] == pytest.approx(found["padded"][1], abs=1e-4)
    assert found["bfd"][2] == found["free"][2] == found["padded"][2]


def test_a_resumed_packed_run_is_the_uninterrupted_one(
        runs: Any, cf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    over = {"data": {"max_length": 64}, "training": {
        "max_steps": 6, "packing": "wrapped", "per_device_train_batch_size": 2, "save_steps": 3}}
    whole = cf.series(runs.train(runs.make("whole", **over)), "loss")
    run = runs.make("cut", **over)
    with monkeypatch.context() as patch:
        cf.StopAt(patch, 3)
        assert cf.end_of(runs.train(run)).outcome == "stopped"
    rest = cf.series(runs.train(run), "loss")
    assert list(rest) == [4, 5, 6]
    assert list(rest.values()) == pytest.approx([whole[4], whole[5], whole[6]], abs=1e-6)


def test_a_family_that_leaks_is_refused(runs: Any, cf: Any, tmp_path: Path) -> None:
    folder = tmp_path / "opt"
    folder.mkdir()
    make("opt", "sdpa").save_pretrained(folder)
    cf.make_tokenizer(folder)
    run = runs.make("leak", model={"name_or_path": str(folder)}, tuner={"type": "full"},
                    training={"packing": "bfd", "max_steps": 1})
    end = cf.end_of(runs.train(run))
    assert (end.outcome, end.code) == ("failed", "packing_leaks") and "opt" in end.message
