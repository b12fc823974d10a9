"""Precision, recall, density and coverage: how two sets of features lie in each other's neighbourhoods.

Precision and recall: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
NeurIPS 2019, Eq. (2). Density and coverage: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative
Models", ICML 2020, Eqs. (3), (4). A neighbourhood is the open ball whose radius is the distance to the k-th neighbour.
"""

import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.pairwise import Features, Side, Tile, sweep


class Neighbourhoods:
    """Collects radii from the pairs within each set, then memberships from the pairs between them.

    Raises:
        InputError: k < 1, or a set with no k neighbours.
    """

    def __init__(self, features: Features, k: int = 5) -> None:
        counts: dict[Side, int] = {"real": features.count("real"), "fake": features.count("fake")}
        least = min(counts.values())
        if not 1 <= k < least:
            raise InputError(f"precision and recall: k = {k} with {least} samples; allowed: 1 <= k < samples")
        self.k = k
        self.squares: dict[Side, Tensor] = {"real": features.squares("real"), "fake": features.squares("fake")}
        self.nearest = {side: torch.full((n, k), torch.inf, dtype=features.dtype) for side, n in counts.items()}
        self.fake_inside = torch.zeros(counts["fake"], dtype=torch.int64)  # real balls that hold each generated sample
        self.real_inside = torch.zeros(counts["real"], dtype=torch.bool)  # whether a generated ball holds the real one
        self.real_holds = torch.zeros(counts["real"], dtype=torch.bool)  # whether the real ball holds a generated one
        # A sample that lies exactly on a sphere (a copy of a neighbour) is outside, whatever rounding makes of it.
        self.margin = 4 * torch.finfo(features.dtype).eps

    def visit(self, tile: Tile) -> None:
        """Take radii from a tile within a set, memberships from a tile between the sets."""
        scale = self.squares[tile.left][tile.rows, None] + self.squares[tile.right][tile.cols]
        squared = scale - 2 * tile.products
        if tile.left == tile.right:
            if tile.on_diagonal:
                squared.fill_diagonal_(torch.inf)
            else:
                self._narrow(tile.right, tile.cols, squared.T.contiguous())
            self._narrow(tile.left, tile.rows, squared)
            return
        squared += self.margin * scale
        in_real = squared < self.nearest["real"][tile.rows, -1:]
        self.fake_inside[tile.cols] += in_real.sum(dim=0)
        self.real_holds[tile.rows] |= in_real.any(dim=1)
        self.real_inside[tile.rows] |= (squared < self.nearest["fake"][tile.cols, -1]).any(dim=1)

    def _narrow(self, side: Side, where: slice, squared: Tensor) -> None:
        """Merge squared distances (r, c) into the k smallest of each row."""
        closest = squared.topk(min(self.k, squared.shape[1]), largest=False).values
        known = self.nearest[side]
        known[where] = torch.cat([known[where], closest], dim=1).topk(self.k, largest=False).values

    def result(self) -> dict[str, float]:
        """Return the four shares after the whole pass; density may exceed 1."""
        return {
            "precision": float((self.fake_inside > 0).double().mean()),
            "recall": float(self.real_inside.double().mean()),
            "density": float(self.fake_inside.double().mean() / self.k),
            "coverage": float(self.real_holds.double().mean()),
        }


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> dict[str, float]:
    """Return precision, recall, density and coverage of features (n, d), (m, d), n, m > k.

    Raises:
        InputError: matrices that are not comparable, values that are not finite, or too few samples for ``k``.
    """
    features = Features(real, fake)
    neighbourhoods = Neighbourhoods(features, k)
    sweep(features, neighbourhoods)
    return neighbourhoods.result()


class Prdc(Metric):
    """Precision, recall, density and coverage."""

    version = 1
    quantities = {
        "precision": {"label": "precision", "direction": "up", "digits": 3, "floor": "data.precision"},
        "recall": {"label": "recall", "direction": "up", "digits": 3, "floor": "data.recall"},
        "density": {"label": "density", "direction": "up", "digits": 3, "floor": "data.density"},
        "coverage": {"label": "coverage", "direction": "up", "digits": 3, "floor": "data.coverage"},
    }
    measures = "pairs"
    compute = Neighbourhoods
