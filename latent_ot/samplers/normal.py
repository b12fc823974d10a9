"""Standard normal: draws from the prior N(0, I), whatever the codes; right where training held the codes near it."""

from torch import Tensor

from latent_ot.samplers.base import LatentSampler


class Normal(LatentSampler):
    """N(0, I) of the codes' dimension."""

    version = 1
    maps = True

    def transport(self, w: Tensor) -> Tensor:
        """Return the points as they are."""
        return w
