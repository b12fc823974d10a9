"""Points: low-dimensional data that are their own codes, the representation of the 2-D sets.

There is nothing to learn: encoder and decoder are the identity, so that a latent sampler meets the data itself and its
samples can be looked at in the plane.
"""

from torch import Tensor

from latent_ot.config import Config
from latent_ot.errors import Declined
from latent_ot.methods.base import Method, Spec


class PointsConfig(Config):
    """There is nothing to set."""


class Points(Method):
    """The identity on points (n, d), in data units."""

    version = 1
    Config = PointsConfig
    makes_images = ()
    role = "representation"
    default_sampler = "sdot"
    closed_form = True
    accepts = ("points",)

    def __init__(self, config: PointsConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        if len(spec.shape) != 1:
            raise Declined(f"points are their own codes; images of shape {spec.shape} need a representation such as ae")
        self.latent_dim = spec.shape[0]

    def fit(self, images: Tensor) -> None:
        """Nothing to fit."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the points (n, d)."""
        return x

    def decode(self, z: Tensor) -> Tensor:
        """Return the codes (n, d)."""
        return z
