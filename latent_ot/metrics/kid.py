"""Kernel Inception distance: the unbiased squared MMD of two feature sets under a cubic kernel.

Binkowski et al., "Demystifying MMD GANs", ICLR 2018, Sec. 4: k(x, y) = (<x, y> / d + 1)^3, averaged over subsets.
"""

import numpy as np
import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
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

    def visit(self, tile: Tile) -> None:
        """Add the tile's pairs to the sums."""
        kernel = tile.products.double()
        kernel = kernel + self.shifts[tile.left][tile.rows, None] + self.shifts[tile.right][tile.cols]
        kernel.div_(self.features.width).add_(1.0).pow_(3)
        if tile.on_diagonal:
            kernel.fill_diagonal_(0.0)
        sums = (self.members[tile.left][tile.rows] * (kernel @ self.members[tile.right][tile.cols])).sum(dim=0)
        if tile.left != tile.right:
            self.between += sums
        else:
            self.within += sums if tile.on_diagonal else 2 * sums

    def result(self) -> dict[str, float]:
        """Return mean and standard deviation over the subsets, after the whole pass."""
        values = self.within / (self.size * (self.size - 1)) - 2 * self.between / self.size**2
        return {"kid": float(values.mean()), "kid_std": float(values.std(correction=0))}


def kid(real: Tensor, fake: Tensor, seed: int = 2020) -> tuple[float, float]:
    """Return mean and spread over subsets of KID, features (n, d), (m, d), n, m >= 2.

    The mean is unbiased and may be slightly negative. With n = m <= 1000 there is only one subset and the spread is 0.

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
