"""Peak signal-to-noise ratio of reconstructions: 10 log10(1 / MSE) for images in [0, 1].

GLDO, Eq. (24), where a minus sign is misprinted for the plus.
"""

from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import of_mean
from latent_ot.metrics.inputs import image_pair

CEILING = 100.0  # dB; equal images would have infinity. One grey level in one value of a 128 px RGB image: 95 dB


def psnr(x: Tensor, y: Tensor) -> float:
    """Return the mean over images of PSNR in dB, at most ``CEILING`` an image, with the interval of their sampling.

    ``x``, ``y``: (n, c, h, w), uint8 or floating point in [0, 1] (clamped).

    Raises:
        InputError: batches that are not comparable, or values that are not finite.
    """
    x, y = image_pair(x, y)
    error = ((x - y) ** 2).flatten(1).mean(dim=1)
    return of_mean(-10 * error.clamp_min(10 ** (-CEILING / 10)).log10())


class Psnr(Metric):
    """Peak signal-to-noise ratio."""

    version = 1
    quantities = {
        "psnr": {"label": "PSNR", "direction": "up", "digits": 2, "group": "main"},
    }
    measures = "reconstructions"

    @staticmethod
    def compute(originals: Tensor, rebuilt: Tensor) -> dict[str, float]:
        """Return the mean PSNR in dB."""
        return {"psnr": psnr(originals, rebuilt)}
