"""What a model was trained on, as an evaluator sees it: where a sample lies among the training images.

Distances are Euclidean, of features. The few nearest candidates are found by inner products, which are rounded, and
measured anew by differences in float64, so that an exact copy is at distance 0.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import TooFew
from latent_ot.files import read_arrays, reading, whole
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import mean, rows, same_width
from latent_ot.metrics.pairwise import EXACT_WIDTH, TILE
from latent_ot.seeding import derive

CANDIDATES = 4  # nearest by rounded distances, of which the nearest is one
AT_ONCE = 1 << 22  # differences held in float64 at a time
SAME = 1e-5  # of the training images' usual distance from their mean; what is nearer is one image: its copy, rounded
ROUNDED = 1e-4  # relative difference of features of one image, whose sums depend on how it lies in memory
CELLS = 10  # at most, of the C_T test; a cell then has a hundred of 1,000 held-out images
HELD_IN_CELL = 50  # held-out images that a cell has on average, at least


class Reach(NamedTuple):
    """Of a set of n images: the training image next to each, ``image``, and its ``distance``, (n,).

    ``cell``: in which cell it lies; ``within``: its distance to the nearest training image of that cell.
    """

    distance: Tensor
    image: Tensor
    cell: Tensor
    within: Tensor


@dataclass(frozen=True, eq=False)
class Training:
    """All training images, and the held-out images of a protocol beside them.

    ``features``: float32 (N, d). ``other``: float64 (N,), from each to the nearest training image that differs from it:
    what occurs several times is one image here, and a copy of it still has to come nearer than others are. ``centres``
    (k, d) of the cells that the training images were clustered into, and ``cells`` (N,), in which they lie.
    ``held_out``: float32 (h, d), with their ``reach``. ``version``: raised when other things are kept in a file.
    """

    version: ClassVar[int] = 1
    features: Tensor
    other: Tensor
    centres: Tensor
    cells: Tensor
    held_out: FeatureSet
    held_reach: Reach

    @classmethod
    def of(cls, features: Tensor, held_out: Tensor) -> Self:
        """Look at training features (N, d) and at held-out ones (h, d), h >= 1.

        Raises:
            InputError: matrices of other widths, or values that are not finite.
            TooFew: fewer than two training images that differ.
        """
        features, held_out = rows(features, "training features"), rows(held_out, "held-out features", least=1)
        same_width(features, held_out)
        other, centres = _to_another(features), _clustered(features, len(held_out))
        cells = _cell(features, centres)
        used, cells = cells.unique(return_inverse=True)
        reach = _reach(held_out, features, centres[used], cells)
        return cls(features, other, centres[used], cells, FeatureSet(held_out, held_out[:, :0]), reach)

    def reach(self, x: Tensor) -> Reach:
        """Return where features (n, d) lie among the training images.

        Raises:
            InputError: features of another width, or values that are not finite.
        """
        x = rows(x, "generated features", least=1)
        same_width(self.features, x)
        return _reach(x, self.features, self.centres, self.cells)

    def copied(self, samples: FeatureSet) -> Tensor:
        """Return how far each sample lies from its training image, (n,), in units of that image's own ``other``."""
        reach = samples.once(self.reach)
        return reach.distance / self.other[reach.image]

    def check_new(self, samples: FeatureSet, what: str) -> None:
        """See that samples are not the held-out images themselves.

        Raises:
            TooFew: naming ``what`` cannot be measured of these.
        """
        x, y = samples.features, self.held_out.features
        if x.shape == y.shape and torch.allclose(x, y, rtol=ROUNDED, atol=ROUNDED * float(y.abs().mean())):
            raise TooFew(f"{what} needs other held-out images than those that are scored; there are none")

    def save(self, path: Path) -> None:
        """Write to ``path`` (.npz), which appears whole or not at all."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        own["held_out"], reach = self.held_out.features, own.pop("held_reach")
        with whole(path) as part, part.open("wb") as file:
            np.savez(file, **{name: value.numpy() for name, value in {**own, **reach._asdict()}.items()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; nothing in the file is executed.

        Raises:
            Damaged: the file is missing or is not such a file.
        """
        what, then = "features of training images (.npz)", "delete it: it is made again"
        names = ("features", "other", "centres", "cells", "held_out", *Reach._fields)
        found = read_arrays(path, names, what, then)
        with reading(path, what, then):
            features, other, centres, cells, held_out, *reach = map(torch.from_numpy, found)
            alike = len(features) == len(other) == len(cells), all(len(part) == len(held_out) for part in reach)
            if not (all(alike) and all(torch.isfinite(part).all() for part in (features, held_out, *reach))):
                raise ValueError("it does not hold finite values of as many images throughout")
            return cls(features, other, centres, cells, FeatureSet(held_out, held_out[:, :0]), Reach(*reach))


def nearest(x: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the squared distances (n, k), float64, of x (n, d) to the nearest k of ``points`` (N, d), and their rows.

    Nearest first, and of equally near ones, where all are among the k, the first row first; of fewer points all. Memory
    does not grow with n N.
    """
    k, centre = min(k, len(points)), mean(points)
    dtype = torch.float64 if points.shape[1] <= EXACT_WIDTH else torch.float32
    found = []
    for part in x.split(TILE):
        a = (part.double() - centre).to(dtype)
        best, which = torch.empty(len(part), 0, dtype=dtype), torch.empty(len(part), 0, dtype=torch.int64)
        for begin in range(0, len(points), 4 * TILE):
            b = (points[begin : begin + 4 * TILE].double() - centre).to(dtype)
            squared = (b**2).sum(dim=1) - 2 * (a @ b.T)  # but for what all distances of a row share
            closest, place = squared.topk(min(k, len(b)), largest=False)
            best, which = torch.cat([best, closest], dim=1), torch.cat([which, place + begin], dim=1)
            best, kept = best.topk(min(k, best.shape[1]), largest=False)
            which = which.gather(1, kept)
        found.append(_measured(part, points, which))
    return torch.cat([squared for squared, _ in found]), torch.cat([which for _, which in found])


def _measured(x: Tensor, points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Return squared distances to the points that are named (n, k), by their differences, and these in their order."""
    which = which.sort(dim=1).values
    step = max(1, AT_ONCE // (x.shape[1] * which.shape[1]))
    pairs = zip(x.split(step), which.split(step), strict=True)
    squared = torch.cat([(points[w].double() - a.double()[:, None]).square().sum(dim=2) for a, w in pairs])
    squared, place = squared.sort(dim=1, stable=True)
    return squared, which.gather(1, place)


def _to_another(features: Tensor) -> Tensor:
    """Return the distance (N,) from each image to the nearest that is not the same one."""
    centre, n = mean(features), len(features)
    usual = sum(float((part.double() - centre).square().sum()) for part in features.split(TILE)) / n
    found, left, k = torch.zeros(n, dtype=torch.float64), torch.arange(n), CANDIDATES
    while len(left):
        squared = nearest(features[left], features, k)[0]
        squared[squared <= SAME**2 * usual] = torch.inf  # itself, and its copies
        closest = squared.amin(dim=1)
        done = closest.isfinite()
        found[left[done]] = closest[done].sqrt()
        left = left[~done]
        if len(left) and k >= n:
            raise TooFew(f"{n} training images are all alike; allowed: two or more that differ")
        k *= 8  # an image with so many copies is searched again among more
    return found


def _reach(x: Tensor, features: Tensor, centres: Tensor, cells: Tensor) -> Reach:
    squared, index = nearest(x, features, CANDIDATES)
    distance, cell = squared[:, 0].sqrt(), _cell(x, centres)
    index, within = index[:, 0], distance.clone()
    for k in range(len(centres)):  # the nearest of all is mostly the nearest of its cell
        outside = ((cell == k) & (cells[index] != k)).nonzero().flatten()
        if len(outside):
            within[outside] = nearest(x[outside], features[cells == k], CANDIDATES)[0][:, 0].sqrt()
    return Reach(distance, index, cell, within)


def _clustered(features: Tensor, held_out: int) -> Tensor:
    """Return the centres (k, d), float64, of cells of the training images, by k-means from one seed."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    k = min(CELLS, max(1, held_out // HELD_IN_CELL), len(features))
    with threadpool_limits(1):  # sums then have one order
        made = MiniBatchKMeans(k, n_init=3, random_state=derive(0, "cells") % 2**32).fit(features.numpy())
    return torch.from_numpy(made.cluster_centers_).double()


def _cell(x: Tensor, centres: Tensor) -> Tensor:
    """Return the nearest centre (n,) of features (n, d)."""
    return torch.cat([torch.cdist(part.double(), centres).argmin(dim=1) for part in x.split(TILE)])
