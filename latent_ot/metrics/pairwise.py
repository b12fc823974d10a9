"""One pass over all inner products within and between two feature sets, shared by the metrics that need them.

KID needs kernels of inner products, precision and recall need distances; both follow from the same products. These are
visited tile by tile, each pair within a set once, so that memory does not grow with the number of samples squared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from latent_ot.metrics.inputs import in_slices, mean, rows, same_width

TILE = 1024  # products of a tile stay within a processor's cache while the visitors read them
EXACT_WIDTH = 512  # up to this width float64 products cost little; wider features take float32 on centred values
Side = Literal["real", "fake"]


@dataclass(frozen=True)
class Tile:
    """Inner products of the centred samples ``rows`` of ``left`` with ``cols`` of ``right``.

    ``products``: (r, c). Within one set only tiles on or above the diagonal are visited.
    """

    left: Side
    right: Side
    rows: slice
    cols: slice
    products: Tensor

    @property
    def on_diagonal(self) -> bool:
        """Whether the tile pairs samples with themselves."""
        return self.left == self.right and self.rows == self.cols


class Features:
    """Two feature sets (n, d), (m, d) seen from the mean of the real one, where rounding harms distances least.

    Raises:
        InputError: fewer than two samples, widths that differ, or values that are not finite.
    """

    def __init__(self, real: Tensor, fake: Tensor) -> None:
        self.sets: dict[Side, Tensor] = {
            "real": rows(real, "real features"),
            "fake": rows(fake, "generated features"),
        }
        same_width(self.sets["real"], self.sets["fake"])
        self.width = self.sets["real"].shape[1]
        self.mean = mean(self.sets["real"])
        self.dtype = torch.float64 if self.width <= EXACT_WIDTH else torch.float32

    def count(self, side: Side) -> int:
        """How many samples the set has."""
        return len(self.sets[side])

    def centred(self, side: Side, where: slice) -> Tensor:
        """Return the centred samples at ``where`` of one set."""
        return (self.sets[side][where].double() - self.mean).to(self.dtype)

    def squares(self, side: Side) -> Tensor:
        """Return the squared norms (n,) of the centred samples."""
        return in_slices(self.count(side), TILE, lambda part: (self.centred(side, part) ** 2).sum(dim=1), self.dtype)

    def shifts(self, side: Side) -> Tensor:
        """Return s (n,), float64, with <x, y> = (centred product) + s(x) + s(y)."""
        half = (self.mean**2).sum() / 2
        return in_slices(self.count(side), TILE, lambda part: self.sets[side][part].double() @ self.mean - half)

    def tiles(self, left: Side, right: Side) -> Iterator[Tile]:
        """Visit all pairs of samples of two sets, or every pair of one set once."""
        for i, here in enumerate(_slices(self.count(left))):
            x = self.centred(left, here)
            for there in _slices(self.count(right))[i if left == right else 0 :]:
                y = x if left == right and here == there else self.centred(right, there)
                yield Tile(left, right, here, there, x @ y.T)


class Visitor(Protocol):
    """A metric that collects what it needs from each tile."""

    def visit(self, tile: Tile) -> None:
        """Take one tile; its products belong to all visitors and are not to be changed."""


def sweep(features: Features, *visitors: Visitor) -> None:
    """Show every tile to every visitor: first both sets within themselves, then real against generated."""
    sides: tuple[tuple[Side, Side], ...] = (("real", "real"), ("fake", "fake"), ("real", "fake"))
    for left, right in sides:
        for tile in features.tiles(left, right):
            for visitor in visitors:
                visitor.visit(tile)


def _slices(count: int) -> list[slice]:
    return [slice(begin, min(begin + TILE, count)) for begin in range(0, count, TILE)]
