"""Sharpness: how strongly images change from pixel to pixel, beside real ones.

Tolstikhin, Bousquet, Gelly and Schoelkopf, "Wasserstein Auto-Encoders", ICLR 2018, Section 4: every image is convolved
with a Laplace filter, and the variance of what comes out is averaged over images. SDKL's Section 5.2 calls pictures
sharp and blurry without a measure. It is no merit to exceed real images: noise and checkerboards do.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.evaluators.small import luma
from latent_ot.metrics.inputs import CHUNK, unit

LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def laplacian_variances(images: Tensor) -> Tensor:
    """Return the variance over pixels of the filtered luminance of each image (n,).

    ``images``: (n, 1 or 3, h, w), h, w >= 3, uint8 or floating point in [0, 1]; only whole neighbourhoods are filtered.

    Raises:
        InputError: another type, or values that are not finite.
    """
    kernel = torch.tensor(LAPLACE, dtype=torch.float64)[None, None]
    filtered = (F.conv2d(luma(unit(part)), kernel) for part in images.split(CHUNK))
    return torch.cat([part.flatten(1).var(dim=1, correction=0) for part in filtered])


class Sharpness(Metric):
    """Sharpness of samples over that of real images: 1 is as sharp as these, 0 is flat."""

    version = 1
    quantities = {
        "sharpness": {"label": "sharpness", "direction": "up", "digits": 3, "floor": "data.sharpness"},
    }
    measures = "pictures"

    @staticmethod
    def compute(real: Tensor, fake: Tensor) -> dict[str, float]:
        """Return the ratio; nothing where real images are flat."""
        there, here = laplacian_variances(real), laplacian_variances(fake)
        level = float(there.mean())
        if not level:
            return {}
        ratio = float(here.mean()) / level
        return {"sharpness": by_influence(ratio, there * ratio / level, here / level)}
