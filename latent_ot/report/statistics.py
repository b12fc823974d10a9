"""What several seeds say: means with 95 % intervals, differences paired by seed, and which rows tie with the best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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
    row = pd.Series(values, dtype=float)
    half = _half_widths(row.to_frame().T, level).item()
    return Interval(float(row.mean()), None if len(row) == 1 else half, len(row))


def _half_widths(values: pd.DataFrame, level: float = 0.95) -> pd.Series:
    """Return half the width of each row's t interval; NaN for one that has fewer than two values."""
    n = values.count(axis=1)
    if n.max() < 2:
        return n * np.nan
    from scipy.special import stdtrit  # half a second to import; scipy.stats, which has the same quantile, twice that

    return stdtrit(n - 1, 0.5 + level / 2) * values.sem(axis=1)


def spread(quantity: Quantity, interval: Interval, always: bool = True) -> str:
    """Return ``mean ± half-width``; one run has no interval: ``mean ± –``, or just ``mean`` unless ``always``."""
    if interval.half is None:
        return quantity.text(interval.mean) + (f" ± {NONE}" if always else "")
    return f"{quantity.text(interval.mean)} ± {quantity.text(interval.half)}"


def by_seed(rows: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    """Return ``rows``, name -> seed -> value, as a table of names by seeds, without a name that has no value."""
    return pd.DataFrame({name: pd.Series(seeds, dtype=float) for name, seeds in rows.items() if seeds}).T


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Interval | None:
    """Return the interval of ``a - b`` over the seeds that both have (seed -> value); None if they share none."""
    differences = (pd.Series(a, dtype=float) - pd.Series(b, dtype=float)).dropna()
    return None if differences.empty else t_interval(differences.to_list())


def order(values: pd.DataFrame, direction: str) -> list[str]:
    """Return the names of ``by_seed``'s rows, best mean first, equal means by name."""
    means = values.mean(axis=1).sort_index()
    return means.sort_values(ascending=direction != "up", kind="stable").index.to_list()


def best(rows: Mapping[str, Mapping[int, float]], direction: str, printed: Callable[[float], str]) -> set[str]:
    """Return the row with the best mean and the rows that tie with it; nothing is best among fewer than two rows.

    With two or more common seeds a row ties when the interval of its paired difference to the best contains zero; with
    fewer there is no interval, and only an equal printed mean ties.
    """
    values = by_seed(rows)
    if len(values) < 2 or direction == "none":
        return set()
    first = order(values, direction)[0]
    paired, shown = values - values.loc[first], values.mean(axis=1).map(printed)
    close = paired.mean(axis=1).abs() <= _half_widths(paired)
    tied = np.where(paired.count(axis=1) > 1, close, shown == shown[first])
    return {first, *values.index[tied]}


def ranks(rows: Mapping[str, Mapping[int, float]], direction: str, printed: Callable[[float], str]) -> dict[str, int]:
    """Return name -> rank of the rows that have a value, in the order of the ranks.

    Every row that ties with the best (see ``best``) is first with it; any other has the place of its mean after them.
    """
    ranked = order(by_seed(rows), direction)
    tied = best(rows, direction, printed) or set(ranked[:1])
    return {
        name: 1 if name in tied else place for place, name in enumerate(sorted(ranked, key=lambda n: n not in tied), 1)
    }
