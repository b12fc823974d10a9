"""The cells of a convex piecewise linear potential u_h(w) = max_i(<w, z_i> + h_i) and their masses under the source.

The source is uniform on the centred unit cube [-1/2, 1/2]^d. W_i is the cell where plane i is the largest; its mass is
counted on random points, hard (one point, one cell) or soft, with s = softmax((<w, z> + h) / eps). Where several ranks
train, each takes its part of the points, and the counts are summed.

On a CPU a step of 4,096 points among 60,000 codes is mostly their product, and that is fast in some shapes only: chunks
of scores that fit a cache are a few rows high there. So products are made of more rows than are looked at, and hard
cells are sought tile by tile of the codes, each tile's best score first and then, inside the best tile, the best code.
No bound leaves codes out: in tens of dimensions uniform points are within reach of almost all of them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import pad

from latent_ot.ranks import share, total

_BLOCK = 128  # columns per block of the two-level argmax
_PIECE = 1 << 16  # points drawn at once
_ROWS = 128  # fewest points of a fast product
_TILE = (2048, 256)  # points and codes of a tile


def draw(n: int, dim: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw n source points (n, dim), uniform on [-1/2, 1/2]^dim, with the dtype and on the device of ``like``."""
    return (torch.rand(n, dim, generator=generator, dtype=like.dtype) - 0.5).to(like.device)


class Cells:
    """Cells of the planes with slopes ``codes`` (n, d); every method takes their heights h (n,)."""

    def __init__(self, codes: Tensor) -> None:
        self.n, self.dim = codes.shape
        # A common shift of the codes changes no cell; without it scores lose fewer digits.
        self.slopes = pad(codes - codes.mean(0), (0, 0, 0, -self.n % _BLOCK))
        # Scores are made in chunks of so many rows: on a CPU they stay in its cache (4 MB each), on a GPU they fill it.
        chunk = (1 << (29 if codes.is_cuda else 22)) // codes.element_size()
        self.rows = max(1, chunk // len(self.slopes))

    def scores(self, w: Tensor, h: Tensor) -> Tensor:
        """Return <w, z_i> + h_i up to a constant in i, (m, n), for points w (m, d)."""
        return w @ self.slopes[: self.n].T + h

    def assign(self, w: Tensor, h: Tensor) -> Tensor:
        """Return the cells (m,) in which points w (m, d) lie; the first of equal planes."""
        h = self._padded(h)
        return torch.cat([_argmax(piece @ self.slopes.T + h) for piece in w.split(self.rows)])

    def volumes(self, h: Tensor, points: int, generator: torch.Generator) -> Tensor:
        """Return the masses (n,) of the hard cells, counted on ``points`` random points, an even number."""
        count = torch.zeros(len(self.slopes), dtype=torch.int64, device=h.device)
        for own, _ in self._hits(h, points, generator):
            count += torch.bincount(own, minlength=len(count))
        return total(count)[: self.n].to(h.dtype) / points

    def census(self, h: Tensor, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the masses (n,) and the mass centres (n, d), counted likewise; a cell that is not hit has centre NaN.

        A cell is convex, so even the mean of few points of it lies in it.
        """
        count, sums = torch.zeros_like(self.slopes[:, 0], dtype=torch.int64), torch.zeros_like(self.slopes)
        for own, w in self._hits(h, points, generator):
            count += torch.bincount(own, minlength=len(count))
            sums.index_add_(0, own, w)
        count, sums = total(count), total(sums)
        return count[: self.n].to(h.dtype) / points, (sums / count[:, None])[: self.n]

    def soft_volumes(self, h: Tensor, eps: float, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return E s and E s(1 - s), (n,) each, over ``points`` random points, an even number."""
        mass, square = torch.zeros_like(self.slopes[:, 0]), torch.zeros_like(self.slopes[:, 0])
        with _flushed():
            for scores, _ in self._mirrored(h, points, generator, eps):
                s = torch.softmax(scores, 1, out=scores)
                mass += s.sum(0)
                square += s.square_().sum(0)
        mass, square = total(mass), total(square)
        return mass[: self.n] / points, (mass - square)[: self.n] / points

    def _hits(self, h: Tensor, points: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for begin in range(0, points, _PIECE):
            count = min(_PIECE, points - begin)
            if self.rows < _ROWS:
                for w in self._part(count // 2, generator, h, _TILE[0]):
                    both = torch.cat([w, -w])
                    yield self._owners(w, both, self._padded(h)), both
            else:
                for scores, w in self._mirrored(h, count, generator, 1.0):
                    yield _argmax(scores), w

    def _owners(self, w: Tensor, both: Tensor, h: Tensor) -> Tensor:
        """Return the cells (2 m,) of points w (m, d) and then of -w: the tile with the best score, then inside it."""
        tiles = list(zip(self.slopes.split(_TILE[1]), h.split(_TILE[1]), strict=True))
        best = torch.empty(len(tiles), 2, len(w), dtype=h.dtype, device=h.device)
        room = torch.empty(2, len(w), _TILE[1], dtype=h.dtype, device=h.device)  # for every tile
        for (z, level), (plus, minus) in zip(tiles, best, strict=True):
            product, scores = room[:, :, : len(z)]
            torch.mm(w, z.T, out=product)
            torch.amax(torch.add(product, level, out=scores), 1, out=plus)
            torch.amax(torch.sub(level, product, out=scores), 1, out=minus)
        tile = best.flatten(1).argmax(0)
        own, counts = torch.empty_like(tile), torch.bincount(tile, minlength=len(tiles)).tolist()
        for k, rows in enumerate(tile.argsort().split(counts)):
            if len(rows):
                z, level = tiles[k]
                own[rows] = k * _TILE[1] + (both[rows] @ z.T + level).argmax(1)
        return own

    def _mirrored(
        self, h: Tensor, points: int, generator: torch.Generator, scale: float
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (scores, w) / scale in chunks; with w also -w lies in the cube, and the two share one product."""
        h = self._padded(h) / scale
        rows = min(self.rows, points // 2)
        many = min(points // 2, max(1, _ROWS // rows) * rows)
        products, room = (torch.empty(k, len(h), dtype=h.dtype, device=h.device) for k in (many, rows))
        for several in self._part(points // 2, generator, h, many):
            made = torch.mm(several.div_(scale), self.slopes.T, out=products[: len(several)])
            for w, product in zip(several.split(rows), made.split(rows), strict=True):
                scores = room[: len(w)]
                yield torch.add(product, h, out=scores), w
                yield torch.sub(h, product, out=scores), -w

    def _part(self, n: int, generator: torch.Generator, h: Tensor, rows: int) -> Iterator[Tensor]:
        """Yield this rank's points of n that are drawn, so many rows at a time; none if there are fewer than ranks."""
        drawn = share(draw(n, self.dim, generator, h))
        return (w for w in drawn.split(rows) if len(w))

    def _padded(self, h: Tensor) -> Tensor:
        return pad(h, (0, len(self.slopes) - self.n), value=-math.inf)


@contextmanager
def _flushed() -> Iterator[None]:
    """Take numbers too small for their dtype's full precision for 0, in this thread.

    Most shares of soft cells are that small; a processor takes many times as long for them, and no sum feels them.
    """
    smallest = torch.finfo(torch.float32).tiny
    if not float(torch.tensor(smallest) / 2):  # someone does already
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _argmax(scores: Tensor) -> Tensor:
    """Argmax of rows: the best block, then inside it; on a CPU three to four times as fast as ``scores.argmax(1)``."""
    blocks = scores.view(len(scores), -1, _BLOCK)
    block = blocks.amax(2).argmax(1)
    inside = blocks[torch.arange(len(scores), device=scores.device), block].argmax(1)
    return block * _BLOCK + inside
