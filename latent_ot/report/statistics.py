"""What several seeds say: means with 95 % intervals, differences paired by seed, and which rows tie with the best."""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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
    n = len(values)
    half = None if n == 1 else float(_quantiles(n - 1, level) * np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(float(np.mean(values)), half, n)  # not by pandas: pages have thousands, each a millisecond


def prediction(groups: Sequence[Sequence[float]], level: float) -> tuple[float, float]:
    """Return the interval in which a value of one further group lies with probability ``level``.

    ``groups``: two or more; values of one group may depend on each other, those of different groups are taken as
    independent and normal, of one unknown mean and variance. With n groups of one value each the interval is
    mean ± t sd (1 + 1/n)^(1/2) with n - 1 degrees of freedom; with more values n still counts groups.
    """
    n, values = len(groups), np.concatenate([np.asarray(group, dtype=float) for group in groups])
    deviation = np.std(values) * math.sqrt(n / (n - 1))
    half = float(_quantiles(n - 1, level) * deviation) * math.sqrt(1 + 1 / n)
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def _quantiles(freedom: Any, level: float = 0.95) -> Any:
    """Return how many standard errors half an interval is wide, by the degrees of freedom, 1 or more."""
    from scipy.special import stdtrit  # half a second to import; scipy.stats, which has the same quantile, twice that

    return stdtrit(freedom, 0.5 + level / 2)


def _half_widths(values: pd.DataFrame) -> pd.Series:
    """Return half the width of each row's 95 % t interval; NaN for one that has fewer than two values."""
    n = values.count(axis=1)
    return n * np.nan if n.max() < 2 else _quantiles(n - 1) * values.sem(axis=1)


def sampled(halves: Mapping[int, float | None]) -> float | None:
    """Return half the width of the sampling's interval of a mean over seeds, from that of each; None if one lacks it.

    Each seed draws images of its own, so that the variance of the mean of k is the sum of theirs over k^2: half-widths
    h_i make (h_1^2 + ... + h_k^2)^(1/2) / k. That the reference is one for all of them is left aside; what several
    seeds scatter by, which is not smaller on average, is known then.
    """
    known = [half for half in halves.values() if half is not None]
    return math.hypot(*known) / len(known) if known and len(known) == len(halves) else None


def spread(quantity: Quantity, interval: Interval, always: bool = True, sampling: float | None = None) -> str:
    """Return ``mean ± half-width``; one run has no interval: ``mean ± –``, or just ``mean`` unless ``always``.

    ``sampling``: half the width of the interval of sampling, if it is known; the wider of both is shown.
    """
    if sampling is not None:
        return quantity.within(interval.mean, max(sampling, interval.half or 0.0))
    if interval.half is None:
        return quantity.text(interval.mean) + (f" ± {NONE}" if always else "")
    return f"{quantity.text(interval.mean)} ± {quantity.text(interval.half)}"


def by_seed(rows: Rows) -> pd.DataFrame:
    """Return ``rows``, name -> seed -> value, as a table of names by seeds, without a name that has no value."""
    some = {name: dict(seeds) for name, seeds in rows.items() if seeds}
    return pd.DataFrame.from_dict(some, orient="index", dtype=float).sort_index(axis=1)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Interval | None:
    """Return the interval of ``a - b`` over the seeds that both have (seed -> value); None if they share none."""
    differences = (pd.Series(a, dtype=float) - pd.Series(b, dtype=float)).dropna()
    return None if differences.empty else t_interval(differences.to_list())


def order(values: pd.DataFrame, direction: str) -> list[str]:
    """Return the names of ``by_seed``'s rows, best mean first, equal means by name."""
    means = values.mean(axis=1).sort_index()
    return means.sort_values(ascending=direction != "up", kind="stable").index.to_list()


@dataclass(frozen=True)
class Comparison:
    """Rows that are compared with one another in a quantity.

    ``rows``: name -> seed -> value. ``direction``: which is better, "up", "down" or "none". ``printed``: how a value is
    shown. ``floors``: name -> seed -> what real data have in the value's place, from which rows are counted; None for a
    quantity without one. ``unfit``: never best. ``halves``: name -> seed -> half the width of the interval of sampling,
    where that is known.
    """

    rows: Rows
    direction: str
    printed: Callable[[float], str]
    floors: Rows | None = None
    unfit: Set[str] = frozenset()
    halves: Rows = field(default_factory=dict)

    @cached_property
    def excess(self) -> pd.DataFrame:
        """By how much rows are worse than their floors, names by seeds; without floors, than nothing at all.

        A row past its floor has a negative excess, and one whose floor is not known has none.
        """
        values = by_seed(self.rows)
        above = values if self.floors is None else values - by_seed(self.floors).reindex_like(values)
        return -above if self.direction == "up" else above

    @cached_property
    def past(self) -> set[str]:
        """The rows whose mean lies past their floor."""
        return set() if self.floors is None else {*(mean := self.excess.mean(axis=1)).index[mean < 0]}

    @cached_property
    def best(self) -> set[str]:
        """The row with the best mean and the rows that tie with it; nothing is best among fewer than two rows.

        A row ties when the interval of its difference to the best contains zero: with two or more common seeds that of
        the paired difference, with ``halves`` that of two independent draws, and of both the wider. Where there is
        neither, only an equal printed mean ties. With ``floors`` nothing past its own is best, nor a row whose floor is
        not known.
        """
        worse = self.excess
        if len(worse) < 2 or self.direction == "none":
            return set()
        worse = worse.drop(index=[*self.unfit], errors="ignore")
        if self.floors is not None:
            worse = worse[worse.mean(axis=1) >= 0]
        if worse.empty:
            return set()
        first = order(worse, "down")[0]
        level = 0.0 if self.floors is None else np.nanmean(by_seed(self.floors).to_numpy())
        paired = worse - worse.loc[first]
        shown = (level + worse.mean(axis=1) * (-1 if self.direction == "up" else 1)).map(self.printed)
        over_seeds, of_sampling = _half_widths(paired), self._sampling(paired, first)
        close = paired.mean(axis=1).abs() <= np.fmax(over_seeds, of_sampling)
        tied = np.where(paired.count(axis=1) > 1, close, close | (shown == shown[first]))
        return {first, *worse.index[tied]}

    def _sampling(self, paired: pd.DataFrame, first: str) -> pd.Series:
        """Return half the sampling's interval of each row's mean difference to ``first``, NaN if not known."""
        widths = by_seed(self.halves).reindex_like(paired).astype(float)
        squares = (widths**2 + widths.loc[first] ** 2).where(paired.notna())
        seeds = paired.count(axis=1)
        return (squares.sum(axis=1) ** 0.5 / seeds).where(squares.count(axis=1) == seeds)

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Name -> rank of the rows that have a value, in the order of the ranks.

        Every row that ties with the best is first with it; any other has the place of its mean after them, with
        ``floors`` that of its distance from its own. What lies past its floor is never first, even alone, nor are the
        unfit.
        """
        ranked = order(self.excess if self.floors is None else self.excess.mean(axis=1).abs().to_frame(), "down")
        tied = self.best or {*ranked[:1]} - self.past - self.unfit
        after = sorted(ranked, key=lambda name: name not in tied)
        return {name: 1 if name in tied else place for place, name in enumerate(after, 1 if tied else 2)}
