"""Lap1, the L1 distance between Laplacian pyramids.

Ling and Okada, "Diffusion Distance for Histogram Comparison" (CVPR 2006), as Bojanowski et al., "Optimizing the Latent
Space of Generative Networks" (ICML 2018), use it: sum_j 2^(2j) ||L_j(x) - L_j(y)||_1 with j = 0 the finest band. Band j
has 4^-j as many pixels, so up to the constant number of pixels this is the sum of each band's mean absolute difference.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA = 1.0  # of the 5 x 5 Gaussian, in pixels


def default_levels(size: int) -> int:
    """Return the number of bands for images of this size: 3 at 32 pixels, 4 at 64, 5 at 128, never fewer than 1."""
    return max(1, size.bit_length() - 3)


def laplacian_pyramid(x: Tensor, levels: int) -> list[Tensor]:
    """Split images (n, C, H, W) into ``levels`` band-pass images, finest first, and the low-pass rest.

    Each band is what a 5 x 5 Gaussian takes away; the filtered image goes on at half the size (mean of 2 x 2 pixels).
    The pyramid is linear in the image, and a constant image has only the rest.
    """
    offsets = torch.arange(-2, 3, dtype=x.dtype, device=x.device)
    line = torch.exp(-0.5 * (offsets / SIGMA).square())
    line = line / line.sum()
    n, channels = x.shape[:2]
    x = x.reshape(n * channels, 1, *x.shape[2:])
    bands = []
    for _ in range(levels):
        smooth = F.conv2d(F.pad(x, (2, 2, 0, 0), mode="replicate"), line.view(1, 1, 1, 5))
        smooth = F.conv2d(F.pad(smooth, (0, 0, 2, 2), mode="replicate"), line.view(1, 1, 5, 1))
        bands.append(x - smooth)
        x = F.avg_pool2d(smooth, 2)
    return [band.reshape(n, channels, *band.shape[2:]) for band in (*bands, x)]


def lap1(x: Tensor, y: Tensor, levels: int | None = None) -> Tensor:
    """Return Lap1 between images x and y, both (n, C, H, W), as (n,)."""
    levels = default_levels(min(x.shape[2:])) if levels is None else levels
    pyramid = laplacian_pyramid(x - y, levels)  # linear, so the difference of pyramids is that of the difference
    return torch.stack([band.abs().flatten(1).mean(dim=1) for band in pyramid]).sum(dim=0)
