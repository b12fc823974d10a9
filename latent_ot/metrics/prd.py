"""Precision and recall for distributions, as a curve and as two numbers.

Sajjadi et al., "Assessing Generative Models via Precision and Recall", NeurIPS 2018, Sec. 3.2 and 4: both sets are
clustered together; with P and Q the histograms of real and generated samples over the clusters and a slope l,
precision(l) = sum min(l P, Q) and recall(l) = precision(l) / l.
"""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from latent_ot.errors import InputError, TooFew
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import rows, same_width
from latent_ot.seeding import derive

CLUSTERS = 20
RUNS = 10  # curves of as many clusterings are averaged
STARTS = 10  # k-means starts from the best of as many draws
ANGLES = 1001
THINNING = 10  # of the 1001 points of a curve, 101 are kept
EDGE = 1e-10  # distance of the outermost angles from 0 and pi / 2
SLOPES = np.tan(np.linspace(EDGE, np.pi / 2 - EDGE, ANGLES))


class PRD(NamedTuple):
    """``f8`` weighs recall, ``f1_8`` precision, both with intervals; ``precision``, ``recall``: (1001,), by angle."""

    f8: float
    f1_8: float
    precision: np.ndarray
    recall: np.ndarray


def prd(real: Tensor, fake: Tensor, seed: int = 0) -> PRD:
    """Compare features (n, d) of real and of generated samples; the curve does not see how far clusters lie apart.

    Raises:
        InputError: sets of different size, or values that are not finite.
        TooFew: fewer than 20 samples in all.
    """
    real, fake = rows(real, "real features"), rows(fake, "generated features")
    same_width(real, fake)
    if len(real) != len(fake):
        raise InputError(f"prd: {len(real)} real and {len(fake)} generated samples; allowed: equally many of both")
    if 2 * len(real) < CLUSTERS:
        raise TooFew(f"prd: {len(real)} samples of each; allowed: {CLUSTERS // 2} or more")
    union = np.concatenate([real.numpy(), fake.numpy()])
    runs = [np.split(_clusters(union, derive(seed, "prd", run) % 2**32), 2) for run in range(RUNS)]
    shares = [[np.bincount(half, minlength=CLUSTERS) / len(real) for half in run] for run in runs]
    precision, recall = np.mean([curve(p, q) for p, q in shares], axis=0)
    f8, f1_8 = (
        Estimate(f_beta(precision, recall, b), _error(runs, shares, precision, recall, b)) for b in (8.0, 1 / 8)
    )
    return PRD(f8, f1_8, precision, recall)


def _error(runs: Any, shares: Any, precision: np.ndarray, recall: np.ndarray, beta: float) -> float:
    """Return the standard error of the largest F_beta: of the samples in their clusters, and of the clusterings.

    ``runs``: the clusters (n,), (n,) of real and of generated samples in each clustering; ``shares``: their histograms.
    At a slope l, F_beta is (1 + beta^2) / (beta^2 l + 1) sum min(l P, Q), whose derivative in the histograms is that
    of the minimum; that l moves with them changes nothing, as F_beta is largest there.
    """
    slope = SLOPES[np.argmax(_weighted(precision, recall, beta))]
    factor = (1 + beta**2) / (beta**2 * slope + 1)
    below = [slope * p < q for p, q in shares]
    real = np.mean([slope * low[labels] for low, (labels, _) in zip(below, runs, strict=True)], axis=0)
    fake = np.mean([~low[labels] for low, (_, labels) in zip(below, runs, strict=True)], axis=0)
    found = [np.minimum(slope * p, q).sum() for p, q in shares]
    variances = (np.var(part, ddof=1) / len(part) for part in (real, fake, found))
    return float(factor * sum(variances) ** 0.5)


def curve(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall (1001,), in [0, 1], of histograms (k,): ``p`` the reference, ``q`` evaluated."""
    precision = np.minimum(SLOPES[:, None] * p, q).sum(axis=1)
    return precision.clip(0, 1), (precision / SLOPES).clip(0, 1)


def f_beta(precision: np.ndarray, recall: np.ndarray, beta: float) -> float:
    """Return the largest F_beta = (1 + beta^2) pr / (beta^2 p + r) on a curve (GLDO, Eq. (23)); 0 where both are 0."""
    return float(np.max(_weighted(precision, recall, beta)))


def _weighted(precision: np.ndarray, recall: np.ndarray, beta: float) -> np.ndarray:
    weighted = beta**2 * precision + recall
    product = (1 + beta**2) * precision * recall
    return np.divide(product, weighted, out=np.zeros_like(product), where=weighted > 0)


def _clusters(points: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the steps are too small to share, and sums then have one order
        return MiniBatchKMeans(CLUSTERS, n_init=STARTS, random_state=seed).fit(points).labels_


def _thin(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values[::THINNING]]


class PrecisionRecallCurve(Metric):
    """Precision and recall for distributions."""

    version = 1
    quantities = {
        "prd_f8": {"label": "F8", "direction": "up", "digits": 3, "group": "main", "floor": "data.prd_f8"},
        "prd_f1_8": {"label": "F1/8", "direction": "up", "digits": 3, "group": "main", "floor": "data.prd_f1_8"},
    }
    measures = "samples"

    @staticmethod
    def compute(real: FeatureSet, fake: FeatureSet, seed: int) -> dict[str, Any]:
        """Return both numbers, and the curve thinned to 101 points."""
        found = prd(real.features, fake.features, seed)
        curve = {"precision": _thin(found.precision), "recall": _thin(found.recall)}
        return {"prd_f8": found.f8, "prd_f1_8": found.f1_8, "prd": curve}
