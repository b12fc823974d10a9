"""Whether samples have the classes of the data in the data's shares, as a classifier sees both.

AE-OTtrans/AE-OTgen, Section 5.1, finds of pictures that transport makes "similar amounts of every class". The measure
here is the total variation distance of the two histograms of predicted classes: half the sum of |p_k - q_k|.
"""

import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import rows


def class_distance(real: Tensor, fake: Tensor) -> float:
    """Return the total variation distance, in [0, 1], of the predicted classes of logits (n, K) and (m, K).

    As an estimate from finite samples it is biased upwards: two draws of 1,000 from ten equal classes are 0.05 apart.

    Raises:
        InputError: no matrices of equal width, no rows, or values that are not finite.
    """
    real, fake = rows(real, "real logits", least=1), rows(fake, "logits", least=1)
    if real.shape[1] != fake.shape[1]:
        raise InputError(f"class shares: {real.shape[1]} and {fake.shape[1]} classes; allowed: equally many")
    labels = [x.argmax(dim=1) for x in (real, fake)]
    p, q = (torch.bincount(found, minlength=real.shape[1]).double() / len(found) for found in labels)
    slopes = (p - q).sign() / 2
    return by_influence(float((p - q).abs().sum() / 2), *(slopes[found] for found in labels))


class ClassShares(Metric):
    """Distance of the classes' shares."""

    version = 1
    quantities = {
        "class_tv": {"label": "class TV", "direction": "down", "digits": 3, "floor": "data.class_tv"},
    }
    measures = "samples"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, float]:
        """Return the distance of the samples' shares from those of the real reference."""
        return {"class_tv": class_distance(real.logits, fake.logits)}
