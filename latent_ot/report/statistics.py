"""What several seeds say: means with 95 % intervals, differences paired by seed, and which rows tie with the best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from latent_ot.quantities import NONE, Quantity


@dataclass(frozen=True)
class Interval:
    """A mean of ``n`` values with the half-width of its interval, which is None for a single value."""

    mean: float
    half: float | None
    n: int

    @property
    def low(self) -> float:
        """Lower end; minus infinity where there is no interval."""
        return -math.inf if self.half is None else self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end; infinity where there is no interval."""
        return math.inf if self.half is None else self.mean + self.half


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of at least one value and its Student t interval at ``level`` with len(values) - 1 degrees."""
    n = len(values)
    if n == 1:
        return Interval(float(values[0]), None, 1)
    from scipy.special import stdtrit  # scipy.stats has the same quantile, but takes a second to import

    quantile = float(stdtrit(n - 1, 0.5 + level / 2))
    return Interval(fmean(values), quantile * stdev(values) / math.sqrt(n), n)


def spread(quantity: Quantity, interval: Interval, always: bool = True) -> str:
    """Return ``mean ± half-width``; one run has no interval: ``mean ± –``, or just ``mean`` unless ``always``."""
    if interval.half is None:
        return quantity.text(interval.mean) + (f" ± {NONE}" if always else "")
    return f"{quantity.text(interval.mean)} ± {quantity.text(interval.half)}"


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Interval | None:
    """Return the interval of ``a - b`` over the seeds that both have (seed -> value); None if they share none."""
    seeds = sorted(a.keys() & b.keys())
    return t_interval([a[seed] - b[seed] for seed in seeds]) if seeds else None


def order(rows: Mapping[str, Mapping[int, float]], direction: str) -> list[str]:
    """Return the names of ``rows`` (name -> seed -> value) that have a value, best mean first, equal means by name."""
    sign = -1.0 if direction == "up" else 1.0
    return sorted((name for name, seeds in rows.items() if seeds), key=lambda r: (sign * fmean(rows[r].values()), r))


def best(rows: Mapping[str, Mapping[int, float]], direction: str, printed: Callable[[float], str]) -> set[str]:
    """Return the row with the best mean and the rows that tie with it; nothing is best among fewer than two rows.

    With two or more common seeds a row ties when the interval of its paired difference to the best contains zero; with
    fewer there is no interval, and only an equal printed mean ties.
    """
    ranked = order(rows, direction)
    if len(ranked) < 2 or direction == "none":
        return set()
    first = rows[ranked[0]]

    def ties(name: str) -> bool:
        difference = paired_difference(rows[name], first)
        if difference is None or difference.half is None:
            return printed(fmean(rows[name].values())) == printed(fmean(first.values()))
        return difference.low <= 0 <= difference.high

    return {name for name in ranked if name == ranked[0] or ties(name)}


def ranks(rows: Mapping[str, Mapping[int, float]], direction: str, printed: Callable[[float], str]) -> dict[str, int]:
    """Return name -> rank of the rows that have a value, in the order of the ranks.

    Every row that ties with the best (see ``best``) is first with it; any other has the place of its mean after them.
    """
    ranked = order(rows, direction)
    tied = best(rows, direction, printed) or set(ranked[:1])
    first = [name for name in ranked if name in tied]
    rest = [name for name in ranked if name not in tied]
    return dict.fromkeys(first, 1) | {name: place for place, name in enumerate(rest, len(first) + 1)}
