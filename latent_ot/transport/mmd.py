"""Maximum mean discrepancy with a sum of inverse multiquadric kernels of several scales.

Tolstikhin et al., "Wasserstein Auto-Encoders", Algorithm 2 and Section 4: the heavy tails of the kernel keep a gradient
on codes far from the prior, and several scales free the user from choosing one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from latent_ot.errors import InputError

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Factors on the expected squared distance of two draws from N(0, sigma^2 I), from the authors' release."""


def imq_kernel(squared: Tensor, dim: int, sigma: float = 1.0, scales: Sequence[float] = SCALES) -> Tensor:
    """Return sum_s C_s / (C_s + D), C_s = 2 d sigma^2 s, of squared distances D of any shape between points of R^d."""
    # C / (C + D) = 1 / (1 + D / C)
    return torch.stack([(squared / (2 * dim * sigma**2 * s) + 1).reciprocal() for s in scales]).sum(dim=0)


def mmd_squared(x: Tensor, y: Tensor, sigma: float = 1.0, scales: Sequence[float] = SCALES) -> Tensor:
    """Return the unbiased estimate of MMD^2 between samples ``x`` (n, d) and ``y`` (m, d), a scalar.

    ``sigma``: the standard deviation of the prior, to which the kernel widths are tied. All pairs come from one matrix
    of distances. No point is paired with itself, which makes the estimate unbiased, and negative at times.

    Raises:
        InputError: if the samples are not both (., d), or one has fewer than two points.
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise InputError(
            f"mmd_squared: samples of shape {tuple(x.shape)} and {tuple(y.shape)}; "
            "allowed: (n, d) and (m, d) with n, m >= 2"
        )
    n, m = len(x), len(y)
    points = torch.cat([x, y])
    norms = points.square().sum(dim=1)
    # Rounding can leave a distance of near points slightly negative.
    squared = (norms[:, None] + norms[None, :] - 2 * points @ points.T).clamp_min(0)
    kernel = imq_kernel(squared, x.shape[1], sigma, scales)
    xx, yy = kernel[:n, :n], kernel[n:, n:]
    within_x = (xx.sum() - xx.diagonal().sum()) / (n * (n - 1))
    within_y = (yy.sum() - yy.diagonal().sum()) / (m * (m - 1))
    return within_x + within_y - 2 * kernel[:n, n:].mean()
