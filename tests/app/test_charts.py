import math
import random
from itertools import pairwise

import pytest

from app.charts import downsample, smooth, smoothed, stride, thin


def test_smoothing_starts_at_the_first_value_and_keeps_gaps():
    points = [(1, 4.0), (2, None), (3, 4.0), (4, 4.0)]
    assert [s for s, _ in smooth(points, 0.9)] == [1, 2, 3, 4]
    values = [v for _, v in smooth(points, 0.9)]
    assert values[1] is None and all(v is None or math.isclose(v, 4.0) for v in values)
    assert smooth(points, 0.0) == points


def test_smoothing_follows_the_formula():
    (_, first), (_, second) = smooth([(1, 1.0), (2, 3.0)], 0.5)
    assert first == 1.0 and second == pytest.approx((0.5 * 0.5 + 0.5 * 3) / 0.75)


def test_spikes_dips_gaps_and_ends_survive():
    points = [(step, 1.0) for step in range(10_000)]
    points[4321], points[777], points[9000] = (4321, 99.0), (777, -5.0), (9000, None)
    kept = downsample(points, 200)
    assert len(kept) <= 200 and kept == sorted(kept, key=lambda p: p[0])
    assert {(4321, 99.0), (777, -5.0), (9000, None), points[0], points[-1]} <= set(kept)


@pytest.mark.parametrize(("count", "most"), [(0, 10), (3, 10), (10, 10), (11, 10), (5000, 1000)])
def test_a_stride_keeps_both_ends_and_even_distances(count, most):
    points = [(step, float(step)) for step in range(count)]
    kept = stride(points, most)
    assert len(kept) == min(count, most) == len(set(kept))
    assert kept[:1] == points[:1] and kept[-1:] == points[-1:]
    gaps = {after[0] - before[0] for before, after in pairwise(kept)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100, 101, 3000])
@pytest.mark.parametrize("limit", [2, 10, 100])
def test_never_more_points_than_asked_for(count, limit):
    rng = random.Random(count)
    points = [(step, rng.random()) for step in range(count)]
    kept = downsample(points, limit)
    assert len(kept) <= limit if count > limit else kept == points
    assert len(set(kept)) == len(kept)


def test_a_long_series_is_smoothed_before_it_is_thinned():
    points = [(step, float(step % 2)) for step in range(1, 20_001)]
    points[9_999] = (10_000, 500.0)
    means = smoothed({"loss": points}, 0.9, 1000)["loss"]
    assert len(means) == 1000 and dict(means)[20_000] == pytest.approx(0.5, abs=0.05)
    whole = dict(smooth(points, 0.9))
    assert all(whole[step] == value for step, value in means)


def test_sparkline_has_no_gaps():
    assert thin([(1, 1.0), (2, None), (3, 2.0)], 10) == [1.0, 2.0]
    values = thin([(s, float(s)) for s in range(1000)], 40)
    assert len(values) == 40 and values[0] == 0 and values[-1] == 999
