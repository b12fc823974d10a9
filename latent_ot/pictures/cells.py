"""The picture of a semi-discrete map of the plane: its cells, its codes, and what its extension draws between them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from latent_ot.errors import InputError
from latent_ot.pictures.images import save_figure

PIXELS = 400  # of the source square, each way


class Cells(NamedTuple):
    """A semi-discrete map: codes (n, 2), heights (n,) of their planes, source points w (m, 2) and what T~ draws (m, 2).

    ``w`` lies in [-1/2, 1/2]^2; ``drawn`` is what the extension maps it to.
    """

    codes: np.ndarray
    heights: np.ndarray
    w: np.ndarray
    drawn: np.ndarray


def draw_cells(path: Path, plane: Cells) -> None:
    """Write three panels as PNG; equal arrays give equal bytes.

    Left the source square, cell by cell; in the middle the codes, each in the colour of its cell; right the drawn
    points over the codes in grey, each in the colour of the source point that it comes from.

    Raises:
        InputError: for arrays of other shapes.
    """
    codes, heights, w, drawn = plane
    if codes.ndim != 2 or codes.shape[1] != 2 or heights.shape != codes.shape[:1] or drawn.shape != w.shape:
        shapes = ", ".join(str(a.shape) for a in (codes, heights, w, drawn))
        raise InputError(f"codes, heights, w, drawn have shapes {shapes}; allowed: (n, 2), (n,), (m, 2), (m, 2)")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = (np.arange(PIXELS) + 0.5) / PIXELS - 0.5
    own = np.empty((PIXELS, PIXELS), dtype=np.int64)
    for row, y in enumerate(side):
        own[row] = (np.stack([side, np.full(PIXELS, y)], 1) @ codes.T + heights).argmax(1)
    counts = np.bincount(own.ravel(), minlength=len(codes))
    x = np.broadcast_to(side, own.shape)
    centre = np.stack([np.bincount(own.ravel(), a.ravel(), len(codes)) for a in (x, x.T)], 1)
    centre = np.divide(centre, counts[:, None], where=counts[:, None] > 0, out=np.zeros_like(centre))
    shade = 0.72 + 0.28 * (np.arange(len(codes)) * 0.618034 % 1)  # tells neighbouring cells apart
    colour = _colours(centre) * shade[:, None]

    figure = Figure(figsize=(12.6, 4.4), dpi=100)
    FigureCanvasAgg(figure)
    cells, points, extension = figure.subplots(1, 3)
    cells.imshow(colour[own], origin="lower", extent=(-0.5, 0.5, -0.5, 0.5), interpolation="nearest")
    cells.set_title(f"cells of {len(codes)} codes in the source square")
    points.scatter(*codes.T, s=4, c=colour, linewidths=0)
    points.set_title("codes, in the colours of their cells")
    extension.scatter(*codes.T, s=2, c="#d0d0d0", linewidths=0)
    extension.scatter(*drawn.T, s=3, c=_colours(w), linewidths=0)
    extension.set_title(f"{len(drawn)} points drawn by the extension")
    for axes in (points, extension):
        axes.set_aspect("equal")
    extension.set_xlim(points.get_xlim())
    extension.set_ylim(points.get_ylim())
    figure.tight_layout()
    save_figure(path, figure)


def _colours(w: np.ndarray) -> np.ndarray:
    """Return colours (n, 3) that vary smoothly over the source square."""
    u, v = np.clip(w + 0.5, 0, 1).T
    return np.stack([0.15 + 0.8 * u, 0.2 + 0.6 * v, 0.9 - 0.65 * (u + v) / 2], 1)
