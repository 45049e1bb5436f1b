"""The model of the benchmark never ends an answer and is else the starter; shares are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.evaluating import Rates, endless
from bench.report import ROOT
from trainer.contract.kinds.evaluation import Answered


def test_only_the_rows_of_end_tokens_are_zero(tmp_path: Path) -> None:
    folder = endless(tmp_path / "endless")
    own = np.fromfile(ROOT / "assets" / "starter" / "model.safetensors", dtype=np.uint8)
    made = np.fromfile(folder / "model.safetensors", dtype=np.uint8)
    changed = np.flatnonzero(own != made)
    # Two rows of 256 numbers in bfloat16.
    assert len(own) == len(made) and 0 < len(changed) <= 2 * 512
    assert not made[changed].any()
    assert np.ptp(changed) < 3 * 512


def test_rates_are_of_the_time_in_which_was_asked() -> None:
    answered = Answered(model="m", engine="vllm", rows=100, seconds=20.5, load_s=30.0)
    rates = Rates(answered, whole_s=60.0, asked_s=21.0, bare_s=20.0)
    assert rates.rate == pytest.approx(100 / 21) and rates.added == pytest.approx(0.05)
