"""Exact assignment: the bijection between two clouds of equal size with the least summed squared distance.

OTtrans and OTgen (AE-OTtrans/AE-OTgen, Section 3.3) take it from POT's network simplex; entropic plans, which are no
bijections, did not serve them. Here shortest augmenting paths find it (Jonker and Volgenant, Computing 38, 1987), in
the dense form of lapx, and for large clouds a linear program on candidate pairs (``candidates``). Since
sum_i |x_i - y_s(i)|^2 is a constant minus 2 sum_i <x_i, y_s(i)>, the best bijection s does not change when either
cloud is shifted or scaled, nor when terms a_i + b_j join the costs. The terms are free, and good ones spare either
solver much of its work: see ``potentials``.
"""

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.transport import candidates

RIDGE = 1e-6  # on covariances, as a share of their mean eigenvalue: dimensions without spread
POINTS_PER_DIM = 4  # with fewer points the matrices of ``potentials`` cost more than they save
SPARSE_FROM = 2500  # points from which on candidate pairs are faster


def assign(x: Tensor, y: Tensor) -> Tensor:
    """Return the bijection s that minimises sum_i |x_i - y_s(i)|^2, an int64 tensor (n,): x_i goes to ``y[s[i]]``.

    Costs are float64 whatever the clouds are, and no gradient passes. From ``SPARSE_FROM`` points on the bijection is
    proved best by potentials that all n^2 pairs were compared with; where candidate pairs do not get there, as between
    clusters far apart of which one cloud has more points, all pairs are solved densely. The solvers work on the CPU,
    all pairs are looked at where ``x`` is, and there is the result. Time grows as n^3 at worst, memory as n^2: 4,096
    points take half a second to one and 100 MB, densely seconds and 270 MB.

    Args:
        x: (n, d), n of 1 or more, finite.
        y: (n, d), finite.

    Raises:
        InputError: for clouds of other or different shapes, or with values that are not finite.
    """
    if x.dim() != 2 or x.shape != y.shape or not len(x):
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise InputError(f"samples of shapes {shapes}; allowed: equal shapes (n, d) with n of 1 or more")
    for name, cloud in (("x", x), ("y", y)):
        if bad := int((~torch.isfinite(cloud).all(dim=1)).sum()):
            raise InputError(f"{name}: {bad} of {len(cloud)} rows hold NaN or infinity; allowed: finite values")
    u, v = _centred(x), _centred(y)
    a, b = potentials(u, v)
    s = _by_candidates(u, v, a, b, x.device) if len(x) >= SPARSE_FROM else None
    if s is None:
        import lap

        cost = -2 * u @ v.T
        cost += a[:, None]
        cost += b
        s = lap.lapjvr(cost, return_cost=False)[1]
    return torch.from_numpy(s).to(x.device)


def _by_candidates(
    x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, device: torch.device
) -> np.ndarray | None:
    """Return the best bijection, int64 (n,), if candidate pairs prove it; equal points are one with their mass."""
    clouds, places = [], []
    for points, potential in ((x, a), (y, b)):
        _, first, own, copies = np.unique(points, axis=0, return_index=True, return_inverse=True, return_counts=True)
        order = first.argsort()  # as they came: sorted points would meet by their first coordinate in a corner's plan
        values = (points[first[order]], potential[first[order]], copies[order].astype(float))
        clouds.append(candidates.Cloud(*(torch.from_numpy(v).to(device) for v in values)))
        places.append(order.argsort()[own].argsort(kind="stable"))
    found = candidates.solve(*clouds)
    if found is None:
        return None
    i, j = np.repeat(found.i, found.mass), np.repeat(found.j, found.mass)
    s, column = np.empty_like(i), np.empty_like(i)
    column[j.argsort(kind="stable")] = places[1]
    s[places[0]] = column[i.argsort(kind="stable")]
    return s


def potentials(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a (n,) and b (n,) with a_i + b_j >= 2 <x_i, y_j>, and nearly equal where the plan is likely to pair i, j.

    They are a_i = x_i^T A x_i and b_j = y_j^T A^-1 y_j, so that a_i + b_j - 2 <x_i, y_j> is the squared length of
    A^(1/2) x_i - A^(-1/2) y_j, and A is the optimal map between Gaussians with the covariances of the two clouds: for
    such Gaussians a and b are the optimal potentials. With few points for their dimension A is a multiple of the
    identity.

    Args:
        x: (n, d), of mean 0.
        y: (n, d), of mean 0.
    """
    if len(x) <= POINTS_PER_DIM * x.shape[1]:
        ratio = np.sqrt(((y**2).sum() + 1e-12) / ((x**2).sum() + 1e-12))
        return ratio * (x**2).sum(1), (y**2).sum(1) / ratio
    factor = np.linalg.cholesky(_covariance(x))
    squares, turn = np.linalg.eigh(factor.T @ _covariance(y) @ factor)
    widths, basis = np.sqrt(squares), factor @ turn  # A = basis^-T diag(widths) basis^-1
    return np.linalg.solve(basis, x.T).T ** 2 @ widths, (y @ basis) ** 2 @ (1 / widths)


def _covariance(x: np.ndarray) -> np.ndarray:
    covariance = x.T @ x
    return covariance + (RIDGE * covariance.trace() / len(covariance) + 1e-12) * np.eye(len(covariance))


def _centred(x: Tensor) -> np.ndarray:
    """Return the cloud in float64 with mean 0 and largest absolute coordinate 1 (0 if all points are equal)."""
    values = x.detach().cpu().double().numpy()
    values = values - values.mean(axis=0)
    return values / (np.abs(values).max() or 1.0)
