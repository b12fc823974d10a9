"""Structural similarity of reconstructions, as torchmetrics computes it.

Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004, Eq. (13): Gaussian window
of 11 px with standard deviation 1.5, K1 = 0.01, K2 = 0.03.
"""

import torch
from torch import Tensor

from latent_ot.errors import TooFew
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.inputs import image_pair

WINDOW = 11
CHUNK = 250


def ssim(x: Tensor, y: Tensor) -> float:
    """Return the mean over images of SSIM in [-1, 1], with the interval of their sampling.

    ``x``, ``y``: (n, c, h, w), h, w >= 11, uint8 or floating point in [0, 1] (clamped).

    Raises:
        InputError: batches that are not comparable, or values that are not finite.
        TooFew: images smaller than the window.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = image_pair(x, y)
    if min(x.shape[2:]) < WINDOW:
        raise TooFew(f"ssim: images of {x.shape[2]} x {x.shape[3]} px; allowed: {WINDOW} x {WINDOW} or larger")
    found = []
    for some, others in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        values = structural_similarity_index_measure(some, others, data_range=1.0, reduction="none")
        assert isinstance(values, Tensor)  # a pair only if it is asked for the whole map
        found.append(values)
    return by_influence(sum(float(values.sum()) for values in found) / len(x), torch.cat(found))


class Ssim(Metric):
    """Structural similarity."""

    version = 1
    quantities = {
        "ssim": {"label": "SSIM", "direction": "up", "digits": 3},
    }
    measures = "reconstructions"

    @staticmethod
    def compute(originals: Tensor, rebuilt: Tensor) -> dict[str, float]:
        """Return the mean SSIM."""
        return {"ssim": ssim(originals, rebuilt)}
