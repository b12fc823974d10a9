"""Extensions T~ of the semi-discrete map T, which draws codes that are not merely training codes.

T sends a point w of the cube to the code z_i of the cell it lies in. An extension mixes that code with codes of
neighbouring cells, in one of three ways: ``Barycentric`` (AE-OT-GAN, Section 3.2: piecewise linear between the cells'
mass centres wherever all codes concerned are within eps of each other; exact up to three dimensions), ``idw`` (inverse
distance weights of the nearest mass centres; AE-OT, An et al., ICLR 2020) and ``pairs`` (mixtures of two codes, as the
AE-OT release draws them). The latter two join codes by AE-OT-GAN's test, too, that all are within eps of each other, so
that T~ stays within eps of T (its Theorem 1); or by the release's, that the planes of two codes meet at a small angle,
since a larger one marks a crease of the potential, where T jumps. Angles change with scale and place of the codes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.transport.cells import Cells

By = Literal["distance", "angle"]
"""What tells which codes may be joined."""


@dataclass(frozen=True)
class Mixture:
    """Convex combinations of codes: ``index`` int64 (m, k) rows of the codes, ``weight`` (m, k) >= 0 with sum 1."""

    index: Tensor
    weight: Tensor

    def of(self, codes: Tensor) -> Tensor:
        """Return the mixed codes (m, d)."""
        return (self.weight[..., None] * codes[self.index]).sum(1)

    @property
    def single(self) -> Tensor:
        """Whether each is merely one of the codes, bool (m,)."""
        return (self.weight == 1).any(1)


def angles(codes: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return the angles between the normals (z_i, -1) and (z_j, -1), by chord, which keeps small ones accurate."""
    normals = torch.cat([codes, -torch.ones_like(codes[:, :1])], 1)
    normals = normals / normals.norm(dim=1, keepdim=True)
    return 2 * torch.asin(((normals[i] - normals[j]).norm(dim=-1) / 2).clamp(max=1))


def highest(w: Tensor, codes: Tensor, heights: Tensor, k: int) -> Tensor:
    """Return the k cells (m, k) with the highest planes over points w (m, d), the own cell first."""
    cells = Cells(codes)
    return torch.cat([cells.scores(part, heights).topk(min(k, cells.n), 1).indices for part in w.split(cells.rows)])


def distances(codes: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return ||z_i - z_j||, by differences, which keep small ones accurate."""
    return (codes[i] - codes[j]).norm(dim=-1)


def joined(codes: Tensor, index: Tensor, limit: float, by: By) -> Tensor:
    """Return which codes ``index`` (m, k) may be mixed with the first of their row, bool (m, k).

    Those are other codes, in ``limit`` of it: a distance (eps of AE-OT-GAN), or an angle in radians.
    """
    apart = (distances if by == "distance" else angles)(codes, index[:, :1], index)
    return (apart > 0) & (apart <= limit)


def median_gap(codes: Tensor, k: int = 5) -> float:
    """Return the median over codes (n, d) of the distance to the k-th nearest other code."""
    rows = max(1, (1 << 24) // len(codes))
    k = min(k + 1, len(codes))  # the nearest is the code itself
    gaps = [torch.cdist(part, codes).topk(k, 1, largest=False).values[:, -1] for part in codes.split(rows)]
    return float(torch.cat(gaps).median())


def pairs(
    w: Tensor,
    codes: Tensor,
    heights: Tensor,
    limit: float,
    generator: torch.Generator,
    k: int = 20,
    mix: float | None = 0.75,
    by: By = "distance",
) -> Mixture:
    """Mix the own code z_0 with a random one, z_j, of those of the next k - 1 cells that it may be ``joined`` with.

    The mixture is (1 - r) z_0 + r z_j with r = ``mix``, or uniform on [0, 1] if that is None; w without such a
    neighbour keeps z_0, so a limit of 0 gives T.
    """
    near = highest(w, codes, heights, k)
    if near.shape[1] == 1:
        return Mixture(near, torch.ones_like(near, dtype=w.dtype))
    allowed = joined(codes, near, limit, by)[:, 1:]
    lottery = torch.rand(allowed.shape, generator=generator).to(w.device)
    chosen = 1 + torch.where(allowed, lottery, -1).argmax(1, keepdim=True)
    r = torch.rand(len(w), 1, generator=generator) if mix is None else torch.full((len(w), 1), mix)
    r = torch.where(allowed.any(1, keepdim=True), r.to(w), 0)
    return Mixture(torch.cat([near[:, :1], near.gather(1, chosen)], 1), torch.cat([1 - r, r], 1))


def idw(w: Tensor, codes: Tensor, heights: Tensor, centres: Tensor, limit: float, by: By = "distance") -> Mixture:
    """Weigh the own code and those of the d nearest other mass centres (n, d) by inverse distance from w to centre.

    Codes that may not be ``joined`` with the own one are left out, so a limit of 0 gives T; T~(c_i) = z_i. By distance
    so are, from the nearest centre on, those too far from a code that is kept: all that are mixed form one simplex.
    """
    own = Cells(codes).assign(w, heights)[:, None]
    distance = torch.cdist(w, centres).nan_to_num(nan=torch.inf)
    order = distance.scatter(1, own, -1.0).topk(min(w.shape[1] + 1, len(codes)), 1, largest=False).indices
    distance = (w[:, None] - centres[order]).norm(dim=2).nan_to_num(nan=torch.inf)  # exact, unlike products
    kept = joined(codes, order, limit, by)
    kept[:, 0] = True
    if by == "distance":
        near = torch.cdist(codes[order], codes[order], compute_mode="donot_use_mm_for_euclid_dist") <= limit
        for j in range(2, order.shape[1]):
            kept[:, j] &= (near[:, j, :j] | ~kept[:, :j]).all(1)
    inverse = torch.where(kept, 1 / distance, 0)
    exact = (distance[:, :1] == 0) | (inverse.sum(1, keepdim=True) == 0)
    inverse = torch.where(exact, torch.eye(1, order.shape[1]).to(w), inverse)
    return Mixture(order, inverse / inverse.sum(1, keepdim=True))


class Barycentric:
    """Linear interpolation in a Delaunay triangulation of the mass centres, for d of 1 to 3.

    Args:
        codes: (n, d). heights: (n,). centres: (n, d), rows of NaN for cells without one.
        eps: the most that two codes which are mixed, or the own code and one of those, may be apart.

    Raises:
        InputError: for more than three dimensions, or centres that span no simplex.
    """

    def __init__(self, codes: Tensor, heights: Tensor, centres: Tensor, eps: float) -> None:
        dim = codes.shape[1]
        if dim > 3:
            raise InputError(f"mode 'barycentric' in {dim} dimensions; allowed: up to 3; nearest: mode 'pairs'")
        self.codes, self.heights, self.eps = codes, heights, eps
        self.kept = torch.isfinite(centres).all(1).nonzero()[:, 0]
        self.points = centres[self.kept].double().cpu().numpy()
        if dim == 1 and len(self.points) > 1:
            self.order = np.argsort(self.points[:, 0])
            return
        from scipy.spatial import Delaunay, QhullError

        try:
            self.mesh = Delaunay(self.points)
        except QhullError as error:
            raise InputError(
                f"mode 'barycentric' with {len(self.points)} cells that span no simplex in {dim} dimensions; "
                f"allowed: at least {dim + 1} cells in general position"
            ) from error

    def __call__(self, w: Tensor) -> Mixture:
        """Return T~ of points w (m, d); outside the centres' hull, and across gaps wider than eps, that is T."""
        own = Cells(self.codes).assign(w, self.heights)
        corner, weight = self._locate(w.double().cpu().numpy())
        inside = torch.from_numpy(corner[:, 0] >= 0).to(w.device)
        index = torch.cat([own[:, None], self.kept[torch.from_numpy(corner).to(w.device)]], 1)
        z = self.codes[index]
        close = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist").amax((1, 2)) <= self.eps
        lam = torch.from_numpy(weight).to(w.device)
        lam = torch.cat([torch.zeros_like(lam[:, :1]), lam], 1)
        alone = torch.zeros_like(lam)
        alone[:, 0] = 1
        return Mixture(index, torch.where((inside & close)[:, None], lam, alone).to(w.dtype))

    def _locate(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the simplices' corners (m, d + 1), -1 outside the hull, and barycentric coordinates >= 0 of sum 1."""
        if w.shape[1] == 1:
            x = self.points[self.order, 0]
            right = np.clip(np.searchsorted(x, w[:, 0]), 1, len(x) - 1)
            lead = (x[right] - w[:, 0])[:, None] / (x[right] - x[right - 1])[:, None]
            corner = np.stack([self.order[right - 1], self.order[right]], 1)
            outside = (lead[:, 0] < 0) | (lead[:, 0] > 1)
        else:
            simplex = self.mesh.find_simplex(w)
            affine = self.mesh.transform[simplex]
            lead = np.einsum("mij,mj->mi", affine[:, :-1], w - affine[:, -1])
            corner, outside = self.mesh.simplices[simplex].astype(np.int64), simplex < 0
        weight = np.concatenate([lead, 1 - lead.sum(1, keepdims=True)], 1).clip(0)
        corner[outside | np.isnan(weight).any(1)] = -1  # not a number: a simplex without volume
        return corner, weight / weight.sum(1, keepdims=True)
