"""Exact assignment: the bijection between two clouds of equal size with the least summed squared distance.

OTtrans and OTgen (AE-OTtrans/AE-OTgen, Section 3.3) take it from POT's network simplex; entropic plans, which are no
bijections, did not serve them. Here shortest augmenting paths find it (Jonker and Volgenant, Computing 38, 1987), in
the dense form of lapx. Since sum_i |x_i - y_s(i)|^2 is a constant minus 2 sum_i <x_i, y_s(i)>, the best bijection s
does not change when either cloud is shifted or scaled, nor when terms a_i + b_j join the costs. The terms are free, and
good ones spare the solver many of its paths: see ``potentials``.
"""

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError

RIDGE = 1e-6  # on covariances, as a share of their mean eigenvalue: dimensions without spread
POINTS_PER_DIM = 4  # with fewer points the matrices of ``potentials`` cost more than they save
UNIT = 2.0**60  # costs of order 1 are scaled up by it: the solver takes costs that differ by less than 1e-10 for equal


def assign(x: Tensor, y: Tensor) -> Tensor:
    """Return the bijection s that minimises sum_i |x_i - y_s(i)|^2, an int64 tensor (n,): x_i goes to ``y[s[i]]``.

    Costs are float64 whatever the clouds are, and no gradient passes. The solver works on the CPU; the result is where
    ``x`` is. Time grows as n^3 at worst, memory as n^2: 4,096 points take seconds and 270 MB.

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
    import lap

    _, column = lap.lapjvc(reduced_costs(x, y), return_cost=False)
    return torch.from_numpy(column.astype(np.int64)).to(x.device)


def reduced_costs(x: Tensor, y: Tensor) -> np.ndarray:
    """Return float64 costs (n, n) with the same best bijection as the squared distances of x (n, d) from y (n, d)."""
    u, v = _centred(x), _centred(y)
    a, b = potentials(u, v)
    cost = -2 * UNIT * u @ v.T
    cost += UNIT * a[:, None]
    cost += UNIT * b
    return cost


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
