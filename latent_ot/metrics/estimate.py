"""A figure with the 95 % interval of its sampling: how far it would move if its samples were drawn again.

What is sampled is all that a figure is taken of, so that of images against a reference both sets are. The interval is
that of the figure's mean at the same number of samples, its bias included; it says nothing of another training.
"""

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

Z = 1.959963984540054  # 97.5 % quantile of the normal law


class Estimate(float):
    """A number that knows half the width of its interval, ``half``, and else is a float like any other."""

    half: float

    def __new__(cls, value: float, error: float, quantile: float = Z) -> Self:
        """Return ``value`` with the interval of a standard ``error``, >= 0."""
        made = super().__new__(cls, value)
        made.half = quantile * error
        return made

    @property
    def interval(self) -> list[float]:
        """The lower and the upper end."""
        return [float(self) - self.half, float(self) + self.half]


def by_influence(value: float, *influences: Tensor) -> float:
    """Return ``value`` with the interval of the infinitesimal jackknife; without one where a set has one sample.

    ``influences``: for each sampled set (n,), how a sample's weight moves the value: n times the derivative in it, up
    to a constant. Their variance over n is the set's part of the value's variance (Efron and Stein, "The Jackknife
    Estimate of Variance", 1981).
    """
    if any(len(influence) < 2 for influence in influences):
        return float(value)
    variances = (influence.double().var().item() / len(influence) for influence in influences)
    return Estimate(value, sum(variances) ** 0.5)


def of_mean(values: Tensor) -> float:
    """Return the mean of values (n,), n >= 1, with its interval."""
    values = values.double()
    return by_influence(values.mean().item(), values)


def of_share(hits: Tensor) -> float:
    """Return the share of true among ``hits`` (n,), n >= 1, with its interval."""
    share = hits.double().mean().item()
    return Estimate(share, share_error(share, len(hits)))


def share_error(share: float, n: int) -> float:
    """Return the standard error of a share of n independent samples.

    It is that of two more hits and two more misses, so that it is not 0 at a share of 0 or 1 (Agresti and Coull,
    "Approximate is Better than Exact for Interval Estimation of Binomial Proportions", 1998).
    """
    near = (n * share + 2) / (n + 4)
    return (near * (1 - near) / (n + 4)) ** 0.5


def intervals(metrics: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return key -> [lower end, upper end] of those of the ``metrics`` that know theirs."""
    return {key: value.interval for key, value in metrics.items() if isinstance(value, Estimate)}
