"""What several seeds say: means with 95 % intervals, differences paired by seed, and which rows tie with the best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from latent_ot.quantities import NONE, Quantity

Rows = Mapping[str, Mapping[int, float]]
"""Name of a row -> seed -> value."""


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


def by_seed(rows: Rows) -> pd.DataFrame:
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


def excess(rows: Rows, direction: str, floors: Rows | None) -> pd.DataFrame:
    """Return by how much rows are worse than their floors, names by seeds; without floors, than nothing at all.

    ``floors``: name -> seed -> what real data have in the value's place. A row past it has a negative excess, and one
    whose floor is not known has none.
    """
    values = by_seed(rows)
    above = values if floors is None else values - by_seed(floors).reindex_like(values)
    return -above if direction == "up" else above


def past(rows: Rows, direction: str, floors: Rows | None) -> set[str]:
    """Return the rows whose mean lies past their floor."""
    return set() if floors is None else {*(m := excess(rows, direction, floors).mean(axis=1)).index[m < 0]}


def best(rows: Rows, direction: str, printed: Callable[[float], str], floors: Rows | None = None) -> set[str]:
    """Return the row with the best mean and the rows that tie with it; nothing is best among fewer than two rows.

    With two or more common seeds a row ties when the interval of its paired difference to the best contains zero; with
    fewer there is no interval, and only an equal printed mean ties. With ``floors`` (see ``excess``) rows are compared
    by their excess; nothing past its floor is best, nor a row whose floor is not known.
    """
    worse = excess(rows, direction, floors)
    if len(worse) < 2 or direction == "none":
        return set()
    if floors is not None:
        worse = worse[worse.mean(axis=1) >= 0]
    if worse.empty:
        return set()
    first = order(worse, "down")[0]
    level = 0.0 if floors is None else np.nanmean(by_seed(floors).to_numpy())
    paired, shown = (
        worse - worse.loc[first],
        (level + worse.mean(axis=1) * (-1 if direction == "up" else 1)).map(printed),
    )
    close = paired.mean(axis=1).abs() <= _half_widths(paired)
    tied = np.where(paired.count(axis=1) > 1, close, shown == shown[first])
    return {first, *worse.index[tied]}


def ranks(rows: Rows, direction: str, printed: Callable[[float], str], floors: Rows | None = None) -> dict[str, int]:
    """Return name -> rank of the rows that have a value, in the order of the ranks.

    Every row that ties with the best (see ``best``) is first with it; any other has the place of its mean after them,
    with ``floors`` that of its distance from its own. What lies past its floor is never first, even alone.
    """
    worse = excess(rows, direction, floors)
    ranked = order(worse if floors is None else worse.mean(axis=1).abs().to_frame(), "down")
    tied = best(rows, direction, printed, floors) or {*ranked[:1]} - past(rows, direction, floors)
    after = sorted(ranked, key=lambda name: name not in tied)
    return {name: 1 if name in tied else place for place, name in enumerate(after, 1 if tied else 2)}
