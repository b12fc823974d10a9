"""Precision, recall, density and coverage: how two sets of features lie in each other's neighbourhoods.

Precision and recall: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
NeurIPS 2019, Eq. (2). Density and coverage: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative
Models", ICML 2020, Eqs. (3), (4). A neighbourhood is the closed ball whose radius is the distance to the k-th
neighbour: Eq. (2) says "at most", and where an image has k copies its ball still holds those.
"""

from functools import cache

import torch
from torch import Tensor

from latent_ot.errors import InputError, TooFew
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate, share_error
from latent_ot.metrics.inputs import in_slices
from latent_ot.metrics.pairwise import Features, Side, Tile, sweep
from latent_ot.seeding import generator

AT_ONCE = 1 << 22  # differences held in float64 at a time
EQUAL = 1e-12  # relative difference of squared distances, taken from differences in float64, that counts as none
OF: dict[str, Side] = {"precision": "fake", "recall": "real", "coverage": "real"}
"""A share -> the set that it is a share of."""
PARTS = 4  # a set is divided into for its interval: a quarter of it still has nearly the same neighbourhoods
DIVISIONS = 5  # divisions into parts, each at the cost of a quarter of the whole pass
QUANTILE = 2.1314495  # 97.5 % of Student's t with 15 degrees of freedom: three of each division


class Neighbourhoods:
    """Collects radii from the pairs within each set, then memberships from the pairs between them.

    Distances by inner products are rounded. Pairs that lie so near a sphere that this could decide are measured anew,
    by differences, so that what lies on it (a copy of the k-th neighbour) is always inside.

    Raises:
        InputError: k < 1.
        TooFew: a set with no k neighbours.
    """

    def __init__(self, features: Features, k: int = 5) -> None:
        counts: dict[Side, int] = {"real": features.count("real"), "fake": features.count("fake")}
        least = min(counts.values())
        if not 1 <= k < least:
            wrong = TooFew if k >= 1 else InputError
            raise wrong(f"precision and recall: k = {k} with {least} samples; allowed: 1 <= k < samples")
        self.features, self.k = features, k
        self.squares: dict[Side, Tensor] = {"real": features.squares("real"), "fake": features.squares("fake")}
        self.nearest = {side: torch.full((n, k), torch.inf, dtype=features.dtype) for side, n in counts.items()}
        self.which = {side: torch.zeros(n, k, dtype=torch.int64) for side, n in counts.items()}  # rows of those
        self.fake_inside = torch.zeros(counts["fake"], dtype=torch.int64)  # real balls that hold each generated sample
        self.real_inside = torch.zeros(counts["real"], dtype=torch.bool)  # whether a generated ball holds the real one
        self.real_holds = torch.zeros(counts["real"], dtype=torch.bool)  # whether the real ball holds a generated one
        # Twice what rounding was seen to do to products of so many terms, summed in whatever order.
        self.margin = 2 * (4 + features.width**0.5) * torch.finfo(features.dtype).eps
        self.radii = cache(self._radii)

    def visit(self, tile: Tile) -> None:
        """Take radii from a tile within a set, memberships from a tile between the sets."""
        scale = self.squares[tile.left][tile.rows, None] + self.squares[tile.right][tile.cols]
        squared = scale - 2 * tile.products
        if tile.left == tile.right:
            if tile.on_diagonal:
                squared.fill_diagonal_(torch.inf)
            else:
                self._narrow(tile.right, tile.cols, squared.T.contiguous(), tile.rows.start)
            self._narrow(tile.left, tile.rows, squared, tile.cols.start)
            return
        slack = self.margin * scale
        in_real = self._within(tile, squared, self.radii("real")[tile.rows, None], slack)
        self.fake_inside[tile.cols] += in_real.sum(dim=0)
        self.real_holds[tile.rows] |= in_real.any(dim=1)
        self.real_inside[tile.rows] |= self._within(tile, squared, self.radii("fake")[tile.cols], slack).any(dim=1)

    def _narrow(self, side: Side, where: slice, squared: Tensor, first: int) -> None:
        """Merge squared distances (r, c) to the rows from ``first`` on into the k smallest of each row."""
        closest, rows = squared.topk(min(self.k, squared.shape[1]), largest=False)
        values = torch.cat([self.nearest[side][where], closest], dim=1)
        self.nearest[side][where], kept = values.topk(self.k, largest=False)
        self.which[side][where] = torch.cat([self.which[side][where], rows + first], dim=1).gather(1, kept)

    def _radii(self, side: Side) -> Tensor:
        """Return the squared distances (n,), float64, of the samples of one set to their k-th neighbours."""
        which = self.which[side]
        rows = torch.arange(len(which)).repeat_interleave(self.k)
        return self._measured(side, rows, side, which.flatten()).view_as(which).amax(dim=1)

    def _measured(self, left: Side, rows: Tensor, right: Side, cols: Tensor) -> Tensor:
        """Return squared distances (m,), float64, of pairs of samples, by their differences."""
        x, y, step = self.features.sets[left], self.features.sets[right], max(1, AT_ONCE // self.features.width)

        def squared(part: slice) -> Tensor:
            return (x[rows[part]].double() - y[cols[part]].double()).square().sum(dim=1)

        return in_slices(len(rows), step, squared)

    def _within(self, tile: Tile, squared: Tensor, radii: Tensor, slack: Tensor) -> Tensor:
        """Return which pairs (r, c) of real with generated samples are no farther apart than ``radii``."""
        inside = squared <= radii
        near = ((squared - radii).abs() <= slack).nonzero()
        if len(near):
            rows, cols = near.unbind(dim=1)
            found = self._measured(tile.left, rows + tile.rows.start, tile.right, cols + tile.cols.start)
            inside[rows, cols] = found <= radii.expand_as(squared)[rows, cols] * (1 + EQUAL)
        return inside

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
        InputError: matrices that are not comparable, values that are not finite, or k < 1.
        TooFew: k samples or fewer.
    """
    features = Features(real, fake)
    neighbourhoods = Neighbourhoods(features, k)
    sweep(features, neighbourhoods)
    return neighbourhoods.result()


class Sampled(Neighbourhoods):
    """The same shares with the intervals of their sampling, found by subsampling without replacement.

    Copies, which a bootstrap draws, would be each other's neighbours. The variance of a figure over subsamples of b of
    n samples, times b / (n - b), is that at n (Shao and Wu, "A General Theory for Jackknife Variance Estimation",
    1989). Figures move with the number of samples, and their variance with them: that of a share is brought to its
    level at n, as p (1 - p), but is no less than that of independent hits; that of density is raised with the square of
    it, never lowered. Density depends on few samples with many neighbours: of two equal Gaussians in 64 dimensions its
    interval is too narrow by a fifth, while those of the others are right.
    """

    def result(self) -> dict[str, float]:
        """Return the four figures, with intervals where a part of either set has more than k samples."""
        found = super().result()
        sets = self.features.sets
        if min(map(len, sets.values())) // PARTS <= self.k:
            return found
        parts: list[dict[str, float]] = []
        for index in range(DIVISIONS):
            g = generator(0, "parts", index)
            divided = (x[torch.randperm(len(x), generator=g)].tensor_split(PARTS) for x in sets.values())
            parts += [prdc(real, fake, self.k) for real, fake in zip(*divided, strict=True)]
        sizes = {key: len(sets[side]) for key, side in OF.items()}
        errors = {
            key: _error(value, torch.tensor([p[key] for p in parts]), sizes.get(key)) for key, value in found.items()
        }
        return {key: Estimate(value, errors[key], QUANTILE) for key, value in found.items()}


def _error(value: float, parts: Tensor, n: int | None) -> float:
    """Return the standard error of a figure that parts of the samples have ``parts`` (r,) of.

    ``n``: of how many it is a share; None where it is none.
    """
    here, there = _level(torch.tensor(value, dtype=torch.float64), n), float(_level(parts, n).mean())
    level = float(here) / there if there > 0 else 1.0
    variance = float(parts.var()) / (PARTS - 1)
    return (variance * max(1.0, level)) ** 0.5 if n is None else max((variance * level) ** 0.5, share_error(value, n))


def _level(figures: Tensor, n: int | None) -> Tensor:
    """Return what the variance of figures is in proportion to: as shares of n, or as density."""
    return figures**2 if n is None else figures * (1 - figures)


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
    compute = Sampled
