"""The kinds of statement that a claim can make, each a rule over records; none of them looks at which side came out.

A rule turns a claim into contrasts. A contrast takes one figure from a record of each of its rows at the same seed,
combines them into one number, and says in which region that number lies if the claim is true.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, product
from statistics import fmean
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from latent_ot.config import Config
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.contrasts import Contrast, Figure, Region, Row, read
from latent_ot.report.series import (
    Points,
    curve,
    final_over_initial,
    first_at,
    highest_after,
    images_to_settle,
    largest_rise,
    share_slightly_greater,
)


class Rule(Config):
    """One statement's rule with its parameters; methods are written as records name rows."""

    @abstractmethod
    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """Return what is to be judged. ``row``: reads a row, with the settings that the data set's column asks for."""

    @abstractmethod
    def text(self, figure: Figure) -> str:
        """Return the rule in words."""


def _group(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


Group = Annotated[tuple[str, ...], BeforeValidator(_group)]


class Better(Rule):
    """Every row of a group is better than every row of the next group."""

    groups: tuple[Group, ...] = Field(min_length=2)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One for each pair of rows from neighbouring groups."""
        pairs = [pair for above, below in pairwise(self.groups) for pair in product(above, below)]
        return [_difference(figure, row(a), row(b), figure.better) for a, b in pairs]

    def text(self, figure: Figure) -> str:
        """Return the order."""
        side = "above" if figure.direction == "up" else "below"
        return f"{figure.name}: " + f" {side} ".join(_listed(group) for group in self.groups)


class Close(Rule):
    """Two rows differ by at most ``within``."""

    a: str
    b: str
    within: float = Field(ge=0)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One."""
        return [_difference(figure, row(self.a), row(self.b), Region(-self.within, self.within))]

    def text(self, figure: Figure) -> str:
        """Return the two rows and the bound."""
        return f"{figure.name}: {self.a} and {self.b} differ by at most {self.within:g}"


class Value(Rule):
    """A row is within ``rel_tol`` times ``v`` of ``v``; with a ``floor``, both in excess of the data's own."""

    method: str
    v: float
    rel_tol: float = Field(gt=0)
    floor: float | None = None

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One, of the distance from the published value."""
        tolerance = self.rel_tol * abs(self.v)
        region, one = Region(-tolerance, tolerance), row(self.method)
        if self.floor is None:
            label = f"{one} – {self.v:g}"
            return [Contrast((one,), figure.read, lambda x: x - self.v, region, label, figure.quantity)]
        excess = self.v - self.floor
        label = f"({one} – {DATA}) – {excess:.3g}"
        rows = (one, Row(DATA))
        return [Contrast(rows, figure.read, lambda x, floor: x - floor - excess, region, label, figure.quantity)]

    def text(self, figure: Figure) -> str:
        """Return the published value and the tolerance."""
        floor = "" if self.floor is None else f", both in excess of the data's own (published {self.floor:g})"
        return f"{figure.name} of {self.method} within {self.rel_tol:.0%} of the published {self.v:g}{floor}"


class Bound(Rule):
    """The figure of each row is at least ``low`` and at most ``high``; ``low`` may be given for each data set."""

    methods: Group
    low: float | dict[str, float] = -math.inf
    high: float = math.inf

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One for each row."""
        low = self.low[dataset] if isinstance(self.low, dict) else self.low
        region = Region(low, self.high)
        rows = [row(method) for method in self.methods]
        return [Contrast((one,), figure.read, lambda x: x, region, str(one), figure.quantity) for one in rows]

    def text(self, figure: Figure) -> str:
        """Return the bounds."""
        lows = ", ".join(f"{low:g} ({name})" for name, low in self.low.items()) if isinstance(self.low, dict) else ""
        bounds = [f"at least {lows}"] if lows else []
        if isinstance(self.low, float) and self.low > -math.inf:
            bounds.append(f"at least {self.low:g}")
        if self.high < math.inf:
            bounds.append(f"at most {self.high:g}")
        return f"{figure.name} of {_listed(self.methods)} " + " and ".join(bounds)


class Limits(Rule):
    """Several figures of each row are within their limits: the largest share of a limit is at most 1."""

    methods: Group
    limits: dict[str, float]

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One for each row."""

        def share(record: Record) -> float | None:
            values = [read(record, key) for key in self.limits]
            shares = [v / limit for v, limit in zip(values, self.limits.values(), strict=True) if v is not None]
            return max(shares) if len(shares) == len(values) else None

        rows = [row(method) for method in self.methods]
        return [Contrast((one,), share, lambda x: x, Region(high=1), f"{one}, share of limit") for one in rows]

    def text(self, figure: Figure) -> str:
        """Return the limits."""
        limits = " and ".join(f"{key} at most {limit:g}" for key, limit in self.limits.items())
        return f"{_listed(self.methods)}: {limits}"


class DatasetBetter(Rule):
    """Each row is better on the claim's data set than on another one, under one evaluator, sample count and budget."""

    methods: Group
    than: str

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One for each row."""
        found = []
        for method in self.methods:
            one = row(method)
            other = Row(one.method, one.settings, self.than)
            found.append(_difference(figure, one, other, figure.better, f"{one} on {dataset} – on {self.than}"))
        return found

    def text(self, figure: Figure) -> str:
        """Return the methods and the data sets."""
        return f"{figure.name} of {_listed(self.methods)} better than on {self.than}"


class UShape(Rule):
    """Both ends of a sweep of one setting are worse than the mean of the points between."""

    method: str
    setting: str
    grid: tuple[float, ...] = Field(min_length=3)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One for each end. The mean, not the best, since the best of several draws is low by chance."""
        rows = [row(f"{self.method}[{self.setting}={point:g}]") for point in self.grid]
        region = Region(high=0, strict=True) if figure.direction == "up" else Region(low=0, strict=True)
        return [
            Contrast(
                (end, *rows[1:-1]),
                figure.read,
                lambda first, *between: first - fmean(between),
                region,
                f"{end} – mean between the ends",
                figure.quantity,
            )
            for end in (rows[0], rows[-1])
        ]

    def text(self, figure: Figure) -> str:
        """Return the sweep."""
        points = ", ".join(f"{point:g}" for point in self.grid)
        return f"{figure.name} of {self.method} over {self.setting} = {points}: both ends worse than the mean between"


class Faster(Rule):
    """Each of ``a`` comes within the share ``within`` of its own final FID after fewer images than ``b``."""

    a: Group
    b: str
    within: float = 0.1

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One for each of ``a``; the effect is in images."""

        def settles(record: Record) -> float | None:
            return images_to_settle(curve(record.curves.series(figure.key)), self.within)

        pairs = [(row(a), row(self.b)) for a in self.a]
        less = Region(high=0, strict=True)
        return [Contrast(pair, settles, _minus, less, _label(*pair) + ", images", IMAGES) for pair in pairs]

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        measure = f"images to within {self.within:.0%} of a run's own final {figure.name}"
        return f"{measure}: fewer for {_listed(self.a)} than for {self.b}"


class Sooner(Rule):
    """``a`` reaches the final FID of ``b`` with ``factor`` times fewer images than ``b`` took in all."""

    a: str
    b: str
    factor: float = Field(gt=0)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One; a run that does not get there counts all its images, and only where they are too many already."""

        def follow(record: Record) -> Points | None:
            return curve(record.curves.series(figure.key)) or None

        def excess(a: Points, b: Points) -> float | None:
            taken, target = b[-1]
            reached = first_at(a, target)
            over = self.factor * (a[-1][0] if reached is None else reached) - taken
            return over if reached is not None or over > 0 else None

        pair = (row(self.a), row(self.b))
        label = f"{self.factor:g} × {pair[0]} – {pair[1]}, images"
        return [Contrast(pair, follow, excess, Region(high=0), label, IMAGES)]

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        return f"{self.a} reaches the final {figure.name} of {self.b} with {self.factor:g} times fewer images"


class Early(Rule):
    """``a`` is better than ``b`` where both curves of the figure first have a point after the same number of images."""

    a: str
    b: str

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One."""

        def follow(record: Record) -> dict[float, float] | None:
            return dict(curve(record.curves.series(figure.key))) or None

        def first(a: dict[float, float], b: dict[float, float]) -> float | None:
            common = min(a.keys() & b.keys(), default=None)
            return None if common is None else a[common] - b[common]

        pair = (row(self.a), row(self.b))
        return [Contrast(pair, follow, first, figure.better, f"{_label(*pair)}, early", figure.quantity)]

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        return f"{figure.name} at the first point of the curves: {self.a} better than {self.b}"


class Decreases(Rule):
    """No smoothed curve ever is more than the share ``slack`` above its lowest value so far."""

    method: str
    series: Group
    window: float = Field(gt=0, le=1)
    slack: float = Field(ge=0)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One, of the largest rise of any of the curves."""
        return [_of_curves(row(self.method), self.series, self._worst, Region(high=self.slack), "largest rise")]

    def _worst(self, *curves: Points) -> float:
        return max(largest_rise(values, self.window) for values in curves)

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        return (
            f"{_listed(self.series)} of {self.method}, averaged over {self.window:.0%} of the run, "
            f"never more than {self.slack:.0%} above its lowest so far"
        )


class SlightlyGreater(Rule):
    """Curve ``a`` exceeds curve ``b``, by no more than ``gap``, at no less than ``share`` of the points."""

    method: str
    a: str
    b: str
    gap: float = Field(gt=0)
    share: float = Field(gt=0, le=1)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One, of the share."""

        def share(a: Points, b: Points) -> float | None:
            return share_slightly_greater(a, b, self.gap)

        return [_of_curves(row(self.method), (self.a, self.b), share, Region(low=self.share), "share of the run")]

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        return (
            f"{self.a} above {self.b}, by at most {self.gap:g}, during at least {self.share:.0%} of the run "
            f"of {self.method}"
        )


class FallsTo(Rule):
    """The end of a curve is at most ``ratio`` of its beginning; both are means over ``window`` of it."""

    method: str
    series: str
    ratio: float = Field(gt=0)
    window: float = Field(gt=0, le=0.5)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One, of the ratio."""

        def ratio(values: Points) -> float | None:
            return final_over_initial(values, self.window)

        return [_of_curves(row(self.method), (self.series,), ratio, Region(high=self.ratio), "end over beginning")]

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        return (
            f"{self.series} of {self.method}: mean over the last {self.window:.0%} of the run at most {self.ratio:.0%} "
            f"of that over the first"
        )


class StaysBelow(Rule):
    """Past the first share ``after`` of the run a smoothed curve never is above ``threshold``."""

    method: str
    series: str
    threshold: float
    after: float = Field(ge=0, lt=1)
    window: float = Field(gt=0, le=1)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """One, of the highest value."""

        def highest(values: Points) -> float:
            return highest_after(values, self.after, self.window)

        return [_of_curves(row(self.method), (self.series,), highest, Region(high=self.threshold), "highest value")]

    def text(self, figure: Figure) -> str:
        """Return the measure."""
        return (
            f"{self.series} of {self.method}, averaged over {self.window:.0%} of the run, at most {self.threshold:g} "
            f"once {self.after:.0%} of it are over"
        )


class Check(Rule):
    """A numeric check of the suite's own code, by name in ``benchmarks/claims/checks.py``, is within the bounds."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    @property
    def region(self) -> Region:
        """Where the value lies if the claim is true."""
        return Region(self.low, self.high, self.strict)

    def contrasts(self, figure: Figure, row: Callable[[str], Row], dataset: str) -> list[Contrast]:
        """None: no record bears on it."""
        return []

    def text(self, figure: Figure) -> str:
        """Return the check and its bounds."""
        low = [f"{'above' if self.strict else 'at least'} {self.low:g}"] if self.low > -math.inf else []
        high = [f"{'below' if self.strict else 'at most'} {self.high:g}"] if self.high < math.inf else []
        return f"check {self.name}: {' and '.join([*low, *high])}"


RULES: dict[str, type[Rule]] = {
    "better": Better,
    "close": Close,
    "value": Value,
    "bound": Bound,
    "limits": Limits,
    "dataset_better": DatasetBetter,
    "u_shape": UShape,
    "faster": Faster,
    "sooner": Sooner,
    "early": Early,
    "decreases": Decreases,
    "slightly_greater": SlightlyGreater,
    "falls_to": FallsTo,
    "stays_below": StaysBelow,
    "check": Check,
}
"""The key under which a claim gives its rule -> the rule."""
IMAGES = QUANTITIES["images_seen"]


def _minus(a: float, b: float) -> float:
    return a - b


def _label(a: Row, b: Row) -> str:
    return f"{a} – {b}"


def _difference(figure: Figure, a: Row, b: Row, region: Region, label: str = "") -> Contrast:
    return Contrast((a, b), figure.read, _minus, region, label or _label(a, b), figure.quantity)


def _of_curves(
    row: Row, names: Iterable[str], statistic: Callable[..., float | None], region: Region, what: str
) -> Contrast:
    """Return the contrast of one statistic of some of a record's curves of training."""
    names = tuple(names)

    def figure(record: Record) -> float | None:
        curves = [curve(record.curves.loss.get(name, [])) for name in names]
        return statistic(*curves) if all(curves) else None

    return Contrast((row,), figure, lambda x: x, region, f"{row}, {what} of {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
