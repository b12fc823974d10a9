"""Whether samples are training images given back: how many lie too near to one.

Alaa et al., "How Faithful is your Synthetic Data? Sample-level Metrics for Evaluating and Auditing Generative Models",
ICML 2022, Sec. 3.3 and Eq. (9): a sample is authentic if it is farther from its nearest training image than that image
is from its nearest other one. Held-out images are not all authentic by that, so that theirs is the share to compare
with. Images that are equal count as one: the "other" is the nearest that differs.
"""

import numpy as np
from torch import Tensor

from latent_ot.errors import TooFew
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate, Z, of_share, share_error
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.training import Training

LEVEL = 0.05  # of held-out images that count as near
EQUAL = 1e-5  # relative difference of two distances of one image, whose features are rounded
LEAST = 20  # held-out images, of which the level then is one


def near_training(distance: Tensor, held_out: Tensor) -> float:
    """Return the share of ``distance`` (n,), of samples to the nearest training image, that is small for held-out ones.

    Small is what is no larger than the 5 % quantile of those of held-out images (h,), h >= 20. The interval is of the
    samples and of the quantile (Woodruff, "Confidence Intervals for Medians and Other Position Measures", 1952).

    Raises:
        TooFew: fewer held-out images.
    """
    if len(held_out) < LEAST:
        raise TooFew(f"nearness to training images: {len(held_out)} held-out images; allowed: {LEAST} or more")
    reach = Z * (LEVEL * (1 - LEVEL) / len(held_out)) ** 0.5
    levels = np.clip([LEVEL, LEVEL - reach, LEVEL + reach], 0, 1)
    bounds = np.quantile(held_out.numpy(), levels, method="inverted_cdf")
    share, low, high = (float((distance <= float(bound) * (1 + EQUAL)).double().mean()) for bound in bounds)
    of_samples, of_quantile = Z * share_error(share, len(distance)), (high - low) / 2
    return Estimate(share, float(np.hypot(of_samples, of_quantile)) / Z)


class Authenticity(Metric):
    """Shares of samples that lie near training images."""

    version = 1
    quantities = {
        "copied": {"label": "copied", "direction": "none", "digits": 3, "group": "main"},
        "near_training": {"label": "near training", "direction": "none", "digits": 3, "group": "copies"},
    }
    measures = "copies"

    @staticmethod
    def compute(training: Training, samples: FeatureSet) -> dict[str, float]:
        """Return the share that is not authentic, and with enough held-out images the share that is near."""
        found = {"copied": of_share(training.copied(samples) <= 1)}
        held_out = training.held_reach.distance
        if len(held_out) < LEAST:
            return found
        return found | {"near_training": near_training(samples.once(training.reach).distance, held_out)}
