"""Figures as SVG: lines against images seen, precision against recall, heat maps. Equal numbers give equal bytes."""

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
"""Label, colour and point."""
Line = Sequence[tuple[float, float]]
"""(images seen, value) pairs."""
Look = tuple[str, Any]
"""Colour and dash."""
Panel = tuple[str, np.ndarray, Sequence[Sequence[str]], bool]
"""Of a heat map: title, values (rows, columns), their texts, and whether less is better."""
DENSE = 30  # points of a line from which it is drawn without markers


def looks() -> Iterator[Look]:
    """Yield colours and dashes, over and over."""
    return itertools.cycle((colour, dash) for dash in DASHES for colour in COLOURS)


def lines(
    title: str,
    head: str,
    rows: Mapping[str, Sequence[Line]],
    looks: Mapping[str, Look],
    level: tuple[str, float] | None = None,
    log_x: bool = True,
) -> bytes:
    """Draw curves against images seen, labelled at their ends.

    Args:
        title: of the figure.
        head: of the axis of the values.
        rows: label -> its lines, one or more.
        looks: label -> colour and dash.
        level: label and height of a level line.
        log_x: whether images are on a logarithmic axis.

    Returns:
        An SVG.
    """
    with _figure(title, room=max(map(len, rows))) as (axes, out):
        anchors = []
        for name, drawn in rows.items():
            colour, dash = looks[name]
            for points in drawn:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, linestyle=dash, marker="." if len(x) < DENSE else "", markersize=4)
            anchors.append((name, colour, *drawn[0][-1]))
        heights = [y for drawn in rows.values() for points in drawn for _, y in points]
        widths = [x for drawn in rows.values() for points in drawn for x, _ in points]
        if level is not None:
            name, height = level
            heights.append(height)
            axes.axhline(height, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
            anchors.append((name, INK, max(widths), height))
        _scale(axes, "x", widths, log_x)
        _scale(axes, "y", heights, 0 < 5 * min(heights) < max(heights))
        axes.set_xlabel("training images seen")
        axes.set_ylabel(head)
        _label(axes, anchors)
    return out.getvalue()


def precision_recall(title: str, rows: Mapping[str, Sequence[Line]], looks: Mapping[str, Look]) -> bytes:
    """Draw curves of (recall, precision), label -> one a seed, labelled where their sum is largest, as SVG."""
    with _figure(title, square=True) as (axes, out):
        anchors = []
        for name, drawn in rows.items():
            colour, dash = looks[name]
            for points in drawn:
                axes.plot(*zip(*points, strict=True), color=colour, linestyle=dash)
            anchors.append((name, colour, *max(drawn[0], key=lambda point: (sum(point), point))))
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        _label(axes, anchors)
    return out.getvalue()


def heat_map(rows: Sequence[str], columns: Sequence[str], panels: Sequence[Panel]) -> bytes:
    """Draw one panel below the other, darker where better; where less is better, shades are logarithmic."""
    size = (1.6 + 0.62 * len(columns), len(panels) * (1.1 + 0.34 * len(rows)))
    with _svg(size, {"axes.grid": False}, layout="constrained") as (figure, out):
        for panel, (title, values, texts, less) in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True
        ):
            shades = np.log10(np.maximum(values, 1e-3)) if less else values
            panel.imshow(shades, cmap="Blues_r" if less else "Blues", aspect="auto")
            panel.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
            panel.set_yticks(range(len(rows)), rows)
            panel.set_title(title + (", logarithmic shade" if less else ""), fontsize=9)
            middle = np.nanmean([np.nanmin(shades), np.nanmax(shades)])
            for (i, j), shade in np.ndenumerate(shades):
                colour = "white" if (shade < middle) == less else "#222222"
                panel.text(j, i, texts[i][j], ha="center", va="center", fontsize=7, color=colour)
    return out.getvalue()


@contextmanager
def _svg(size: tuple[float, float], settings: Mapping[str, Any], **how: Any) -> Iterator[tuple["Figure", io.BytesIO]]:
    """Yield an empty figure, and the buffer that holds it as SVG at last."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({**SETTINGS, **settings}):  # type: ignore[dict-item]
        figure, out = Figure(figsize=size, **how), io.BytesIO()
        FigureCanvasSVG(figure)
        yield figure, out
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})


@contextmanager
def _figure(title: str, square: bool = False, room: int = 0) -> Iterator[tuple["Axes", io.BytesIO]]:
    """Yield axes with room for labels of ``room`` letters on the right, and the buffer that holds the SVG at last."""
    width = (5.6 if square else 6.8) + 0.08 * max(0, room - 16)
    with _svg((width, 4.2), {}) as (figure, out):
        axes = figure.add_axes((0.66 / width, 0.13, 3.3 / width if square else 4.4 / width, 0.786))
        figure.text(0.66 / width, 0.955, title, fontsize=10, va="center")
        yield axes, out


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
