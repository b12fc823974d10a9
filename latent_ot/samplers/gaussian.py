"""Gaussian: one Gaussian with full covariance, fitted to the codes by their mean and covariance.

Section 4.2 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks" samples its own codes and those
of GLO so.
"""

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Config
from latent_ot.samplers.base import LatentSampler
from latent_ot.stage import Spec


class GaussianConfig(Config):
    """Settings of the Gaussian sampler."""

    jitter: float = Field(
        1e-6, gt=0, description="added to the covariance's diagonal, as a share of its mean: constant or too few codes"
    )


class Gaussian(LatentSampler):
    """N(mean, factor factor^T) with the lower Cholesky factor."""

    version = 1
    Config = GaussianConfig
    maps = True
    config: GaussianConfig
    mean: Tensor
    factor: Tensor

    def __init__(self, config: GaussianConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("factor", torch.zeros(self.dim, self.dim))

    def _fit(self, codes: Tensor) -> None:
        codes = codes.double()
        mean = codes.mean(dim=0)
        centred = codes - mean
        covariance = centred.T @ centred / max(1, len(codes) - 1)
        offset = self.config.jitter * covariance.trace() / self.dim + 1e-12  # the last term for codes all alike
        covariance.diagonal().add_(offset)
        self.mean.copy_(mean)
        self.factor.copy_(torch.linalg.cholesky(covariance))

    def transport(self, w: Tensor) -> Tensor:
        """Return mean + factor w."""
        return self.mean + w @ self.factor.T
