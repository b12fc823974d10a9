"""Whether samples are things at all, and of how many kinds: what a classifier of the data's own classes makes of them.

A generator works, as this suite says it, when its samples show nearly every class of the data and the classifier is
sure of them. That asks much less than FID, which says how well it works, and can be checked by looking at samples.
"""

import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import of_mean
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import rows

SHARE = 0.03
"""Of all samples, from which on a class is shown: of ten equal classes about a third of what each should have."""


def recognised(logits: Tensor) -> tuple[float, float]:
    """Return how many classes have 3 % of the samples or more, and the mean of the largest probability, in [1/K, 1].

    ``logits``: (n, K) of the samples.

    Raises:
        InputError: no matrix, no rows, or values that are not finite.
    """
    logits = rows(logits, "logits", least=1).double()
    held = torch.bincount(logits.argmax(dim=1), minlength=logits.shape[1])
    return float((held >= SHARE * len(logits)).sum()), of_mean(logits.softmax(dim=1).amax(dim=1))


class Recognition(Metric):
    """Classes shown, and the classifier's confidence."""

    version = 1
    quantities = {
        "classes": {"label": "classes of 3 %", "direction": "up", "digits": 1, "floor": "data.classes"},
        "confidence": {"label": "confidence", "direction": "up", "digits": 3, "floor": "data.confidence"},
    }
    measures = "samples"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, float]:
        """Return both of the samples."""
        return dict(zip(("classes", "confidence"), recognised(fake.logits), strict=True))
