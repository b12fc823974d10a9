"""Curves over training and PRD curves: read at shares of the budget, put in order, and drawn as SVG.

A curve is read in the table as in the drawing, as a mean over a tenth of the budget (``Record.smoothed``).
"""

import itertools
from collections.abc import Mapping, Sequence

from latent_ot.pictures.charts import DASHES, INK, Line, Look, lines, looks, precision_recall
from latent_ot.quantities import QUANTITIES, Quantity
from latent_ot.record import DATA, Record, shared_by, slug
from latent_ot.report.groups import Group, by_method
from latent_ot.report.marks import lost, survivors
from latent_ot.report.ranking import YARDSTICK, primary, seeds
from latent_ot.report.statistics import by_seed, order, paired_difference, spread, t_interval

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
NAMES = ("1/8", "1/4", "1/2", "end")


def at_share(runs: Sequence[Record], curve: str, share: float) -> dict[int, float]:
    """Return seed -> value of runs that have one at a share of the budget; see ``Record.at_share``."""
    found = {run.seed: run.at_share(curve, share) for run in runs}
    return {seed: value for seed, value in found.items() if value is not None}


def line(run: Record, curve: str) -> list[tuple[float, float]]:
    """Return a run's curve as it is drawn: (images seen, smoothed value)."""
    smooth = ((x, run.smoothed(curve, x)) for x, y in run.curves.series(curve) if x > 0 and y is not None)
    return [(x, y) for x, y in smooth if y is not None]


def of_seeds(name: str, drawn: Mapping[int, Line], metric: str, runs: Sequence[Record]) -> str:
    """Return a row's name in a figure of a line a seed: with their count where ``runs`` were lost at other seeds."""
    return name + "".join(mark.sign for mark in survivors(drawn, lost(drawn, metric, runs)))


def ordering(rows: Mapping[str, Mapping[int, float]], quantity: Quantity) -> str:
    """Return the rows (label -> seed -> value) from the largest mean to the least, with each step's paired interval."""
    ranked = order(by_seed(rows), "up")
    means = [f"{label} {spread(quantity, t_interval([*rows[label].values()]))}" for label in ranked]
    steps = [(a, b, paired_difference(rows[a], rows[b])) for a, b in itertools.pairwise(ranked)]
    told = [f"{above} – {below}: {spread(quantity, by)}" for above, below, by in steps if by]
    return " > ".join(means) + (f"; paired by seed, {', '.join(told)}" if told else "")


def figure_path(group: Group, name: str) -> str:
    """Return where a figure of a group of runs lies in the leaderboard's folder."""
    parts = [group.budget, *shared_by(group.threads, group.devices), slug(group.dataset, group.protocol)]
    return f"figures/{group.dataset}/{'--'.join([*parts, name])}.svg"


def training_figure(group: Sequence[Record]) -> bytes | None:
    """Return the metric that ranks ``group`` against images seen, one line a seed; None if no run followed it."""
    metric, styles = primary(group), _styles(group)
    followed: dict[str, list[Line]] = {}
    for method, runs in sorted(by_method(group).items()):
        drawn = {run.seed: points for run in runs if run.status == "done" and (points := _positive(run, metric))}
        if drawn:
            name = of_seeds(method, drawn, metric, runs)
            followed[name], styles[name] = [*drawn.values()], styles.pop(method)
    if not followed:
        return None
    floor = list(seeds([r for r in group if r.method == DATA], metric).values())
    level = (YARDSTICK, t_interval(floor).mean) if floor else None
    quantity = QUANTITIES[metric]
    return lines(f"{quantity.label} against images seen", quantity.head, followed, styles, level)


def _positive(run: Record, curve: str) -> Line:
    """Return the points of a curve that a logarithmic plane has room for."""
    return [(x, y) for x, y in run.curves.series(curve) if x > 0 and y is not None and y > 0]


def curve_figure(title: str, metric: str, rows: Mapping[str, Sequence[Line]]) -> bytes:
    """Return the curves of a published figure's rows, label -> one line a seed; one row or more must have a line."""
    styles = dict(zip(rows, looks(), strict=False))  # also of rows without a line: a row keeps its colour
    return lines(title, QUANTITIES[metric].head, {k: drawn for k, drawn in rows.items() if drawn}, styles, log_x=False)


def prd_figure(group: Sequence[Record]) -> bytes | None:
    """Return the PRD curves of ``group``, one line a seed; None if no run has one."""
    drawn: dict[str, list[Line]] = {}
    styles = {**_styles(group), DATA: (INK, DASHES[1])}
    for method, runs in sorted(by_method(group).items(), key=lambda row: (row[0] == DATA, row[0])):
        with_curve = {run.seed: prd for run in runs if run.status == "done" and (prd := run.curves.prd)}
        found = {seed: list(zip(prd.recall, prd.precision, strict=True)) for seed, prd in with_curve.items()}
        if found:
            name = YARDSTICK if method == DATA else of_seeds(method, found, "prd_f8", runs)
            drawn[name], styles[name] = [*found.values()], styles.pop(method)
    return precision_recall("PRD curves: precision against recall", drawn, styles) if drawn else None


def _styles(group: Sequence[Record]) -> dict[str, Look]:
    """Return each method's colour and dash, the same in every figure of a group."""
    return dict(zip(sorted({r.method for r in group if r.status == "done"} - {DATA}), looks(), strict=False))
