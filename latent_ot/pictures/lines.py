"""The picture of an assignment in the plane: lines from points to where they go, one panel beside another."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from latent_ot.errors import InputError
from latent_ot.pictures.images import save_figure

STARTS, ENDS, BETWEEN = "#1f5fbf", "#2f9e44", "#d9480f"  # blue, green and red, as in OTgen's Section 4.2


class Lines(NamedTuple):
    """A panel: its title, points (n, 2) in blue and, at the other ends of n red lines, points (n, 2) in green."""

    title: str
    starts: np.ndarray
    ends: np.ndarray


def draw_lines(path: Path, *panels: Lines) -> None:
    """Write one or more panels on common axes as PNG; equal panels give equal bytes.

    Args:
        path: where to.
        panels: from left to right.

    Raises:
        InputError: without panels, or for arrays of other shapes.
    """
    if not panels:
        raise InputError("draw_lines: 0 panels; allowed: one or more")
    for title, starts, ends in panels:
        if starts.ndim != 2 or starts.shape[1] != 2 or starts.shape != ends.shape:
            shapes = f"{starts.shape} and {ends.shape}"
            raise InputError(f"panel '{title}': starts and ends of shapes {shapes}; allowed: equal shapes (n, 2)")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 4.4), dpi=100)
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)
    for axes, (title, starts, ends) in zip(grid[0], panels, strict=True):
        axes.add_collection(LineCollection(list(np.stack([starts, ends], 1)), colors=BETWEEN, linewidths=0.6))
        axes.scatter(*starts.T, s=7, c=STARTS, linewidths=0, zorder=2)
        axes.scatter(*ends.T, s=7, c=ENDS, linewidths=0, zorder=3)
        axes.set_title(title, fontsize=10)
        axes.set_aspect("equal")
    figure.tight_layout()
    save_figure(path, figure, tight=True)
