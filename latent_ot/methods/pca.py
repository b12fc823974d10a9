"""PCA: the linear representation with the least squared error, the reconstruction baseline.

Pearson (1901); Table 2 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks" compares with it
and leaves the number of components open. Here it is the code length of the other methods. The latent sampler, a
Gaussian fitted to the scores, makes of it the Gaussian model of the images.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from latent_ot.config import Config
from latent_ot.methods.base import Method, Spec, require_images

CHUNK = 4096  # rows whose products are summed at once, in double precision


class PcaConfig(Config):
    """Settings of PCA."""

    components: int = Field(100, ge=1, description="code length; the GLDO paper is silent, its other methods have 100")


class Pca(Method):
    """x -> V (x - mean) and back, V the first principal directions.

    There are no more directions than pixels or images: ``latent_dim`` is the smallest of the three.
    """

    version = 1
    Config = PcaConfig
    makes_images = ()
    role = "representation"
    default_sampler = "gaussian"
    closed_form = True
    config: PcaConfig
    mean: Tensor
    components: Tensor

    def __init__(self, config: PcaConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.shape = require_images(spec, "pca")
        pixels = self.shape[0] * self.shape[1] * self.shape[2]
        self.latent_dim = min(config.components, pixels, spec.count)
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(self.latent_dim, pixels))

    @classmethod
    def limits(cls, shape: tuple[int, ...], count: int) -> dict[str, int]:
        """No more directions than pixels or images."""
        return {"components": min(math.prod(shape), count)}

    def fit(self, images: Tensor) -> None:
        """Find mean and principal directions of the images (N, C, H, W) in [0, 1].

        The covariance is decomposed where it is smaller than the centred images themselves.
        """
        x = images.flatten(1)
        mean = torch.stack([chunk.double().sum(dim=0) for chunk in x.split(CHUNK)]).sum(dim=0) / len(x)
        if len(x) > x.shape[1]:
            centred = (chunk.double() - mean for chunk in x.split(CHUNK))
            directions = torch.linalg.eigh(sum(c.T @ c for c in centred)).eigenvectors.flip(1).T
        else:
            directions = torch.linalg.svd(x.double() - mean, full_matrices=False).Vh
        directions = directions[: self.latent_dim]
        largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
        self.mean.copy_(mean)
        self.components.copy_(directions * largest.sign())  # a direction's sign is free: its largest entry is positive

    def encode(self, x: Tensor) -> Tensor:
        """Return scores (n, d)."""
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        """Return images, clamped to [0, 1]."""
        return (self.mean + z @ self.components).clamp(0, 1).unflatten(1, self.shape)

    def facts(self) -> dict[str, int]:
        """Return the number of components."""
        return {"components": self.latent_dim}
