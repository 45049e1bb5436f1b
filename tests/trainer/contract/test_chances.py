"""Chances of differences between models when several are told together."""

import numpy as np
import pytest

from trainer.contract.chances import together, verdict


def test_holm_worked_out_by_hand():
    """Of 0.01, 0.04, 0.03, 0.005: times 3, 1, 2, 4, never below one before."""
    *adjusted, odd, nothing = together([0.01, 0.04, 0.03, 0.005, float("nan"), None])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(odd) and nothing is None
    assert together([0.6, 0.7]) == [1.0, 1.0] and together([]) == []


def test_holm_keeps_the_chance_of_any_false_alarm():
    chance = np.random.default_rng(5)
    alarms = [min(together(chance.random(8).tolist())) < 0.05 for _ in range(2000)]
    assert 0.035 <= np.mean(alarms) <= 0.065


@pytest.mark.parametrize(("difference", "chance", "higher", "said"), [
    (0.1, 0.049, True, "better"), (-0.1, 0.049, True, "worse"), (-0.1, 0.049, False, "better"),
    (0.1, 0.05, True, "unclear"), (0.0, 0.0, True, "unclear"), (0.1, None, True, "unclear"),
    (0.1, float("nan"), True, "unclear")])
def test_a_verdict_needs_a_chance_below_five_percent(difference, chance, higher, said):
    assert verdict(difference, chance, higher_is_better=higher) == said
