"""Smoothness of interpolation: how evenly images change along a straight walk between two latent points.

The claim on interpolation of AE-OTtrans/AE-OTgen (Section 5.3) names no measure. This one is 1 for a walk whose images
all differ alike and grows with jumps; a walk through a jump alone, of K steps, has K.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence


def smoothness(walks: ArrayLike) -> float:
    """Return the largest over the mean L2 step between successive images, averaged over walks; lower is smoother.

    A walk along which nothing changes counts 1.

    Args:
        walks: (rows, steps, ...), at least three images a walk.

    Raises:
        InputError: for fewer walks or images.
    """
    images = np.asarray(walks)
    if images.ndim < 3 or not images.shape[0] or images.shape[1] < 3:
        raise InputError(f"walks have shape {images.shape}; allowed: (rows, steps, ...) with 1 row or more of 3 steps")
    flat = images.reshape(*images.shape[:2], -1).astype(np.float64)
    steps = np.linalg.norm(np.diff(flat, axis=1), axis=2)
    mean = steps.mean(axis=1)
    ratio = np.divide(steps.max(axis=1), mean, out=np.ones_like(mean), where=mean > 0)
    return by_influence(float(ratio.mean()), torch.from_numpy(ratio))


class Smoothness(Metric):
    """Smoothness of interpolation."""

    version = 1
    quantities = {
        "interp_smoothness": {"label": "walk max/mean step", "direction": "down", "digits": 2},
    }
    measures = "walks"

    @staticmethod
    def compute(walks: ArrayLike) -> dict[str, float]:
        """Return the mean over walks."""
        return {"interp_smoothness": smoothness(walks)}
