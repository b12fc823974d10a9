"""Figures of a leaderboard page as SVG: curves against images seen, and PRD curves. Equal records give equal bytes."""

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from latent_ot.quantities import QUANTITIES
from latent_ot.record import DATA, Record
from latent_ot.report.ranking import YARDSTICK, by_method, primary, seeds
from latent_ot.report.statistics import t_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's "muted" scheme, told apart with any colour vision, without its pale yellow and with a darker sky blue, so
# that labels can be read; a repeated colour is dashed.
COLOURS = ("#332288", "#cc6677", "#117733", "#4a9fd0", "#882255", "#44aa99", "#999933", "#aa4499")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
INK = "#444444"
SETTINGS = {
    "svg.hashsalt": "latent_ot",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#bbbbbb",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
}
Anchor = tuple[str, str, float, float]
Line = list[tuple[float, float]]
"""(images seen, value) pairs."""
Look = tuple[str, Any]
"""Colour and dash."""
DENSE = 30  # points of a line from which it is drawn without markers


def training_figure(group: Sequence[Record]) -> bytes | None:
    """Return the metric that ranks ``group`` against images seen, one line a seed; None if no run followed it."""
    metric = primary(group)
    followed: dict[str, list[Line]] = {}
    for method, runs in sorted(by_method(group, "done").items()):
        for run in runs:
            points = [(x, y) for x, y in run.curves.series(metric) if x > 0 and y is not None and y > 0]
            if points:
                followed.setdefault(method, []).append(points)
    if not followed:
        return None
    floor = list(seeds([r for r in group if r.method == DATA], metric).values())
    level = t_interval(floor).mean if floor else None
    return _lines(f"{QUANTITIES[metric].label} against images seen", metric, followed, _styles(group), level)


def curve_figure(title: str, metric: str, rows: Mapping[str, Sequence[Line]]) -> bytes:
    """Return the curves of a published figure's rows, label -> one line a seed; one row or more must have a line."""
    looks = dict(zip(rows, _looks(), strict=False))  # also of rows without a line: a row keeps its colour
    return _lines(title, metric, {label: lines for label, lines in rows.items() if lines}, looks, log_x=False)


def _lines(
    title: str,
    metric: str,
    rows: Mapping[str, Sequence[Line]],
    looks: Mapping[str, Look],
    level: float | None = None,
    log_x: bool = True,
) -> bytes:
    """Draw lines against images seen, labelled at their ends, and the yardstick's ``level``."""
    with _figure(title, room=max(map(len, rows))) as (axes, out):
        anchors = []
        for name, lines in rows.items():
            colour, dash = looks[name]
            for points in lines:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, linestyle=dash, marker="." if len(x) < DENSE else "", markersize=4)
            anchors.append((name, colour, *lines[0][-1]))
        heights = [y for lines in rows.values() for points in lines for _, y in points]
        widths = [x for lines in rows.values() for points in lines for x, _ in points]
        if level is not None:
            heights.append(level)
            axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
            anchors.append((YARDSTICK, INK, max(widths), level))
        _scale(axes, "x", widths, log_x)
        _scale(axes, "y", heights, 0 < 5 * min(heights) < max(heights))
        axes.set_xlabel("training images seen")
        axes.set_ylabel(QUANTITIES[metric].head)
        _label(axes, anchors)
    return out.getvalue()


def prd_figure(group: Sequence[Record]) -> bytes | None:
    """Return the PRD curves of ``group``, one line a seed; None if no run has one."""
    drawn = {m: [r.curves.prd for r in runs if r.curves.prd] for m, runs in sorted(by_method(group, "done").items())}
    drawn = {method: curves for method, curves in drawn.items() if curves}
    yardstick = drawn.pop(DATA, [])
    if not drawn and not yardstick:
        return None
    with _figure("PRD curves: precision against recall", square=True) as (axes, out):
        anchors = []
        styles = _styles(group)
        styled = [(method, curves, *styles[method]) for method, curves in drawn.items()]
        for name, curves, colour, dash in [*styled, *([(YARDSTICK, yardstick, INK, DASHES[1])] if yardstick else [])]:
            for curve in curves:
                axes.plot(curve.recall, curve.precision, color=colour, linestyle=dash)
            x, y = max(zip(curves[0].recall, curves[0].precision, strict=True), key=lambda point: (sum(point), point))
            anchors.append((name, colour, x, y))
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        _label(axes, anchors)
    return out.getvalue()


def _looks() -> Iterator[Look]:
    return itertools.cycle((colour, dash) for dash in DASHES for colour in COLOURS)


def _styles(group: Sequence[Record]) -> dict[str, Look]:
    """Return each method's colour and dash, the same in every figure of a group."""
    return dict(zip(sorted({r.method for r in group if r.status == "done"} - {DATA}), _looks(), strict=False))


@contextmanager
def _figure(title: str, square: bool = False, room: int = 0) -> Iterator[tuple["Axes", io.BytesIO]]:
    """Yield axes with room for labels of ``room`` letters on the right, and the buffer that holds the SVG at last."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    width = (5.6 if square else 6.8) + 0.08 * max(0, room - 16)
    with matplotlib.rc_context(SETTINGS):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, 4.2))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0.66 / width, 0.13, 3.3 / width if square else 4.4 / width, 0.786))
        figure.text(0.66 / width, 0.955, title, fontsize=10, va="center")
        out = io.BytesIO()
        yield axes, out
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})


def _scale(axes: "Axes", which: str, values: Sequence[float], log: bool) -> None:
    """Set limits and ticks of an axis, linear or logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = min(values), max(values)
    axis = axes.xaxis if which == "x" else axes.yaxis
    limits = axes.set_xlim if which == "x" else axes.set_ylim
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    if log:
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e4 * low else (1,)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        limits(low / 1.15, high * 1.15)
    elif which == "x":
        limits(0.0, high * 1.02)
    else:
        margin = 0.1 * (high - low or abs(high) or 1.0)
        limits(low - margin if low < 0 else max(0.0, low - margin), high + margin)


def _short(value: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:.0e}".replace("e-0", "e-") if 0 < value < 1e-3 else f"{value:g}"


def _label(axes: "Axes", anchors: Sequence[Anchor], gap: float = 0.062) -> None:
    """Write each (name, colour, x, y) to the right of the axes, ``gap`` apart, with a hair line to its point."""
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(((float(to_axes.transform((x, y))[1]), name, colour, x, y) for name, colour, x, y in anchors))
    heights: list[float] = []
    for wanted, *_ in placed:
        heights.append(max(wanted, heights[-1] + gap) if heights else wanted)
    excess = max(0.0, heights[-1] - 1.0)
    for i in reversed(range(len(heights))):  # what was pushed above the frame is let down again
        ceiling = heights[i + 1] - gap if i + 1 < len(heights) else heights[i] - excess
        heights[i] = min(heights[i], ceiling)
    for height, (_, name, colour, x, y) in zip(heights, placed, strict=True):
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.6, "shrinkA": 1, "shrinkB": 2}
        axes.annotate(
            name, (x, y), (1.06, height), textcoords="axes fraction", color=colour, va="center", arrowprops=line
        )
