"""The C_T test for copying: are samples nearer to the training images than held-out images are, cell by cell?

Meehan, Chaudhuri and Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models", AISTATS 2020,
Sec. 4.1: in each cell of the space a Mann-Whitney test compares the distances of samples to the nearest training image
of the cell with those of held-out images; the z-scores are averaged by the held-out images' shares of the cells, over
cells that the samples reach. Well below 0 is copying, well above is underfitting; -3 is the paper's border.
"""

import torch
from torch import Tensor

from latent_ot.errors import TooFew
from latent_ot.metrics.auc import auc
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import Estimate, Z
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.training import Reach, Training

REACHED = 20  # samples that a cell must have to count, as in the paper's experiments


def z_score(fake: Tensor, held_out: Tensor) -> float:
    """Return the z-score, with its interval, of how often samples are farther (m,) than held-out images (n,).

    Ties count half, in the statistic and, by the usual correction, in its deviation. It is 0 where all are alike.
    """
    n, m = len(held_out), len(fake)
    counts = torch.cat([fake, held_out]).unique(return_counts=True)[1].double()
    tied = float((counts**3 - counts).sum()) / ((n + m) * (n + m - 1))
    deviation = (n * m / 12 * (n + m + 1 - tied)) ** 0.5
    if not deviation:
        return 0.0
    area, unit = auc(fake, held_out), n * m / deviation
    score = (area - 1 / 2) * unit
    return Estimate(score, area.half / Z * unit) if isinstance(area, Estimate) else score


def copy_test(fake: Reach, held_out: Reach) -> float:
    """Return C_T, with its interval.

    Raises:
        TooFew: no cell with a held-out image has 20 samples.
    """
    scores, weights = [], []
    for cell in held_out.cell.unique():
        theirs, ours = held_out.within[held_out.cell == cell], fake.within[fake.cell == cell]
        if len(ours) >= REACHED:
            scores.append(z_score(ours, theirs))
            weights.append(len(theirs))
    if not scores:
        raise TooFew(f"C_T: no cell has {REACHED} of {len(fake.cell)} samples; allowed: {REACHED} or more in one")
    parts = [(weight / sum(weights), score) for weight, score in zip(weights, scores, strict=True)]
    value = sum(weight * score for weight, score in parts)
    errors = [weight * score.half / Z for weight, score in parts if isinstance(score, Estimate)]
    return Estimate(value, sum(e**2 for e in errors) ** 0.5) if len(errors) == len(parts) else value


class CopyTest(Metric):
    """The C_T test."""

    version = 1
    quantities = {"copy_test": {"label": "C_T", "direction": "none", "digits": 2, "group": "copies"}}
    measures = "copies"

    @staticmethod
    def compute(training: Training, samples: FeatureSet) -> dict[str, float]:
        """Return C_T; samples that are the held-out images themselves have none."""
        training.check_new(samples, "C_T")
        return {"copy_test": copy_test(samples.once(training.reach), training.held_reach)}
