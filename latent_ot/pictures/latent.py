"""A picture of a latent space: training and drawn codes in one t-SNE plane, as Figure 4 of AE-OT-GAN shows them."""

from pathlib import Path

import numpy as np

from latent_ot.errors import InputError
from latent_ot.pictures.images import save_figure

SHOWN = 250  # codes of each kind: t-SNE of 1,000 points took 7 of an evaluation's 10 seconds
ITERATIONS = 500  # of 500 points no more of the neighbours are kept after 1,000: trustworthiness 0.993 both times


def save_latent(path: Path, real: np.ndarray, drawn: np.ndarray, seed: int) -> None:
    """Write the t-SNE of up to 250 training codes (N, d), grey, and as many drawn ones (n, d), blue, as PNG.

    Args:
        path: where to.
        real: (N, d); a random subset is shown.
        drawn: (n, d); the first are shown.
        seed: of the subset and the embedding; equal arguments give equal bytes.

    Raises:
        InputError: for arrays of other shapes, or values that are not finite.
    """
    if real.ndim != 2 or drawn.ndim != 2 or real.shape[1] != drawn.shape[1]:
        raise InputError(f"codes have shapes {real.shape} and {drawn.shape}; allowed: (N, d) and (n, d)")
    if not (np.isfinite(real).all() and np.isfinite(drawn).all()):
        raise InputError("codes: some are NaN or infinite; allowed: finite values")
    count = min(SHOWN, len(real), len(drawn))
    rows = np.random.default_rng(seed).permutation(len(real))[:count]
    plane = _embed(np.concatenate([real[rows], drawn[:count]]).astype(np.float64), seed)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.8), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.94))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"t-SNE of {count} training codes (grey) and {count} drawn ones (blue)", fontsize=8)
    axes.plot(*plane[:count].T, ".", color="#9a9a9a", markersize=4, markeredgewidth=0)
    axes.plot(*plane[count:].T, ".", color="#0072b2", markersize=4, markeredgewidth=0, alpha=0.8)
    save_figure(path, figure)


def _embed(codes: np.ndarray, seed: int) -> np.ndarray:
    """Return the plane (n, 2); codes of two dimensions or fewer, or all alike, are shown as they are."""
    spread = codes - codes.mean(axis=0)
    if codes.shape[1] <= 2 or not spread.any():
        return np.pad(codes, ((0, 0), (0, max(0, 2 - codes.shape[1]))))[:, :2]
    from sklearn.manifold import TSNE

    start = spread @ np.linalg.svd(spread, full_matrices=False)[2][:2].T  # exact, where TSNE's own PCA is randomised
    start = 1e-4 * start / start[:, 0].std()
    perplexity = min(30.0, (len(codes) - 1) / 3)
    start, seed = start.astype(np.float32), seed % 2**32
    return TSNE(2, perplexity=perplexity, init=start, random_state=seed, max_iter=ITERATIONS).fit_transform(codes)
