"""The cells of a convex piecewise linear potential u_h(w) = max_i(<w, z_i> + h_i) and their masses under the source.

The source is uniform on the centred unit cube [-1/2, 1/2]^d. W_i is the cell where plane i is the largest; its mass is
counted on random points, hard (one point, one cell) or soft, with s = softmax((<w, z> + h) / eps).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

_BLOCK = 128  # columns per block of the two-level argmax
_PIECE = 1 << 16  # points drawn at once


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
        return count[: self.n].to(h.dtype) / points

    def census(self, h: Tensor, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the masses (n,) and the mass centres (n, d), counted likewise; a cell that is not hit has centre NaN.

        A cell is convex, so even the mean of few points of it lies in it.
        """
        count, total = torch.zeros_like(self.slopes[:, 0], dtype=torch.int64), torch.zeros_like(self.slopes)
        for own, w in self._hits(h, points, generator):
            count += torch.bincount(own, minlength=len(count))
            total.index_add_(0, own, w)
        return count[: self.n].to(h.dtype) / points, (total / count[:, None])[: self.n]

    def soft_volumes(self, h: Tensor, eps: float, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return E s and E s(1 - s), (n,) each, over ``points`` random points, an even number."""
        mass, square = torch.zeros_like(self.slopes[:, 0]), torch.zeros_like(self.slopes[:, 0])
        for scores, _ in self._mirrored(h, points, generator, eps):
            s = torch.softmax(scores, 1, out=scores)
            mass += s.sum(0)
            square += s.square_().sum(0)
        return mass[: self.n] / points, (mass - square)[: self.n] / points

    def _hits(self, h: Tensor, points: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for begin in range(0, points, _PIECE):
            for scores, w in self._mirrored(h, min(_PIECE, points - begin), generator, 1.0):
                yield _argmax(scores), w

    def _mirrored(
        self, h: Tensor, points: int, generator: torch.Generator, scale: float
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (scores, w) / scale in chunks; with w also -w lies in the cube, and the two share one product."""
        h = self._padded(h) / scale
        room = torch.empty(2, min(self.rows, points // 2), len(h), dtype=h.dtype, device=h.device)  # for every chunk
        for w in draw(points // 2, self.dim, generator, h).div_(scale).split(self.rows):
            product, scores = room[:, : len(w)]
            torch.mm(w, self.slopes.T, out=product)
            yield torch.add(product, h, out=scores), w
            yield torch.sub(h, product, out=scores), -w

    def _padded(self, h: Tensor) -> Tensor:
        return pad(h, (0, len(self.slopes) - self.n), value=-math.inf)


def _argmax(scores: Tensor) -> Tensor:
    """Argmax of rows: the best block, then inside it; on a CPU three to four times as fast as ``scores.argmax(1)``."""
    blocks = scores.view(len(scores), -1, _BLOCK)
    block = blocks.amax(2).argmax(1)
    inside = blocks[torch.arange(len(scores), device=scores.device), block].argmax(1)
    return block * _BLOCK + inside
