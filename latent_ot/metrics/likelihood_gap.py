"""How much likelier samples make the training images than held-out ones: the gap of the feature likelihood divergence.

Jiralerspong et al., "Feature Likelihood Divergence: Evaluating the Generalization of Generative Models Using Samples",
NeurIPS 2023, Sec. 3: a Gaussian at every sample, in features of zero mean and unit deviation, with variances that make
the training images likeliest. At a copy of a training image the variance falls towards 0, and held-out images become
unlikely. The gap is that of the negative log-likelihoods per dimension times 100, training less held-out, as the
authors' code has it: a little below 0 without memorising, since the variances fit the training images, and well below
with it.

Ours differs from the code in what makes a figure of one model one number: the variances are found by EM in place of 50
steps of Adam; the Gaussian at the training images' mean, which there steadies the fit alone, stays in the density, so
that no figure is as large as the smallest variance is small; each image is explained by the 32 nearest samples.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.inputs import CHUNK, mean
from latent_ot.metrics.training import Training, nearest

NEAREST = 32  # samples whose Gaussians may explain an image; of real digits 16 change the gap by 0.02, 256 by nothing
FLOOR = 1e-3  # of the squared distance that a variance is d-th part of
ROUNDS = 25  # of EM; from 20 on the gap of real digits stays
DEAD = 1e-12  # of the largest variance of a feature; below it lies rounding


class Explained(NamedTuple):
    """Images (n,) under a mixture: squared distances to the nearest samples and, last, to the mean, and whose they are.

    Both (n, k + 1); the mean is component m.
    """

    squared: Tensor
    component: Tensor

    def log_density(self, log_variance: Tensor, d: int) -> Tensor:
        """Return the logarithms (n, k + 1) of the components' densities, but for what all share."""
        chosen = log_variance[self.component]
        return -0.5 * (self.squared * (-chosen).exp() + d * chosen)

    def summed(self, values: Tensor, count: int) -> Tensor:
        """Return the sums (count,) over images of values (n, k + 1), component by component."""
        return values.new_zeros(count).index_add_(0, self.component.flatten(), values.flatten())


def explained(x: Tensor, samples: Tensor) -> Explained:
    """Return features (n, d) beside ``samples`` (m, d), both with the training images' mean at 0."""
    squared, which = nearest(x, samples, NEAREST)
    away = torch.cat([part.double().square().sum(dim=1) for part in x.split(CHUNK)])
    last = torch.full((len(x), 1), len(samples))
    return Explained(torch.cat([squared, away[:, None]], dim=1), torch.cat([which, last], dim=1))


def fit(images: Explained, start: Tensor, d: int) -> Tensor:
    """Return the logarithms (m + 1,) of the variances that make images likeliest, found from ``start`` by EM.

    A component that explains nothing keeps its variance.
    """
    log_variance = start.clone()
    for _ in range(ROUNDS):
        shares = images.log_density(log_variance, d).softmax(dim=1)
        held, spread = (images.summed(values, len(start)) for values in (shares, shares * images.squared))
        found = (spread / (d * held.clamp_min(torch.finfo(start.dtype).tiny))).clamp_min(FLOOR / d).log()
        log_variance = torch.where(held > torch.finfo(start.dtype).eps, found, log_variance)
    return log_variance


def likelihood_gap(training: Tensor, held_out: Tensor, samples: Tensor) -> float:
    """Return the gap for features (N, d), (h, d), (m, d), with the interval of held-out images and samples.

    What no training image varies in is left out. At variances that are best for the training images, a sample's
    influence on their likelihood is the share of them that it explains.
    """
    centre = mean(training)
    variance = sum((part.double() - centre).square().sum(dim=0) for part in training.split(CHUNK)) / len(training)
    live = variance > DEAD * variance.max()
    scale, d, m = variance[live].sqrt(), int(live.sum()), len(samples)
    x, y, z = (
        torch.cat([((part.double() - centre)[:, live] / scale).float() for part in features.split(CHUNK)])
        for features in (training, held_out, samples)
    )
    images, others = explained(x, z), explained(y, z)
    start = torch.cat([(nearest(z, x, 1)[0][:, 0] + FLOOR) / d, torch.ones(1, dtype=torch.float64)]).log()
    log_variance = fit(images, start, d)
    densities = [part.log_density(log_variance, d) for part in (images, others)]
    here, there = (density.logsumexp(dim=1) for density in densities)
    pairs = zip((images, others), densities, strict=True)
    explains = [part.summed(density.softmax(dim=1), m + 1) / len(density) for part, density in pairs]
    unit = 100 / d
    value = unit * float(there.mean() - here.mean())
    return by_influence(value, unit * there, unit * m * (explains[1] - explains[0])[:m])


class LikelihoodGap(Metric):
    """Gap of the feature likelihood divergence."""

    version = 1
    quantities = {"fld_gap": {"label": "FLD gap", "direction": "none", "digits": 2, "group": "copies"}}
    measures = "copies"

    @staticmethod
    def compute(training: Training, samples: FeatureSet) -> dict[str, float]:
        """Return it; samples that are the held-out images themselves have none."""
        training.check_new(samples, "the gap of likelihoods")
        return {"fld_gap": likelihood_gap(training.features, training.held_out.features, samples.features)}
