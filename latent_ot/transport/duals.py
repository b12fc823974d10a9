"""Dual potentials of the assignment problem, from POT's network simplex.

Kantorovich's dual of min over permutations of mean_i c(i, sigma(i)), equal weights on both sides: maximise
mean u + mean v subject to u_i + v_j <= c_ij. At the optimum matched pairs are tight, u_i + v_sigma(i) = c_i,sigma(i).

A critic H with H(x_i) - H(y_j) <= c_ij reads off H(x_i) = u_i and H(y_j) = -v_j.
"""

import numpy as np
from numpy.typing import ArrayLike

from latent_ot.errors import InputError

MAX_PIVOTS = 10**8  # thousands of times what 1,000 points need; POT's own limit stops early near 5,000


def duals(cost: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return optimal potentials u (n,) of the rows and v (n,) of the columns, float64, in the units of the cost.

    They are feasible to the rounding of the cost's largest entries. Optimal potentials are not unique: the simplex
    returns a vertex of their polytope, and any (u + t, v - t) is as good. Here mean u = mean v, so that a critic's
    values, u and -v together, have mean zero: the centring of WGAN-QC's public code.

    Args:
        cost: (n, n), finite; row i and column j cost ``cost[i, j]``.

    Raises:
        InputError: if the cost is not a square matrix with a row, or not finite.
        RuntimeError: if the simplex does not end.
    """
    import ot

    cost = np.asarray(cost, dtype=np.float64)
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1] or not len(cost):
        raise InputError(f"cost of shape {cost.shape}; allowed: (n, n) with n of 1 or more")
    if bad := int((~np.isfinite(cost)).sum()):
        raise InputError(f"cost: {bad} of {cost.size} entries are NaN or infinity; allowed: finite values")
    low, one = cost.min(), np.ones(len(cost))
    width = float(cost.max() - low) or 1.0
    # The simplex compares with a fixed tolerance, so it is given costs in [0, 1]; masses of 1 keep its flows integers.
    log = ot.emd(one, one, (cost - low) / width, numItermax=MAX_PIVOTS, log=True)[1]
    if log["warning"] is not None:
        raise RuntimeError(f"network simplex on {len(cost)} points: {log['warning']}")
    u = width * log["u"] + low
    v = (cost - u[:, None]).min(axis=0)  # takes the simplex's own v, tight already, to the last digit of feasibility
    shift = (u.mean() - v.mean()) / 2
    return u - shift, v + shift
