"""Inception score: how certain a classifier is of each image and how varied its answers are.

Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, Sec. 4: exp(E_x KL(p(y|x) || p(y))).
"""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import rows


def inception_score(logits: Tensor, splits: int = 10, seed: int | None = 2020) -> tuple[float, float]:
    """Return mean, with its interval, and standard deviation over ``splits`` of the score in [1, K] of logits (n, K).

    The score of a split is biased by its size n / splits. As in torch-fidelity the samples are first permuted by
    NumPy's legacy generator with ``seed`` (else sets ordered by class would score low); ``None`` keeps their order.

    Raises:
        InputError: fewer samples than splits, or logits that are not finite.
    """
    if splits < 1:
        raise InputError(f"inception score: splits = {splits}; allowed: 1 or more")
    logits = rows(logits, "logits", least=splits).double()
    if seed is not None:
        logits = logits[torch.from_numpy(np.random.RandomState(seed).permutation(len(logits)))]
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    scores, variance = [], 0.0
    for begin, end in pairwise(edges):
        log_p = logits[begin:end].log_softmax(dim=1)
        p = log_p.exp()
        marginal = p.mean(dim=0)
        # E KL = H(p(y)) - E H(p(y|x)): unlike the quotient form it stays finite where a class has probability 0.
        certain = (p * log_p).sum(dim=1)
        information = certain.mean() - torch.special.xlogy(marginal, marginal).sum()
        scores.append(float(information.exp()))
        # The influence of a sample on the information is its KL(p(y|x) || p(y)); where p(y) is 0, so is p(y|x).
        divergence = certain - p @ marginal.clamp_min(torch.finfo(p.dtype).tiny).log()
        variance += float(information.exp() ** 2 * divergence.var() / len(p)) if len(p) > 1 else math.nan
    score, spread = float(np.mean(scores)), float(np.std(scores))
    return score if math.isnan(variance) else Estimate(score, variance**0.5 / splits), spread


class InceptionScore(Metric):
    """Inception score."""

    version = 1
    quantities = {
        "is": {"label": "IS", "direction": "up", "digits": 2, "group": "main", "floor": "data.is"},
        "is_std": {"label": "IS, spread of splits", "direction": "none", "digits": 2},
    }
    measures = "samples"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, float]:
        """Return mean and spread over ten splits of the samples' score."""
        return dict(zip(("is", "is_std"), inception_score(fake.logits), strict=True))
