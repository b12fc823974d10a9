"""Pictures beside a record: sample grids, reconstruction strips, 2-D scatters. Equal arrays give equal bytes."""

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latent_ot.errors import InputError
from latent_ot.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 2
PAPER = 255


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Return images, uint8 (n, H, W, C) with C of 1 or 3, row after row on white; by default as square as n allows.

    Raises:
        InputError: for an array of another kind, or fewer than one column.
    """
    import torch
    from torchvision.utils import make_grid

    _check(images)
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    if columns < 1:
        raise InputError(f"columns {columns}; allowed: 1 or more")
    tiles = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    sheet = make_grid(tiles, nrow=columns, padding=GAP, pad_value=PAPER).permute(1, 2, 0).numpy()
    return sheet[..., 0] if images.shape[3] == 1 else sheet


def save_grid(path: Path, images: np.ndarray, columns: int | None = None) -> None:
    """Write the ``grid`` of images as PNG."""
    _save(path, grid(images, columns))


def save_strip(path: Path, originals: np.ndarray, reconstructions: np.ndarray) -> None:
    """Write originals, uint8 (n, H, W, C), in one row and their reconstructions, of the same shape, below them.

    Raises:
        InputError: for arrays of another kind, or of different shapes.
    """
    _check(originals)
    if originals.shape != reconstructions.shape:
        raise InputError(
            f"reconstructions have shape {reconstructions.shape}; allowed: that of the originals, {originals.shape}"
        )
    save_grid(path, np.concatenate([originals, reconstructions]), len(originals))


def save_points(path: Path, real: np.ndarray, fake: np.ndarray, most: int = 5000) -> None:
    """Write a scatter of the first ``most`` real points (n, 2) in grey and of as many generated ones (m, 2) over them.

    The frame is that of the real points and half their extent around them, so that strays do not shrink the picture.

    Raises:
        InputError: for arrays of another shape.
    """
    for name, points in (("real", real), ("generated", fake)):
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise InputError(f"{name} points have shape {points.shape}; allowed: (n, 2) with n of 1 or more")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.8), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    middle, extent = (real.max(axis=0) + real.min(axis=0)) / 2, float(np.ptp(real, axis=0).max()) or 1.0
    axes.set_xlim(middle[0] - 0.75 * extent, middle[0] + 0.75 * extent)
    axes.set_ylim(middle[1] - 0.75 * extent, middle[1] + 0.75 * extent)
    axes.plot(*real[:most].T, ".", color="#bbbbbb", markersize=3, markeredgewidth=0)
    axes.plot(*fake[:most].T, ".", color="#0072b2", markersize=3, markeredgewidth=0, alpha=0.7)
    save_figure(path, figure)


def save_figure(path: Path, figure: "Figure", tight: bool = False) -> None:
    """Write a figure as PNG, atomically, the same bytes each time; ``tight`` cuts its margins off."""
    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight" if tight else None, metadata={"Software": None})
    write_atomic(path, out.getvalue())


def _check(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or not len(images):
        raise InputError(
            f"images are {images.dtype} {images.shape}; allowed: uint8 (n, H, W, C) with n >= 1 and C of 1 or 3"
        )


def _save(path: Path, sheet: np.ndarray) -> None:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(sheet).save(out, format="PNG", optimize=True)
    write_atomic(path, out.getvalue())
