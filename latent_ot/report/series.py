"""Statistics of one curve of training or of two, each a pure function: what claims on convergence are judged by."""

import math
from collections.abc import Sequence
from statistics import fmean

from latent_ot.curve_table import Series

Points = Sequence[tuple[float, float]]
"""(images seen, value) pairs, all finite."""


def curve(series: Series) -> Points:
    """Return a series, or nothing if a value in it was not finite."""
    return [(x, y) for x, y in series if y is not None] if all(y is not None for _, y in series) else []


def smooth(values: Points, window: float) -> list[float]:
    """Return the moving average of a curve over ``window``, a share of its points, where the window is full."""
    width = max(1, round(window * len(values)))
    ys = [y for _, y in values]
    return [fmean(ys[i - width : i]) for i in range(width, len(ys) + 1)]


def largest_rise(values: Points, window: float) -> float:
    """Return by how much, relatively, a smoothed positive curve is at worst above its lowest value so far."""
    best, worst = math.inf, 0.0
    for value in smooth(values, window):
        best = min(best, value)
        worst = max(worst, value / best - 1)
    return worst


def final_over_initial(values: Points, window: float) -> float | None:
    """Return the mean of the last over that of the first ``window`` of a curve."""
    smoothed = smooth(values, window)
    return smoothed[-1] / smoothed[0] if smoothed[0] > 0 else None


def highest_after(values: Points, after: float, window: float) -> float:
    """Return the highest smoothed value past the first share ``after`` of a curve."""
    smoothed = smooth(values, window)
    return max(smoothed[int(after * len(smoothed)) :])


def share_slightly_greater(a: Points, b: Points, gap: float) -> float | None:
    """Return at which share of their common points a curve exceeds another, by no more than ``gap``."""
    other = dict(b)
    gaps = [y - other[x] for x, y in a if x in other]
    return fmean(0 < g <= gap for g in gaps) if gaps else None


def first_at(values: Points, target: float) -> float | None:
    """Return after how many images a curve first is at or below ``target``."""
    return next((x for x, y in values if y <= target), None)


def images_to_settle(values: Points, within: float) -> float | None:
    """Return after how many images a curve is first within the share ``within`` above its last value."""
    return first_at(values, (1 + within) * values[-1][1]) if values else None
