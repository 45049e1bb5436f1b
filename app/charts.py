"""From metric rows to points worth drawing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Point = tuple[int, float | None]


def smooth(points: Iterable[Point], weight: float) -> list[Point]:
    """Return the exponential moving average, without the pull towards 0 at its start.

    Args:
        points: (step, value); None is a gap and stays one.
        weight: Share of the past, 0 (none) to below 1; the debiasing is that of Adam
            (arXiv:1412.6980, section 3).
    """
    smoothed: list[Point] = []
    average, seen = 0.0, 1.0
    for step, value in points:
        if value is None:
            smoothed.append((step, None))
            continue
        average = weight * average + (1 - weight) * value
        seen *= weight
        smoothed.append((step, average / (1 - seen)))
    return smoothed


def stride(points: Sequence[Point], max_points: int) -> list[Point]:
    """Keep at most ``max_points`` points (at least 2) at even distances, first and last too."""
    last, count = len(points) - 1, max(max_points, 2)
    if last < count:
        return list(points)
    return [points[index * last // (count - 1)] for index in range(count)]


def downsample(points: Sequence[Point], max_points: int) -> list[Point]:
    """Keep at most ``max_points`` points: first, last, and each bin's lowest, highest and gap.

    A spike of one step survives, and so does a step that was not a number.
    """
    if len(points) <= max(max_points, 2):
        return list(points)
    inner = points[1:-1]
    bins = max(1, (max_points - 2) // 3)
    kept = {0, len(points) - 1}
    for number in range(bins):
        start, end = number * len(inner) // bins, (number + 1) * len(inner) // bins
        kept.update(index + 1 for index in _extremes(inner, start, end))
    return [points[index] for index in sorted(kept)][:max(max_points, 2)]


def _extremes(points: Sequence[Point], start: int, end: int) -> set[int]:
    lowest = highest = gap = None
    low, high = float("inf"), float("-inf")
    for index in range(start, end):
        value = points[index][1]
        if value is None:
            gap = index
            continue
        if value < low:
            lowest, low = index, value
        if value > high:
            highest, high = index, value
    return {index for index in (lowest, highest, gap) if index is not None}


def smoothed(series: Mapping[str, Sequence[Point]], weight: float,
             max_points: int | None) -> dict[str, list[Point]]:
    """Return the moving average of each series over all its points, thinned only afterwards."""
    return {name: stride(smooth(points, weight), max_points or len(points))
            for name, points in series.items()}


def thin(points: Sequence[Point], count: int) -> list[float]:
    """Return about ``count`` values for a sparkline, gaps left out."""
    values = [value for _, value in points if value is not None]
    if len(values) <= count:
        return values
    return [values[index * (len(values) - 1) // (count - 1)] for index in range(count)]
