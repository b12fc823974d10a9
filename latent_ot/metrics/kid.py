"""Kernel Inception distance: the unbiased squared MMD of two feature sets under a cubic kernel.

Binkowski et al., "Demystifying MMD GANs", ICLR 2018, Sec. 4: k(x, y) = (<x, y> / d + 1)^3, averaged over subsets.
"""

import numpy as np
import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate
from latent_ot.metrics.pairwise import Features, Side, Tile, sweep

SUBSETS = 100
SUBSET_SIZE = 1000


class Kernels:
    """Collects the kernel sums of every subset from one pass: sum over i, j in S of k_ij = 1_S^T K 1_S.

    Subsets are drawn as torch-fidelity does, from NumPy's legacy generator with ``seed``: ``SUBSETS`` pairs of
    min(1000, n, m) samples each. Where that is all samples of both sets, one subset says everything.
    """

    def __init__(self, features: Features, seed: int = 2020) -> None:
        self.features = features
        counts = features.count("real"), features.count("fake")
        self.size = min(SUBSET_SIZE, *counts)
        draws = 1 if counts == (self.size, self.size) else SUBSETS
        rng = np.random.RandomState(seed)
        self.members = {
            "real": torch.zeros(counts[0], draws, dtype=torch.float64),
            "fake": torch.zeros(counts[1], draws, dtype=torch.float64),
        }
        for draw in range(draws):
            for members in self.members.values():
                members[torch.from_numpy(rng.choice(len(members), self.size, replace=False)), draw] = 1.0
        self.shifts: dict[Side, Tensor] = {"real": features.shifts("real"), "fake": features.shifts("fake")}
        self.within = torch.zeros(draws, dtype=torch.float64)
        self.between = torch.zeros(draws, dtype=torch.float64)
        # Of all pairs, not those of subsets: each sample's sum over its own set and over the other, sums of squares.
        self.inner: dict[Side, Tensor] = {side: torch.zeros_like(shift) for side, shift in self.shifts.items()}
        self.outer: dict[Side, Tensor] = {side: torch.zeros_like(shift) for side, shift in self.shifts.items()}
        self.squares = dict.fromkeys((("real", "real"), ("fake", "fake"), ("real", "fake")), 0.0)

    def kernel(self, tile: Tile) -> Tensor:
        """Return the kernel of the tile's pairs, float64; 0 for a sample with itself."""
        kernel = tile.products.double()
        kernel = kernel + self.shifts[tile.left][tile.rows, None] + self.shifts[tile.right][tile.cols]
        kernel.div_(self.features.width).add_(1.0).pow_(3)
        if tile.on_diagonal:
            kernel.fill_diagonal_(0.0)
        return kernel

    def visit(self, tile: Tile) -> None:
        """Add the tile's pairs to the sums."""
        kernel = self.kernel(tile)
        sums = (self.members[tile.left][tile.rows] * (kernel @ self.members[tile.right][tile.cols])).sum(dim=0)
        twice = tile.left == tile.right and not tile.on_diagonal  # the pairs of such a tile stand for two
        if tile.left != tile.right:
            self.between += sums
        else:
            self.within += 2 * sums if twice else sums
        into = self.inner if tile.left == tile.right else self.outer
        into[tile.left][tile.rows] += kernel.sum(dim=1)
        if not tile.on_diagonal:
            into[tile.right][tile.cols] += kernel.sum(dim=0)
        self.squares[tile.left, tile.right] += (1 + twice) * float(kernel.flatten() @ kernel.flatten())

    def result(self) -> dict[str, float]:
        """Return mean, with its interval, and standard deviation over the subsets, after the whole pass."""
        values = self.within / (self.size * (self.size - 1)) - 2 * self.between / self.size**2
        mean, spread = float(values.mean()), float(values.std(correction=0))
        drawn = spread**2 / len(values) if len(values) > 1 else 0.0  # how far other subsets would move the mean
        few = min(map(len, self.inner.values())) < 3
        return {"kid": mean if few else Estimate(mean, (self.variance() + drawn) ** 0.5), "kid_std": spread}

    def variance(self) -> float:
        """Return the variance of the squared MMD of all samples, three or more of each, as a two-sample U-statistic.

        By Hoeffding's decomposition it is 4 V_x / n + 4 V_y / m + D: V is the variance of the witness function over a
        set, and D that of the kernel, centred under both laws, over pairs, which is left where both are one law. The
        variance of the row means holds D once too often, and is never known to be less than D alone (Sutherland et al.,
        "Generative Models and Model Criticism via Optimized Maximum Mean Discrepancy", ICLR 2017, App. A, has the
        unbiased form).
        """
        n, m = (len(sums) for sums in self.inner.values())
        x, y = self.inner["real"], self.inner["fake"]
        witness = (x / (n - 2) - self.outer["real"] / m, n), (y / (m - 2) - self.outer["fake"] / n, m)
        first = sum(4 * float(values.var()) / own for values, own in witness)
        sizes = {("real", "real"): n * (n - 1), ("fake", "fake"): m * (m - 1), ("real", "fake"): n * m}
        means = (x / (n - 1),) * 2, (y / (m - 1),) * 2, (self.outer["real"] / m, self.outer["fake"] / n)
        parts = zip((2, 2, 4), sizes.items(), means, strict=True)
        pairs = sum(times * _centred(self.squares[pair] / size, *of) / size for times, (pair, size), of in parts)
        return max(first - pairs, pairs, 0.0)


def _centred(square: float, rows: Tensor, columns: Tensor) -> float:
    """Return the mean square of a matrix less the means of its rows and columns, from its mean square and those."""
    return square - float((rows**2).mean() + (columns**2).mean() - rows.mean() * columns.mean())


def kid(real: Tensor, fake: Tensor, seed: int = 2020) -> tuple[float, float]:
    """Return mean, with its interval, and spread over subsets of KID, features (n, d), (m, d), n, m >= 2.

    The mean is unbiased and may be slightly negative. With n = m <= 1000 there is only one subset and the spread is 0,
    which says nothing of its sampling: the interval does.

    Raises:
        InputError: matrices that are not comparable or values that are not finite.
    """
    features = Features(real, fake)
    kernels = Kernels(features, seed)
    sweep(features, kernels)
    found = kernels.result()
    return found["kid"], found["kid_std"]


class Kid(Metric):
    """Kernel Inception distance."""

    version = 1
    quantities = {
        "kid": {
            "label": "KID ×1000",
            "direction": "down",
            "digits": 2,
            "scale": 1000.0,
            "group": "main",
            "floor": "data.kid",
        },
        "kid_std": {"label": "KID ×1000, spread of subsets", "direction": "none", "digits": 2, "scale": 1000.0},
    }
    measures = "pairs"
    compute = Kernels
