"""Figures of a leaderboard page as SVG: curves against images seen, PRD curves, and the heat map of a grid."""

from collections.abc import Mapping, Sequence

from latent_ot.pictures.charts import DASHES, INK, Line, Look, lines, looks, precision_recall
from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.groups import by_method
from latent_ot.report.ranking import YARDSTICK, primary, seeds
from latent_ot.report.statistics import t_interval


def training_figure(group: Sequence[Record]) -> bytes | None:
    """Return the metric that ranks ``group`` against images seen, one line a seed; None if no run followed it."""
    metric = primary(group)
    followed: dict[str, list[Line]] = {}
    for method, runs in sorted(by_method(group, "done").items()):
        for run in runs:
            if points := [(x, y) for x, y in run.curves.series(metric) if x > 0 and y is not None and y > 0]:
                followed.setdefault(method, []).append(points)
    if not followed:
        return None
    floor = list(seeds([r for r in group if r.method == DATA], metric).values())
    level = (YARDSTICK, t_interval(floor).mean) if floor else None
    quantity = QUANTITIES[metric]
    return lines(f"{quantity.label} against images seen", quantity.head, followed, _styles(group), level)


def curve_figure(title: str, metric: str, rows: Mapping[str, Sequence[Line]]) -> bytes:
    """Return the curves of a published figure's rows, label -> one line a seed; one row or more must have a line."""
    styles = dict(zip(rows, looks(), strict=False))  # also of rows without a line: a row keeps its colour
    return lines(title, QUANTITIES[metric].head, {k: drawn for k, drawn in rows.items() if drawn}, styles, log_x=False)


def prd_figure(group: Sequence[Record]) -> bytes | None:
    """Return the PRD curves of ``group``, one line a seed; None if no run has one."""
    drawn: dict[str, list[Line]] = {}
    for method, runs in sorted(by_method(group, "done").items()):
        for prd in filter(None, (run.curves.prd for run in runs)):
            drawn.setdefault(method, []).append(list(zip(prd.recall, prd.precision, strict=True)))
    if yardstick := drawn.pop(DATA, None):
        drawn[YARDSTICK] = yardstick
    styles = {**_styles(group), YARDSTICK: (INK, DASHES[1])}
    return precision_recall("PRD curves: precision against recall", drawn, styles) if drawn else None


def _styles(group: Sequence[Record]) -> dict[str, Look]:
    """Return each method's colour and dash, the same in every figure of a group."""
    return dict(zip(sorted({r.method for r in group if r.status == "done"} - {DATA}), looks(), strict=False))
