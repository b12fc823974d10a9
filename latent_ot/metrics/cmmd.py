"""CLIP maximum mean discrepancy (CMMD): squared MMD of CLIP's image embeddings under a Gaussian kernel, times 1,000.

Jayasumana et al., "Rethinking FID: Towards a Better Evaluation Metric for Image Generation", CVPR 2024,
https://arxiv.org/abs/2401.09603, Sec. 4 with sigma = 10, as its public code takes it: embeddings are brought to length
1, and of the two estimators of Gretton et al. (JMLR 2012) it is the one that counts the pairs of an embedding with
itself, which is never negative and exceeds the unbiased one by less than 40 / n.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from latent_ot.metrics.base import Metric
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.pairwise import Features, Tile, sweep

SIGMA = 10.0
SCALE = 1000.0


class GaussianKernels:
    """Collects the sums of k(x, y) = exp(-|x - y|^2 / (2 sigma^2)) over all pairs within and between two sets."""

    def __init__(self, features: Features) -> None:
        self.squares = {side: features.squares(side) for side in features.sets}
        self.sums = dict.fromkeys([("real", "real"), ("fake", "fake"), ("real", "fake")], 0.0)

    def visit(self, tile: Tile) -> None:
        """Add the tile's pairs to the sums; a pair within a set counts both ways."""
        squared = self.squares[tile.left][tile.rows, None] + self.squares[tile.right][tile.cols] - 2 * tile.products
        if tile.on_diagonal:
            squared.fill_diagonal_(0.0)
        found = float(squared.double().div_(-2 * SIGMA**2).exp_().sum())
        self.sums[tile.left, tile.right] += found * (1 if tile.on_diagonal or tile.left != tile.right else 2)


def cmmd(real: Tensor, fake: Tensor) -> float:
    """Return the distance, >= 0 up to rounding, of embeddings (n, d), (m, d) of real and of generated images.

    Raises:
        InputError: matrices that are not comparable or values that are not finite.
        TooFew: fewer than two samples.
    """
    features = Features(*(F.normalize(torch.as_tensor(side).double(), dim=-1) for side in (real, fake)))
    kernels = GaussianKernels(features)
    sweep(features, kernels)
    n, m = features.count("real"), features.count("fake")
    within = kernels.sums["real", "real"] / n**2 + kernels.sums["fake", "fake"] / m**2
    return SCALE * (within - 2 * kernels.sums["real", "fake"] / (n * m))


class Cmmd(Metric):
    """CLIP maximum mean discrepancy."""

    version = 1
    quantities = {"cmmd": {"label": "CMMD", "direction": "down", "digits": 3, "group": "main", "floor": "data.cmmd"}}
    measures = "clip"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, float]:
        """Return CMMD."""
        return {"cmmd": cmmd(real.features, fake.features)}
