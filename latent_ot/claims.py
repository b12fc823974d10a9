"""The papers' claims as data, from ``benchmarks/claims``: statements, each with its rule.

A rule lists contrasts. For each, a figure is read of a record of every row at one seed, and a function combines them to
an effect, which lies in a region if the claim is true. A new kind of claim is a rule in YAML, with a function at most.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from inspect import signature
from itertools import pairwise, product
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import yaml
from pydantic import Field, PlainValidator, model_validator

from latent_ot.budgets import benchmarks
from latent_ot.config import Config, keywords
from latent_ot.errors import InputError, choose
from latent_ot.files import read_json, read_yaml
from latent_ot.published import Settings, load_table, merged
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record

PAPERS = ("gldo", "aeotgan", "otgen", "iwgan", "sdkl")
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Points = Sequence[tuple[float, float]]  # of a curve of training: (images seen, value), all finite


def look_up(record: Record, key: str) -> float | None:
    """Return a metric, else a cost, else a fact of a record; ``loss.NAME`` is where that curve of training ends."""
    if key.startswith("loss."):
        return record.at_share(key, 1.0)
    value = record.value(key)
    fact = record.facts.get(key) if value is None else value
    return float(fact) if isinstance(fact, int | float) and not isinstance(fact, bool) else None


def follow(record: Record, key: str) -> Points | None:
    """Return a curve of training, None if there is none or a value in it was not finite.

    Where training goes on from what earlier stages trained, their images count: such a stage draws a budget's each.
    """
    earlier = sum("Method" in stage.made_of.get("stage", {}) for stage in record.stages) - 1
    before = max(0, earlier) * record.images_budget
    points = [(before + x, math.nan if y is None else y) for x, y in record.curves.series(key)]
    return points if points and all(math.isfinite(y) for _, y in points) else None


def itself(read: Any) -> Any:
    """Return the one figure or curve that was read."""
    return read


def largest_share(*figures: float, limits: tuple[Positive, ...]) -> float:
    """Return the largest of several figures, each as a share of its limit."""
    return max(figure / limit for figure, limit in zip(figures, limits, strict=True))


def smooth(curve: Points, window: float) -> np.ndarray:
    """Return the moving average of a curve over ``window``, a share of its points, where the window is full."""
    width = max(1, round(window * len(curve)))
    return np.convolve([y for _, y in curve], np.full(width, 1 / width), "valid")


def end(curve: Points, window: float) -> float:
    """Return the mean of the last ``window`` of a curve, a share of its points."""
    return float(smooth(curve, window)[-1])


def first_at_most(curve: Points, level: float) -> float | None:
    """Return after how many images a curve, straight between its points, is first at most ``level``; None if never."""
    k = next((k for k, (_, y) in enumerate(curve) if y <= level), None)
    if not k:
        return None if k is None else curve[0][0]
    (x0, y0), (x1, y1) = curve[k - 1 : k + 1]
    return x0 + (x1 - x0) * (y0 - level) / (y0 - y1)


def largest_rise(*curves: Points, window: Share) -> float:
    """Return by how much, relatively, smoothed positive curves are at worst above their lowest value so far."""
    return max(float(np.max(y / np.minimum.accumulate(y))) - 1 for y in (smooth(curve, window) for curve in curves))


def final_over_initial(curve: Points, *, window: Share) -> float | None:
    """Return the mean of the last over that of the first ``window`` of a curve."""
    ys = smooth(curve, window)
    return float(ys[-1] / ys[0]) if ys[0] > 0 else None


def highest_after(curve: Points, *, after: Annotated[float, Field(ge=0, lt=1)], window: Share) -> float:
    """Return the highest smoothed value past the first share ``after`` of a curve."""
    ys = smooth(curve, window)
    return float(np.max(ys[int(after * len(ys)) :]))


def early(a: Points, b: Points, *, window: Share) -> float | None:
    """Return the mean of a - b after the same images, from where both have begun to ``window`` of the run.

    Runs are looked at after different numbers of images, so that curves are taken as straight between their points.
    """
    start, stop = max(a[0][0], b[0][0]), window * min(a[-1][0], b[-1][0])
    if start > stop:
        return None
    images = np.linspace(start, stop, 101)
    first, second = (np.interp(images, *np.transpose(curve)) for curve in (a, b))
    return float(np.mean(first - second))


def share_just_above(a: Points, b: Points, *, gap: Positive, window: Share) -> float | None:
    """Return at which share of their common points the smoothed a - b is positive and no more than ``gap``."""
    other = dict(b)
    apart = [(x, y - other[x]) for x, y in a if x in other]
    return fmean(0 < difference <= gap for difference in smooth(apart, window)) if apart else None


def images_to_settle(curve: Points, *, within: Positive, window: Share) -> float | None:
    """Return after how many images a curve stays within the share ``within`` above the mean of its end."""
    level = (1 + within) * end(curve, window)
    return first_at_most(curve[max((k for k, (_, y) in enumerate(curve) if y > level), default=0) :], level)


def excess_images(a: Points, b: Points, *, factor: Positive, window: Share) -> float | None:
    """Return ``factor`` times the images that ``a`` takes to where ``b`` ends, less those that ``b`` took in all.

    A curve that does not get there takes one image more than it has at least, which tells only if it is too many.
    """
    reached = first_at_most(a, end(b, window))
    excess = factor * (a[-1][0] + 1 if reached is None else reached) - b[-1][0]
    return None if reached is None and excess <= 0 else excess


def difference(first: float, *others: float, over: float = 0.0) -> float:
    """Return the first figure less the others, if there are any, in excess of ``over``."""
    return first - sum(others) - over


def less_mean(first: float, *others: float) -> float:
    """Return the first less the mean of the others; not less the best, since the best of several is low by chance."""
    return first - fmean(others)


def relative(first: float, second: float) -> float | None:
    """Return by which share the first figure exceeds the second, a positive one."""
    return first / second - 1 if second > 0 else None


OF_RUN = (itself, largest_share, largest_rise, final_over_initial, highest_after, share_just_above, images_to_settle)
OF_ROWS = (difference, less_mean, relative, early, excess_images)
FUNCTIONS: dict[str, Callable[..., Any]] = {function.__name__: function for function in (*OF_RUN, *OF_ROWS)}


def _function(given: Any) -> partial[Any]:
    named = {given: {}} if isinstance(given, str) else given
    if not isinstance(named, dict) or [type(parameters) for parameters in named.values()] != [dict]:
        raise ValueError("allowed: NAME, or {NAME: {parameter: value}}")
    ((name, parameters),) = named.items()
    function = FUNCTIONS[choose("function", name, FUNCTIONS)]
    return partial(function, **keywords(function, parameters, name))


class Row(NamedTuple):
    """A method with settings (part -> key -> value) beside defaults, ``dataset`` and ``budget`` if it has its own."""

    method: str
    settings: Mapping[str, Mapping[str, Any]] = {}
    dataset: str | None = None
    budget: str | None = None

    @classmethod
    def parse(cls, label: str) -> "Row":
        """Read a row as records name it, with its own data set and budget. Raises InputError for another form."""
        found = re.fullmatch(r"([\w+]+)(?:\[((?:[\w.]+=[^,=]+,?)+)\])?(?:@(\w+))?(?::(\w+))?", str(label))
        if not found:
            raise InputError(f"row '{label}' is not of the form method[key=value,part.key=value]@dataset:budget")
        settings: dict[str, dict[str, Any]] = {}
        for name, value in re.findall(r"([\w.]+)=([^,]+)", found[2] or ""):
            part, _, key = name.rpartition(".")
            settings.setdefault(part or found[1], {})[key] = yaml.safe_load(value)
        return cls(found[1], settings, found[3], found[4])

    def __str__(self) -> str:
        changes = (f"{part}.{key}={value}" for part, given in self.settings.items() for key, value in given.items())
        listed = ",".join(change.removeprefix(f"{self.method}.") for change in changes)
        return f"{self.method}[{listed}]" if listed else self.method

    def is_of(self, record: Record) -> bool:
        """Whether a record is a run of the row: it has the settings, and nothing else is changed from defaults."""
        return record.is_run_of(self.method, self.settings)


class Region(NamedTuple):
    """Where an effect lies if the claim is true; ``strict``: its ends do not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    def holds(self, value: float) -> bool:
        """Whether a single value lies there."""
        return self.low <= value <= self.high and not (self.strict and value in (self.low, self.high))


Function = Annotated[partial[Any], PlainValidator(_function)]
Contrast = tuple[Annotated[Row, PlainValidator(Row.parse)], ...]


class Rule(Config):
    """The effect of every contrast lies in a region.

    ``rows``: of each contrast. ``read``: a function of what a record has, of its ``curves`` (see ``Curves.series``),
    else ``figures`` (see ``look_up``), else the ``metric``. ``effect``: a function of what is read at one seed. Either
    is None where the runs do not tell. ``check``: a numeric check, which gives the effects in place of rows.

    The region is ``low`` (of all data sets or each) to ``high``, or by the ``direction`` of the metric the ``side`` of
    differences, or what is worse by no more than ``tolerance``: what is better is never held against a claim.
    ``every``: the statement is exact: it holds if it does at every seed, and one counterexample refutes it; checks are
    judged so, too. ``unit``: the quantity that effects are printed as, if not the metric's. ``label`` of a contrast and
    ``text``, the rule in words, are templates over rows and the functions' parameters.
    """

    metric: str = ""
    direction: Literal["up", "down"] | None = None
    rows: tuple[Contrast, ...] = ()
    curves: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    read: Function = partial(itself)
    effect: Function = partial(difference)
    check: str | None = None
    low: float | dict[str, float] = -math.inf
    high: float = math.inf
    strict: bool = False
    side: Literal["better", "worse"] | None = None
    tolerance: Positive | None = None
    every: bool = False
    unit: str = ""
    label: str = ""
    text: str = "{figure} of {rows} {bounds}"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.rows) == bool(self.check):
            raise ValueError("a rule has either rows or a check")
        if self.side and self._direction == "none":
            raise ValueError(f"metric '{self.metric}' needs a direction; allowed: up, down")
        try:
            signature(self.read).bind(*(self.curves or self.figures or (self.metric,)))
            _ = self.words, [(self.name(rows), signature(self.effect).bind(*rows)) for rows in self.rows]
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"functions, label and text do not fit what they are of: {error}") from None
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The figures of a record that it reads."""
        return self.figures or (self.metric,)

    @property
    def _direction(self) -> str:
        return self.direction or (QUANTITIES[self.metric].direction if self.metric in QUANTITIES else "none")

    @property
    def words(self) -> str:
        """The rule in words."""
        above, below = ("above", "below") if self.strict else ("at least", "at most")
        lows = self.low if isinstance(self.low, dict) else {"": self.low}
        low = ", ".join(f"{v:g}{name and f' ({name})'}" for name, v in lows.items() if v > -math.inf)
        ends = [f"{above} {low}" if low else "", f"{below} {self.high:g}" if self.high < math.inf else ""]
        near, of = {"up": ("at most", "below"), "down": ("at most", "above"), "none": ("within", "of")}[self._direction]
        key = self.metric.removeprefix("loss.")
        figure = QUANTITIES[key].label if key in QUANTITIES else key
        words = (self.text if self.rows else "{rows} {bounds}").format(
            figure=figure if key == self.metric else f"{figure} at the end of training",
            rows=", ".join(str(rows[0]) for rows in self.rows) or f"check {self.check}:",
            side="above" if self._direction == "up" else "below",
            near=near,
            of=of,
            bounds=" and ".join(filter(None, ends)),
            **{"low": self.low, "high": self.high, "tolerance": self.tolerance},
            **{**self.read.keywords, **self.effect.keywords},
        )
        return words + (", at every seed" if self.exact else "")

    @property
    def exact(self) -> bool:
        """Whether the statement has to hold at every seed rather than on average."""
        return self.every or self.check is not None

    def name(self, rows: Sequence[Row]) -> str:
        """Return the label of a contrast."""
        label = self.label or " – ".join(["{}"] * len(rows))
        return label.format(*rows, **self.read.keywords, **self.effect.keywords)

    def region(self, dataset: str) -> Region:
        """Return where an effect on a data set lies if the claim is true."""
        if self.side:
            rises = (self.side == "better") == (self._direction == "up")
            return Region(low=0, strict=True) if rises else Region(high=0, strict=True)
        if self.tolerance is not None:
            low, high = -self.tolerance, self.tolerance
            return {"up": Region(low=low), "down": Region(high=high), "none": Region(low, high)}[self._direction]
        low = self.low[choose("data set", dataset, self.low)] if isinstance(self.low, dict) else self.low
        return Region(low, self.high, self.strict)

    def figure(self, record: Record) -> Any:
        """Return what the rule reads of a record; None if that did not finish or does not have it."""
        of: Callable[..., Any] = follow if self.curves else look_up
        found = [of(record, key) for key in self.curves or self.figures or (self.metric,)]
        return None if record.status != "done" or None in found else self.read(*found)


def better(*, groups: Annotated[tuple[tuple[str, ...] | str, ...], Field(min_length=2)]) -> dict[str, Any]:
    """Every row of a group is better than every row of the next group."""
    sides = [(group,) if isinstance(group, str) else group for group in groups]
    pairs = [pair for above, below in pairwise(sides) for pair in product(above, below)]
    return {"rows": pairs, "side": "better", "text": "{figure}: " + " {side} ".join(map(", ".join, sides))}


def value(*, method: str, v: float, rel_tol: Positive, floor: float | None = None) -> dict[str, Any]:
    """A row is worse than ``v`` by at most ``rel_tol`` of it; with a ``floor``, both in excess of the data's own."""
    rows, over, label = [method], v, "{0} – {over:g}"
    text = f"{{figure}} of {method} {{near}} {rel_tol:.0%} {{of}} the published {v:g}"
    if floor is not None:
        rows, over, label = [method, DATA], v - floor, "({0} – {1}) – {over:.3g}"
        text += f", both in excess of the data's own (published {floor:g})"
    tolerance = rel_tol * abs(over)
    return {
        "rows": [rows], "effect": {"difference": {"over": over}}, "tolerance": tolerance, "label": label, "text": text,
    }  # fmt: skip


FORMS: dict[str, Callable[..., dict[str, Any]]] = {"better": better, "value": value}
"""Short forms: the key under which a claim gives one -> the rule that it stands for."""


class Place(Config):
    """A published data set, as a claim names it: by its id, or as ``table/column`` for rows as that table has them.

    ``name``: the id, or the column's label if others have its data set and metric. ``named``: what is run for a row of
    the table, by the method that it runs and, which counts before that, by its label in lower case.
    """

    dataset: str
    name: str
    named: dict[str, tuple[str, Settings]] = {}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: str) -> dict[str, Any]:
        table, slash, key = given.partition("/")
        if not slash:
            return {"dataset": given, "name": given}
        spec = load_table(table)
        columns = {column.key: column for column in spec.columns}
        column = columns[choose(f"column of {table}", key, columns)]
        alike = [c for c in spec.columns if (c.dataset, c.metric) == (column.dataset, column.metric)]
        run = [(row.label, row.method, spec.asked(row, column)) for row in reversed(spec.rows) if row.method]
        by_label = {re.sub(r"\W+", "_", label.lower()): asked for label, _, asked in run}
        named = {method: asked for _, method, asked in run} | by_label
        return {"dataset": column.dataset, "name": column.label if len(alike) > 1 else column.dataset, "named": named}

    def row(self, row: Row) -> Row:
        """Return what is run here for a claim's row."""
        method, settings = self.named.get(row.method, (row.method, {}))
        return row._replace(method=method, settings=merged(settings, row.settings))


class Claim(Config):
    """One statement with its rule, which the file gives as ``rule`` or in a short form (``FORMS``).

    ``evaluator``: "own" asks for the classifier of the data set's own domain. ``paper_holds``: whether the paper's own
    numbers satisfy the claim, "na" where it prints none. ``note``: what to know about it.
    """

    id: str
    paper: str
    source: str
    statement: str
    datasets: tuple[Place, ...]
    rule: Rule
    evaluator: Literal["own", "inception"] | None = None
    paper_holds: bool | Literal["partial", "na"]
    note: str | None = None

    @classmethod
    def build(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check a claim as a file has it: its metric and direction are the rule's. Raises: see ``Config.build``."""
        kinds = [kind for kind in (*FORMS, "rule") if kind in values]
        if len(kinds) != 1:
            raise InputError(f"{where}: a claim has exactly one of {', '.join(FORMS)}, rule")
        rest, at = dict(values), f"{where}: {kinds[0]}"
        given = rest.pop(kinds[0])
        about: dict[str, Any] = {key: rest.pop(key) for key in ("metric", "direction") if key in rest}
        given = given if isinstance(given, dict) else {"groups": given}
        if kinds[0] in FORMS:
            given = FORMS[kinds[0]](**keywords(FORMS[kinds[0]], given, at))
        return super().build({**rest, "rule": Rule.build({**about, **given}, at)}, where)


@cache
def checks() -> dict[str, list[float]]:
    """Return what each numeric check gave, seed by seed, when ``benchmarks/claims/checks.py`` was last run."""
    return read_json(benchmarks() / "claims" / "checks.json", "what the numeric checks gave", "run checks.py beside it")


@cache
def claims() -> tuple[Claim, ...]:
    """Return every claim of ``benchmarks/claims``, paper by paper."""
    files = [benchmarks() / "claims" / f"{paper}.yaml" for paper in PAPERS]
    rows = ((f.name, row) for f in files for row in read_yaml(f, list))
    return tuple(Claim.build(row, f"{name}, {row.get('id')}") for name, row in rows)
