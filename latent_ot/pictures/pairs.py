"""The codes of data beside draws of the prior, as the figures of iWGAN show them."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from latent_ot.errors import InputError
from latent_ot.pictures.images import save_figure

DIMENSIONS = 8  # of a code, the first ones, as Figure 15 of iWGAN shows of 64
SHOWN = 1000  # codes of each kind
COLOURS = ("#777777", "#0072b2")


def save_pairs(path: Path, codes: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Write every pair of code dimensions as a scatter: of the first codes below the diagonal, of the second above it.

    The diagonal has the histograms of both. Figures 3, 9 and 15 of iWGAN, where the first codes, those of data, should
    look like the second ones, draws from N(0, I).

    Args:
        path: where to.
        codes: two arrays (n, d) and (m, d), d >= 2; the first 1,000 codes and the first 8 dimensions are shown.
        names: what the two are called.

    Raises:
        InputError: for arrays of other shapes, or values that are not finite.
    """
    if len(codes) != 2 or any(c.ndim != 2 or not len(c) or c.shape[1] != codes[0].shape[1] for c in codes):
        raise InputError(f"codes have shapes {[c.shape for c in codes]}; allowed: (n, d) and (m, d)")
    dims = min(DIMENSIONS, codes[0].shape[1])
    if dims < 2 or not all(np.isfinite(c).all() for c in codes):
        raise InputError("codes: one dimension, or some are NaN or infinite; allowed: two or more, finite values")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 * dims, 1.2 * dims + 0.3), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98 - 0.3 / (1.2 * dims + 0.3)))
    axes.set_title(f"grey, below the diagonal: {names[0]}; blue, above it: {names[1]}", fontsize=8)
    axes.set(xlim=(-0.5, dims - 0.5), ylim=(dims - 0.5, -0.5), xticks=[], yticks=[])
    for line in np.arange(0.5, dims - 1):
        axes.axhline(line, color="#dddddd", linewidth=0.6)
        axes.axvline(line, color="#dddddd", linewidth=0.6)
    shown = [c[:SHOWN, :dims] for c in codes]
    reach = 2.1 * max(float(np.abs(c).max()) for c in shown) or 1.0  # a panel is one unit wide and high
    edges = np.linspace(-0.5, 0.5, 41)
    for side, (c, colour) in enumerate(zip(shown, COLOURS, strict=True)):
        for i, j in itertools.permutations(range(dims), 2):
            if side == (i < j):
                axes.plot(j + c[:, j] / reach, i - c[:, i] / reach, ".", color=colour, markersize=2, markeredgewidth=0)
    for i in range(dims):
        shares = [np.histogram(c[:, i] / reach, edges)[0] / len(c) for c in shown]
        for share, colour in zip(shares, COLOURS, strict=True):
            axes.stairs(i + 0.5 - 0.9 * share / np.max(shares), i + edges, baseline=None, color=colour)
    save_figure(path, figure)
